"""Noisy measures travel at most once in an interval: whether an update may go now, or waits.

Pure.  A field says its interval in the mapping (``min_interval``).  Only an update of nothing but such fields waits:
whatever else is sent to the record takes them along.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.model import Row

__all__ = ["is_noise", "waits_until"]


def is_noise(mapping: ObjectMapping, before: Row, after: Row, base: Row) -> bool:
    """Whether an update of theirs is nothing but new values of noisy measures, over what both sides had agreed on.

    An edit there is restored at once.
    """
    return all(
        column in mapping.paced and column in base and before[column] == base[column]
        for column in after
    )  # fmt: skip


def waits_until(
    mapping: ObjectMapping, columns: Collection[str], sent: Mapping[str, datetime], now: datetime
) -> datetime | None:
    """Until when an update of these noisy columns waits, when each was last ``sent``; None: it may go now.

    The first column whose interval is over takes the others along; one that was never sent is due at once.
    """
    due = []
    for column in columns:
        interval = mapping.by_ours[column].min_interval
        if interval is None or column not in sent:
            return None
        due.append(sent[column] + interval)
    first = min(due)
    return first if first > now else None
