"""A link and its two records, as short as a test can say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from crm_sync.decide.merge import Rules
from crm_sync.mapping_files import load_mappings
from crm_sync.model import ClockReading, Link, OurRecord, Row, Value

__all__ = ["CONTACT", "KEY", "T0", "at", "link", "record", "rules"]

CONTACT = load_mappings("salesforce")["contact"]
T0 = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
KEY = "11111111-1111-1111-1111-111111111111"


def at(seconds: float) -> datetime:
    """A moment of the test."""
    return T0 + timedelta(seconds=seconds)


def link(base: Row | None = None, seen: Row | None = None, **more: Any) -> Link:
    """A living link with our key on their record; both spellings of the base are the same unless said otherwise."""
    shown = {
        "base_ours": base or {},
        "base_theirs": base or {},
        "seen": seen or {},
        "seen_stamp": T0,
        "keyed": True,
    }
    return Link(1, "contact", KEY, "003A", **{**shown, **more})


def record(times: dict[str, datetime] | None = None, **values: Value) -> OurRecord:
    """A record of ours."""
    return OurRecord(KEY, 1, values, times or {}, T0)


def rules(
    policy: str = "most_recent", direction: str = "bidirectional", offset: float = 0, error: float = 0
) -> Rules:
    """Settings of a connection."""
    clock = ClockReading(timedelta(seconds=offset), timedelta(seconds=error))
    return Rules(direction, policy, clock)  # type: ignore[arg-type]
