"""Triggers: what a task waits for without holding a worker."""
