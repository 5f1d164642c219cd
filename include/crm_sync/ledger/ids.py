"""Ids of new records of ours."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

__all__ = ["new_ids"]


def new_ids(count: int) -> list[str]:
    """UUIDs of version 7 (RFC 9562 5.7), ascending: neighbours in time are neighbours in every index, and on its pages."""
    moment = time.time_ns() // 1_000_000 << 80 | 7 << 76 | 2 << 62
    drawn = sorted(secrets.randbits(74) for _ in range(count))
    return [str(UUID(int=moment | number >> 62 << 64 | number & (1 << 62) - 1)) for number in drawn]
