"""First match of two records that are not linked yet: link, create, or leave it to a person.

Pure.  By e-mail for contacts and leads, by website domain, else exact name, for accounts; never between objects
(design.md "Identity").  It links only if exactly one unlinked record on each side matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crm_sync.model import Side

__all__ = ["Ambiguous", "Candidates", "Create", "Match", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who shares one match key with a record: unlinked ones on its own side (itself included) and the other side's."""

    column: str
    key: str | None
    same_side: int
    free: tuple[str, ...]
    linked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The one record of the other side that is the same person or company, and the column that shows it."""

    id: str
    column: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several records could be the one, or the only one is linked already: a person has to say."""

    cause: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Create:
    """Nobody on the other side matches."""


Verdict = Match | Ambiguous | Create


def judge(levels: Sequence[Candidates], side: Side) -> Verdict:
    """Decide about a record of ``side`` by the first level on which the other side has anybody.

    ``levels`` are in order of preference.
    """
    here, there = ("GPTWeb", "the CRM") if side == "ours" else ("the CRM", "GPTWeb")
    with_key = [level for level in levels if level.key is not None]
    for level in with_key:
        if len(level.free) == 1 and level.same_side == 1:
            return Match(level.free[0], level.column)
        if level.free:
            return Ambiguous(
                f"the {level.column} {level.key} is that of {level.same_side} in {here} and of {len(level.free)} in {there}",
                level.free,
            )
        if level.linked:
            return Ambiguous(
                f"the {level.column} {level.key} belongs to a record that is already linked to another one",
                level.linked,
            )
    if with_key and with_key[-1].same_side > 1:
        last = with_key[-1]
        return Ambiguous(f"the {last.column} {last.key} is that of {last.same_side} records in {here}", ())
    return Create()
