"""Ids of new records of ours."""

from __future__ import annotations

import secrets
import time

__all__ = ["new_ids"]

VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""Two bits of this digit say which variant of UUID it is, the other two are random."""


def new_ids(count: int) -> list[str]:
    """UUIDs of version 7 (RFC 9562 5.7), ascending: neighbours in time are neighbours in every index, and on its pages."""
    moment = f"{time.time_ns() // 1_000_000:012x}"
    prefix = f"{moment[:8]}-{moment[8:]}-7"
    random = secrets.token_hex(10 * count)
    drawn = [random[i : i + 20] for i in range(0, len(random), 20)]
    return sorted(f"{prefix}{r[:3]}-{VARIANT[r[3]]}{r[4:7]}-{r[7:19]}" for r in drawn)
