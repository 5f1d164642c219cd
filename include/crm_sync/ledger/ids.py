"""Ids of new records of ours."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

__all__ = ["new_ids"]


def new_ids(count: int) -> list[str]:
    """UUIDs of version 7 (RFC 9562 5.7), ascending: neighbours in time are neighbours in every index, and on its pages."""
    moment = time.time_ns() // 1_000_000 << 80 | 7 << 76 | 2 << 62
    random = secrets.token_bytes(10 * count)
    drawn = sorted(int.from_bytes(random[i : i + 10]) >> 6 for i in range(0, len(random), 10))
    return [str(UUID(int=moment | number >> 62 << 64 | number & (1 << 62) - 1)) for number in drawn]
