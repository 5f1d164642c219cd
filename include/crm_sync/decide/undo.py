"""Undo: from what runs did to one record, and what stands now, to what is put back, what is kept and what can't be.

Pure.  Everything is written into our record alone and the sync carries it on (algorithm.md, hole 25).  The changes are
taken back from the newest to the oldest, each only where its value still stands, so that a later edit is never lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from crm_sync.decide.existence import EXISTS
from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.decide.undo_words import REMOVALS, VERDICTS, Line, Recorded, Verdict
from crm_sync.decide.values import same
from crm_sync.model import Link, OurRecord, Value

__all__ = ["undo"]

FIRST_FILL = "filled_blank"
_ASLEEP = "our record is archived; take it out of the archive first"


def undo(
    mapping: ObjectMapping, recorded: Sequence[Recorded], link: Link | None, ours: OurRecord | None,
    parents: Collection[str] = (), *, pulls_only: bool = False, removals: bool = True,
) -> tuple[Line, ...]:  # fmt: skip
    """Decide about one record; ``recorded`` newest first, ``parents``: which accounts of ours are there.

    ``pulls_only``: the connection never writes to the CRM.  ``removals``: records that were made may be taken away.
    """
    if ours is None:
        runs = tuple(dict.fromkeys(r.run_id for r in recorded))
        return (Line("impossible", EXISTS, False, True, runs, "our record is gone for good"),) if runs else ()
    undoing = _Undoing(mapping, link, ours, parents, pulls_only=pulls_only, removals=removals)
    return undoing.lines(recorded)


class _Undoing:
    """One record while its changes are taken back, one after the other."""

    def __init__(
        self, mapping: ObjectMapping, link: Link | None, ours: OurRecord, parents: Collection[str], *,
        pulls_only: bool, removals: bool,
    ) -> None:  # fmt: skip
        self.mapping = mapping
        self.link = link
        self.ours = ours
        self.parents = parents
        self.pulls_only = pulls_only
        self.removals = removals
        self.values = dict(ours.values)
        self.alive = not ours.deleted
        self.theirs: Literal["withdraw", "make again"] | None = None
        self.runs: dict[str, list[int]] = {}
        self.told: dict[str, Line] = {}

    def lines(self, recorded: Sequence[Recorded]) -> tuple[Line, ...]:
        """The verdicts, those that do something first, each field once."""
        for change in recorded:
            if change.op == "update":
                for name in change.fields:
                    self._field(change, name)
                for name in change.doubtful:
                    self._tell("impossible", name, self.values.get(name), None, change, _DOUBTFUL)
            elif change.fields or change.doubtful:
                self._existence(change)
        return tuple(sorted(self._all(), key=lambda line: (VERDICTS.index(line.verdict), line.field)))

    def _all(self) -> Iterable[Line]:
        exists = self._exists()
        if exists:
            yield exists
        there = not self.ours.deleted
        stays = self.alive or (there and not self.removals)
        for name, value in self.values.items():
            runs, present = tuple(self.runs.get(name, ())), self.ours.values[name]
            if not runs:
                continue
            if same(value, present):
                if name not in self.told:
                    yield Line("already", name, present, present, runs)
            elif stays:
                yield Line("put back", name, present, value, runs)
            elif not there:
                yield Line("impossible", name, present, value, runs, _ASLEEP)
            # Otherwise it goes away with its record.
        yield from self.told.values()

    def _exists(self) -> Line | None:
        """What is to be done so that the records are there, or not, as before."""
        runs = tuple(self.runs.get(EXISTS, ()))
        there = not self.ours.deleted
        if self.alive == there and self.theirs is None:
            return Line("already", EXISTS, there, there, runs) if runs else None
        if self.alive != there:
            line = Line("bring back" if self.alive else "archive", EXISTS, there, self.alive, runs)
        else:
            line = Line(
                self.theirs or "withdraw",
                EXISTS,
                self.theirs == "withdraw",
                self.theirs != "withdraw",
                runs,
                _WHERE,
            )
        if line.verdict in REMOVALS and not self.removals:
            return replace(line, verdict="kept", why=_NOT_REMOVED)
        return line

    # ------------------------------------------------------------------------------------------ fields

    def _field(self, change: Recorded, name: str) -> None:
        """Take one field of one change back, if its value still stands."""
        if name == KEY or name in self.told:
            return
        mapped = self.mapping.by_ours.get(name)
        before = change.slipped.get(name, change.before.get(name))
        present = self.values.get(name)
        why = self._barred(mapped, change, name, before)
        if why:
            self._tell("impossible", name, present, before, change, why)
        elif why := self._changed_there(name):
            self._tell("kept", name, present, before, change, why)
        elif same(present, change.after[name]):
            self.values[name] = before
            self.runs.setdefault(name, []).append(change.run_id)
        elif same(present, before):
            self.runs.setdefault(name, []).append(change.run_id)
        else:
            self._tell("kept", name, present, before, change, "changed since")

    def _barred(self, mapped: FieldMapping | None, change: Recorded, name: str, before: Value) -> str | None:
        """Why nothing that undo writes into ours would take this field back."""
        if mapped is None or name not in self.ours.values:
            return "the field is not mapped any more"
        if mapped.direction != "both":
            return _OWNED[mapped.direction]
        if name not in change.after or (name not in change.before and name not in change.slipped):
            return "its values are not recorded, or were erased"
        return self._unwise(mapped, change, name, before)

    def _unwise(self, mapped: FieldMapping, change: Recorded, name: str, before: Value) -> str | None:
        """Why writing the value before into ours would do something else than take the change back."""
        if change.rules.get(name) == FIRST_FILL:
            return "it filled a blank; taking it back would clear the value on the side that it came from"
        if mapped.opts_out and change.after[name] and not before:
            return "an opt-out is not taken back by an undo; a person has to say so"
        if mapped.references and before is not None and before not in self.parents:
            return "the account that it referred to is not there any more"
        return None

    def _changed_there(self, name: str) -> str | None:
        """Whether a person of the CRM edited the field since, which the next sync will bring."""
        link = self.link
        if link is None or link.state != "live" or name not in link.base_theirs or name not in link.seen:
            return None
        return None if same(link.seen[name], link.base_theirs[name]) else "changed in the CRM since"

    def _tell(
        self, verdict: Verdict, name: str, present: Value, target: Value, change: Recorded, why: str
    ) -> None:
        """A verdict that stands for the field, whatever older changes of it say."""
        if name != KEY:
            self.told.setdefault(name, Line(verdict, name, present, target, (change.run_id,), why))

    # --------------------------------------------------------------------------------------- existence

    def _existence(self, change: Recorded) -> None:
        """Take back that a record was made, archived, brought back or deleted."""
        if EXISTS in self.told:
            return
        fate: tuple[Verdict, str] = ("impossible", _ERASED) if change.erased else self._fate(change)
        verdict, why = fate
        if verdict in ("kept", "impossible"):
            self._tell(verdict, EXISTS, self.alive, change.op in ("archive", "delete"), change, why)
            return
        self.runs.setdefault(EXISTS, []).append(change.run_id)
        if verdict in ("bring back", "archive"):
            self.alive = verdict == "bring back"
        elif verdict in {"withdraw", "make again"}:
            self.theirs = verdict if self.theirs in (None, verdict) else None

    def _fate(self, change: Recorded) -> tuple[Verdict, str]:
        link = self.link
        if change.op == "convert" or (link and link.state in ("merged", "converted")):
            return (
                "impossible",
                "a merge or a conversion can't be taken back; see what it recorded in the trail",
            )
        if change.doubtful:
            return "impossible", _DOUBTFUL
        if change.side == "theirs":
            return self._their_fate(change, link)
        if change.op == "archive":
            return ("already", "") if self.alive else ("bring back", "")
        if not self.alive:
            return "already", ""
        edited = self._edited(change) if change.op == "create" else None
        return ("kept", edited) if edited else ("archive", "")

    def _their_fate(self, change: Recorded, link: Link | None) -> tuple[Verdict, str]:
        """Their record was made (withdraw it) or deleted: by a delete of ours (bring ours back) or by an undo."""
        if change.op == "delete":
            if not self.alive:
                return "bring back", ""
            gone = link is not None and (link.withdrawn or not link.their_alive)
            return ("make again", "") if gone else ("already", "")
        if link is None or not link.their_alive or link.their_id is None or link.withdrawn:
            return "already", ""
        if self.pulls_only:
            return "impossible", "the connection does not write to the CRM; delete the record there"
        edited = self._edited(change)
        return ("kept", edited) if edited else ("withdraw", "")

    def _edited(self, change: Recorded) -> str | None:
        """Whether anybody worked on a record since it was made; what a side owns alone is no work on it."""
        for mapped in self.mapping.fields:
            name = mapped.ours
            if mapped.direction == "out" or name in change.doubtful:
                continue
            if why := self._changed_there(name):
                return f"{name} was {why}"
            made = change.after.get(name) if name in change.fields else None
            if EXISTS in change.fields or (mapped.references and made is None):
                continue  # nothing is recorded of its values; a reference follows its record
            if (
                name in self.values
                and not same(self.values[name], made)
                and not _blank(self.values[name], made)
            ):
                return f"{name} was edited since"
        return None


def _blank(value: Value, made: Value) -> bool:
    """A boolean is never blank: false says no more than nothing does."""
    return value is False and made is None


_DOUBTFUL = "nobody knows yet whether it was written; undo it once a sync has found out"
_ERASED = "the person was erased, and nothing brings them back"
_NOT_REMOVED = "made or brought back then; an undo takes records away only where it is told to remove them"
_WHERE = "carried out in the CRM by the next sync"
_OWNED = {
    "out": "GPTWeb owns this field: its value only travels out, and comes from GPTWeb itself",
    "in": "the CRM owns this field: the next sync would bring its value again",
}
