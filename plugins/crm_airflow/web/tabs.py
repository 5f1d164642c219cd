"""The tabs of one connection: their words, and the path of each behind the connection's own; and the parts of those that have some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["PARTS", "TABS"]

Words = tuple[tuple[str, str], ...]
TABS: Final[Words] = (
    ("Overview", ""),
    ("Activity", "/activity"),
    ("Conflicts", "/conflicts"),
    ("Parked", "/parked"),
    ("Reconciliation", "/reconciliations"),
    ("Settings", "/settings"),
    ("Audit trail", "/trail"),
)
PARTS: Final[Mapping[str, Words]] = {
    "Settings": (
        ("General", "/settings"),
        ("Mapping", "/mapping"),
        ("Scope", "/scope"),
        ("Alerts", "/alerts"),
    ),
    "Audit trail": (("Export and verify", "/trail"), ("Erase a person", "/erase")),
}
