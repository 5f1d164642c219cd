"""What goes wrong while the stack starts, as one sentence with the way out."""

from __future__ import annotations


class StackError(Exception):
    """A message for a person: what is wrong and what to do."""
