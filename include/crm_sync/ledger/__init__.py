"""What happened and what is left to do, on Postgres."""
