"""Whether the promises held (design.md section 3): what the sides show and what the ledger says, against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crm_sync.model import Value
from tests.crm_sync.engine.truth import OWNED, Event, Recorded, Truth, plain
from tests.crm_sync.engine.world import Line
from tests.crm_sync.soak.plot import COLUMNS
from tests.crm_sync.soak.stage import Record, Stage

__all__ = ["EXEMPTIONS", "KINDS", "ON_THE_STANDIN", "Problem", "judge", "judge_silence"]

KINDS = ("lost update", "duplicate", "wrong silence", "noise", "existence", "accounting", "error")
"""wrong silence: the sides differ, and no run says a word.  noise: nothing happened, and a run acts all the same."""

EXEMPTIONS = {
    "one way: edits stay on their side": "in a connection of one direction the other side's edits stay there",
    "one way: nobody is made": "and neither are its new records made on the side that is not written",
    "one way: existence": "nor is their existence",
    "one way: our measures": "a pull never sends the measures that GPTWeb owns",
    "one way: made again": "what is typed there never travels where it is only pushed, nor before the record is made again",
    "one way: opt-out": "an opt-out wins where it is, and never goes against the direction",
    "one way: blank of a survivor": "what the survivor of a merge lacks is no clear, and is not filled against the direction",
    "one way: nobody typed it": "a default of theirs, or of ours, stays on its side",
    "one way: merged unread": "who typed what into a record that was merged before it was read can't be told",
    "one way: went with its lead": "where nothing comes from there, what only a lead has a field for goes with the lead that is converted",
    "no creations: existence": "without creations nothing deleted is made again",
    "a person decides: one side": "who waits for a person may have no counterpart",
    "a person decides: twins": "and may stand twice",
    "a person decides: edits": "and what was typed there goes nowhere until then",
    "reference to one side": "an account that stands on one side only, or waits for a person, can't be referred to on the other",
    "parked": "a refused value stays where it was typed",
    "archived": "what an archived record of ours holds is not lost",
    "died with its record": "what a deleted or merged record lost to another value, it lost with the record",
    "dead reference": "a reference typed into a record that died unread is nobody's any more",
    "deleted unread": "what was typed into a record that was deleted before it was read",
    "merged unread": "and into one that was merged before it was read",
    "twin by merge": "who goes on as somebody else leaves a twin that is a person of its own",
}
"""What looks like a broken promise and is none.  Each is needed: test_exemptions.py names a scene that it saves."""
ON_THE_STANDIN = ("one way: nobody typed it", "reference to one side")
"""Of these, what only scenes on the stand-in need, where a new lead has a status by itself."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken promise; ``schedule`` None where it can't be told whose."""

    schedule: int | None
    kind: str
    text: str


def judge(stage: Stage, without: str = "") -> list[Problem]:
    """After the calm: convergence, no lost update, no duplicate, agreement on who is there, accounting.

    ``without``: one of EXEMPTIONS that is not made.
    """
    stage.catch_up()
    ends = _Ends(stage, without)
    return [
        *(Problem(None, "error", text) for text in stage.strange),
        *ends.apart(),
        *ends.unequal(),
        *ends.doubled(),
        *ends.lost(),
        *(Problem(None, "accounting", text) for text in stage._miscounted()),
    ]


def judge_silence(stage: Stage) -> list[Problem]:
    """One more run plans nothing, writes nothing on either side, and costs one call."""
    problems = []
    for crm, store in stage.stores.items():
        before, calls = dict(stage.shown), store.calls
        written, versions = store.written, stage.versions()
        run = stage.start(crm, objects=stage.scene.objects).finish()
        stage.catch_up()
        rows = stage.client.execute(
            "select our_id::text, their_id, op, after::text, rules::text from crm_sync.change where run_id = %s", (run.run_id,)
        )  # fmt: skip
        problems += [
            Problem(stage.owner.get(("ours", our_id), stage.owner.get((crm, their_id))), "noise", f"a calm run planned {what}")
            for our_id, their_id, *what in rows
        ]  # fmt: skip
        if (stage.shown, store.written, stage.versions()) != (before, written, versions) and not problems:
            problems.append(Problem(None, "noise", "a calm run wrote"))
        pages = sum(len(store.everybody(o)) for o in stage.scene.objects) // store.page_size
        if not 1 <= store.calls - calls <= 1 + pages:
            problems.append(Problem(None, "noise", f"a calm run cost {store.calls - calls} calls"))
        if run.report is None or run.report.state not in ("succeeded", "succeeded_with_parked"):
            problems.append(Problem(None, "noise", f"a calm run ended {run.report} {run.error}"))
    return problems


def _was_agreed(event: Event) -> bool:
    """Whether the value has been on both sides, now or before it was typed over and typed again."""
    earlier: Event | None = event
    while earlier is not None:
        if earlier.value == event.value and earlier.reached:
            return True
        earlier = earlier.over
    return event.value is None  # as blank as it began


class _Ends:
    """Both sides at the end, and what the ledger says of them."""

    def __init__(self, stage: Stage, without: str = "") -> None:
        self.stage = stage
        self.exempt = EXEMPTIONS.keys() - {without}
        self.links: list[tuple[str, str, str, str, str]] = stage.client.execute(
            "select connection, object, our_id::text, their_id, state from crm_sync.link where their_id is not null"
        ).fetchall()
        parked = stage.client.execute(
            "select connection, our_id::text, their_id, field from crm_sync.parked where lifted_at is null"
        ).fetchall()
        self.waiting: set[Record] = {
            side
            for crm, o, t, field in parked
            if field is None
            for side in (("ours", o), (crm, t))
            if side[1]
        }
        self.parked = {(crm, o, field) for crm, o, _, field in parked if field is not None}

    def _who_waits(self, exemption: str) -> set[Record]:
        return self.waiting if exemption in self.exempt else set()

    def _of(self, record: Record) -> int | None:
        return self.stage.owner.get(record)

    def _truth(self, record: Record) -> Truth:
        return self.stage.truths[self.stage.owner[record]]

    def apart(self) -> list[Problem]:
        """Living pairs agree, apart from what is parked, and nobody living has no counterpart."""
        problems = []
        for crm, _, our_id, their_id, _ in self.links:
            ours, theirs = self.stage.shown.get(("ours", our_id)), self.stage.shown.get((crm, their_id))
            if ours is None or theirs is None:
                continue
            for column in ours.keys() & theirs.keys():
                if plain(ours[column]) == plain(theirs[column]) or (crm, our_id, column) in self.parked:
                    continue
                if not self._may_differ(column, ("ours", our_id), (crm, their_id)):
                    text = f"{column} of {our_id} is {ours[column]!r} here and {theirs[column]!r} in {crm}"
                    problems.append(Problem(self._of(("ours", our_id)), "wrong silence", text))
        known = {("ours", o) for _, _, o, _, _ in self.links} | {(c, t) for c, _, _, t, _ in self.links}
        if self.stage.scene.creates:
            problems += [
                Problem(self._of(record), "wrong silence", f"{record} has no counterpart")
                for record in self.stage.shown.keys() - known - self._who_waits("a person decides: one side")
                if not self._stays_alone(record)
            ]
        return problems

    def _may_differ(self, column: str, ours: Record, theirs: Record) -> bool:
        """In a connection of one direction what is typed on the other side stays there, until ours is edited again."""
        direction = self.stage.scene.direction
        if column == "account_id" and "reference to one side" in self.exempt:
            accounts = {self.stage.shown[r][column] for r in (ours, theirs)} - {None}
            if any(self._cannot_go(str(account)) for account in accounts):
                return True
        if direction == "bidirectional":
            return False
        held = [self.stage.shown[record][column] for record in (ours, theirs)]
        merged = self.stage.unread_of("merged unread")
        cells = self._truth(ours).cells
        source, target = (ours, theirs) if direction == "push" else (theirs, ours)
        typed, sent = cells.get((*target, column)), cells.get((*source, column))
        stays = typed is not None and typed.side == target[0]
        found = {
            "one way: merged unread": self._truth(ours).person(*ours) in merged,
            "one way: nobody typed it": typed is None and sent is None,
            "one way: opt-out": column == "do_not_call" and True in held,
            "one way: blank of a survivor": direction == "pull" and theirs in self.stage.winners and held[1] is None,
            "one way: our measures": direction == "pull" and column in OWNED,
            "one way: edits stay on their side": stays and (sent is None or _was_agreed(sent) or sent.side == target[0]),
        }  # fmt: skip
        return any(holds and name in self.exempt for name, holds in found.items())

    def _cannot_go(self, label: str) -> bool:
        """An account that stands on one side only, by the settings or because it is deleted or left to a person."""
        person = label.removeprefix("@")
        truth = (
            self.stage.truths[int(person.split(".")[0])] if person[0].isdigit() and "." in person else None
        )
        if truth is None:
            return True
        there = {r for r, p in truth.names.items() if p == person and r in self.stage.shown}
        linked = {("ours", o) for _, _, o, _, _ in self.links} | {(c, t) for c, _, _, t, _ in self.links}
        return len({side for side, _ in there}) < 2 or not there <= linked or bool(there & self.waiting)

    def _stays_alone(self, record: Record) -> bool:
        alone = (self.stage.scene.direction, record[0] == "ours") in (("push", False), ("pull", True))
        return alone and "one way: nobody is made" in self.exempt

    def unequal(self) -> list[Problem]:
        """Both are there, or neither is, or the settings let them differ."""
        if self.stage.scene.direction != "bidirectional" and "one way: existence" in self.exempt:
            return []
        if not self.stage.scene.creates and "no creations: existence" in self.exempt:
            return []
        problems = []
        rows = self.stage.client.execute(
            """select l.connection, l.our_id::text, l.their_id, o.deleted_at is null and o.id is not null, o.archived_by
            from crm_sync.link l left join (select id, deleted_at, archived_by from gptweb.contacts
              union all select id, deleted_at, archived_by from gptweb.accounts
              union all select id, deleted_at, archived_by from gptweb.leads) o on o.id = l.our_id
            where l.their_id is not null and l.state in ('live', 'gone')"""
        ).fetchall()
        for crm, our_id, their_id, here, archiver in rows:
            there = not self.stage.stores[crm].image(their_id).deleted
            if {("ours", our_id), (crm, their_id)} & self.waiting or (crm, our_id, "exists") in self.parked:
                continue  # left to a person, or parked: part of promise 1, and of no scene of the fixed seeds
            if here and not there and self.stage.their_delete_is != "keep":
                problems.append((our_id, f"{our_id} lives, {their_id} of {crm} is deleted"))
            if there and not here and (self.stage.our_archive_is != "keep" or archiver == "engine"):
                problems.append((our_id, f"{our_id} is archived by {archiver}, {their_id} of {crm} lives"))
        return [Problem(self._of(("ours", our_id)), "existence", text) for our_id, text in problems]

    def doubled(self) -> list[Problem]:
        """No person stands twice on one side, unless that is left to somebody to decide."""
        found: dict[tuple[int, str, str, str], list[str]] = {}
        for record in self.stage.shown.keys() - self._who_waits("a person decides: twins"):
            key = (
                self.stage.owner[record],
                record[0],
                self.stage.objects[record],
                self._truth(record).person(*record),
            )
            found.setdefault(key, []).append(record[1])
        twins = self.stage.twins if "twin by merge" in self.exempt else set()
        return [
            Problem(key[0], "duplicate", f"{key[3]} stands {len(ids)} times in {key[1]}: {sorted(ids)}")
            for key, ids in found.items() if len(ids) > 1 and key[3] not in twins
        ]  # fmt: skip

    def lost(self) -> list[Problem]:
        """No lost update, and no false conflict."""
        recorded: dict[int, list[Recorded]] = {}
        for line in self.stage.trail():
            owner = self._of(("ours", line.our_id or ""))
            if owner is not None and line.outcome in (
                "acknowledged",
                "overruled",
                "restored",
                "unseen_window",
            ):
                overruled = line.outcome == "overruled" and not self._goes_with_its_record(line.rule)
                recorded.setdefault(owner, []).extend(
                    Recorded(person, line.field or "", self.stage.label(line.before), self.stage.label(line.after),
                             overruled, line.outcome == "unseen_window")
                    for person in self._persons(line)
                )  # fmt: skip
        return [
            Problem(number, "lost update", text)
            for number, truth in enumerate(self.stage.truths)
            for text in self._lost_of(number, truth, recorded.get(number, []))
        ]

    def _persons(self, line: Line) -> set[str]:
        """Whom a line of the trail is about: who was merged while a run linked it, unread, goes on as somebody else's record."""
        sides = [("ours", line.our_id or ""), *((crm, line.their_id or "") for crm in self.stage.crms)]
        return {self._truth(record).person(*record) for record in sides if record in self.stage.owner}

    def _goes_with_its_record(self, rule: str) -> bool:
        """Whether a value was lost with a record that a person deleted or merged, and not to another value."""
        if rule == "created_again":
            return self.stage.scene.direction == "push" and "one way: made again" in self.exempt
        return rule.startswith(("deleted_", "merged")) and "died with its record" in self.exempt

    def _lost_of(self, number: int, truth: Truth, recorded: list[Recorded]) -> list[str]:
        one_way = self.stage.scene.direction != "bidirectional"
        final: dict[tuple[str, str], list[Value]] = {}
        for record, values in self.stage.shown.items():
            if self._of(record) == number and (
                record[0] == "ours" or one_way or not self.stage.scene.creates
            ):
                for column, value in values.items():
                    final.setdefault((truth.person(*record), column), []).append(value)
        if "archived" in self.exempt:
            for (person, column), held in self._archived(number, truth).items():
                final.get((person, column), []).extend(held)  # it lies there still
        waiting = {
            self._truth(r).person(*r)
            for r in self._who_waits("a person decides: edits")
            if r in self.stage.owner
        }
        unread = [
            self.stage.unread_of(cause)
            for cause in ("deleted unread", "merged unread")
            if cause in self.exempt
        ]
        excused = waiting.union(*unread)
        columns = {
            (truth.person("ours", o), column) for _, o, column in self.parked if o is not None and "parked" in self.exempt
        }  # fmt: skip
        if "dead reference" in self.exempt:
            columns |= {
                (truth.person(*r), "account_id")
                for r in self._of_schedule(number)
                if r not in self.stage.shown
            }
        if self.stage.scene.direction == "push" and "one way: went with its lead" in self.exempt:
            columns |= {
                (truth.person(*r), column)
                for r in self._of_schedule(number)
                if self._was_converted(r)
                for column in COLUMNS["lead"]
                if column not in COLUMNS["contact"]
            }
        return [*truth.lost(recorded, final, excused, columns), *truth.wrong_winners(recorded)]

    def _was_converted(self, record: Record) -> bool:
        side, id = record
        return side != "ours" and self.stage.stores[side].image(id).converted_to is not None

    def _of_schedule(self, number: int) -> list[Record]:
        return [record for record, owner in self.stage.owner.items() if owner == number]

    def _archived(self, number: int, truth: Truth) -> dict[tuple[str, str], list[Value]]:
        """What archived records of ours hold."""
        found: dict[tuple[str, str], list[Any]] = {}
        for (side, id), object in self.stage.objects.items():
            if side != "ours" or self.stage.owner[side, id] != number or (side, id) in self.stage.shown:
                continue
            row = self.stage.held(id, object)
            for column in COLUMNS[object]:
                found.setdefault((truth.person(side, id), column), []).append(row.get(column))
        return found
