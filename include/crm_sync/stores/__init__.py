"""Where records live: one Store each, one contract test for all."""
