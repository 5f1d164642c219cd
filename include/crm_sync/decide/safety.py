"""Safety: what of a plan is so much that a person has to say yes to it first, in words.

Pure.  A plan asks for approval when too large a share of the linked records of one object would be overwritten or
deleted on one side, when one side would be empty, or when a first sync would make very many records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from crm_sync.model import Object, Side

__all__ = ["PLACE", "Limits", "Made", "Touched", "enough_linked", "unsafe"]

PLACE: dict[Side, str] = {"ours": "in GPTWeb", "theirs": "in the CRM"}
_GONE: dict[Side, str] = {"ours": "archived in GPTWeb", "theirs": "deleted in the CRM"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What goes unasked.

    ``share``: of the linked records of one object, up to which they may be overwritten or deleted on one side; None:
    any share.  ``least``: from how many linked records on a share says anything.  ``creations``: of a first sync; None:
    any number.  ``deletes``: whether a delete goes unasked at all, below the share.
    """

    share: float | None
    least: int
    creations: int | None = None
    deletes: bool = True


@dataclass(frozen=True, slots=True)
class Touched:
    """Of the ``linked`` records of one object, how many a plan overwrites and how many it deletes on one side."""

    object: Object
    side: Side
    linked: int
    overwritten: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """How many records a plan makes on either side."""

    ours: int = 0
    theirs: int = 0


def enough_linked(affected: int, limits: Limits) -> int | None:
    """From how many linked records on it is safe to touch ``affected`` of them; None: no number is enough."""
    if limits.share is None:
        return 0
    return ceil(affected / limits.share) if limits.share else None


def unsafe(touched: Iterable[Touched], made: Made, limits: Limits) -> tuple[str, ...]:
    """Why the plan needs a person's approval, a reason each; nothing when it is safe."""
    reasons = [reason for each in touched for reason in _reasons(each, limits)]
    total = made.ours + made.theirs
    if limits.creations is not None and total > limits.creations:
        reasons.append(
            f"the first sync would make {total:,} records ({made.theirs:,} in the CRM, {made.ours:,} in GPTWeb), "
            f"more than {limits.creations:,}"
        )
    return tuple(reasons)


def _reasons(touched: Touched, limits: Limits) -> Iterable[str]:
    linked = f"{touched.linked:,} linked {touched.object}s"
    if _emptied(touched, limits):
        yield f"all {linked} would be {_GONE[touched.side]}"
    elif _is_too_much(touched.deleted, touched.linked, limits):
        yield f"{_of(touched.deleted, linked, touched)} would be {_GONE[touched.side]}"
    elif touched.deleted and not limits.deletes:
        yield f"{touched.deleted:,} {touched.object}s would be {_GONE[touched.side]}"
    if _is_too_much(touched.overwritten, touched.linked, limits):
        yield f"{_of(touched.overwritten, linked, touched)} would lose a value {PLACE[touched.side]}"


def _is_too_much(count: int, linked: int, limits: Limits) -> bool:
    return limits.share is not None and linked >= limits.least and count > limits.share * linked


def _emptied(touched: Touched, limits: Limits) -> bool:
    """A single record that goes is a delete like any other."""
    return limits.share is not None and 1 < touched.linked <= touched.deleted


def _of(count: int, linked: str, touched: Touched) -> str:
    return f"{count:,} of {linked} ({count / touched.linked:.0%})"
