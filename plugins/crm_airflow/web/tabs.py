"""The tabs of one connection: their words, and the path of each behind the connection's own."""

from __future__ import annotations

from typing import Final

__all__ = ["TABS"]

TABS: Final = (
    ("Overview", ""),
    ("Activity", "/activity"),
    ("Conflicts", "/conflicts"),
    ("Parked", "/parked"),
    ("Reconciliation", "/reconciliations"),
    ("Settings", "/settings"),
    ("Mapping", "/mapping"),
)
