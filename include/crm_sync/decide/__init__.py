"""The decisions: pure functions, no I/O."""
