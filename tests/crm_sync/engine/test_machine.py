"""Random search: people, runs, crashes and late commits in any order; whatever happens, the promises hold.

Every transaction and every sub-request of a run is a point where anything else may happen.  The seed is fixed, so that
a push tests what was tested before; CRM_SYNC_MACHINE_EXAMPLES and CRM_SYNC_MACHINE_SEED search further.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crm_sync.model import Object, RunKind, Value, Write
from tests.crm_sync.conftest import empty
from tests.crm_sync.engine.world import LATE, STAGES, Running, World

EXAMPLES = int(os.environ.get("CRM_SYNC_MACHINE_EXAMPLES", "40"))
SEED = int(os.environ.get("CRM_SYNC_MACHINE_SEED", "1"))
SECOND = timedelta(seconds=1)
STEPS = int(os.environ.get("CRM_SYNC_MACHINE_STEPS", "30"))

POLICIES = st.sampled_from(["crm_wins", "gptweb_wins", "most_recent"])
COLUMNS = st.sampled_from(["title", "title", "phone", "total_score"])
POINTS = st.sampled_from(["answered", "pull", "plan", "push_ours", "sent", "written", "push_theirs"])
EDITS = st.lists(st.sampled_from(["ours", "theirs", "both"]), max_size=2)
KINDS = st.sampled_from(["plain"] * 6 + ["clear", "refused", "old", "long"])
"""How a value is typed: a fresh one, none, one that the CRM refuses, one that stood before, in a long transaction."""


class Machine(RuleBasedStateMachine):
    """People and runs on one or two CRMs."""

    url = ""
    crms: tuple[str, ...] = ("crm",)
    features: frozenset[str] = frozenset()

    # ------------------------------------------------------------------------------------------- people

    @initialize(
        policy=POLICIES, skew=st.sampled_from([0, 0, 3, -3]), keeps=st.booleans(), deletes=st.booleans()
    )
    def begin(self, policy: str, skew: int, keeps: bool, deletes: bool) -> None:
        empty(self.url)
        fates = {
            "their_delete": "keep" if keeps else "archive",
            "our_archive": "delete" if deletes else "keep",
        }
        settings: dict[str, Any] = fates if "delete" in self.features else {}
        self.world = World(self.url, policy, self.crms, skew, **settings).with_person()
        self.live: list[Running] = []
        self.done: list[Running] = []
        self.late: list[tuple[float, str, tuple[Object, tuple[Write, ...]]]] = []
        self.typing: list[tuple[float, str, str, str, Value, Any]] = []
        self.typed = 0

    def value(self, column: str, kind: str) -> Value:
        self.typed += 1
        if column == "total_score":
            return float(self.typed + 100)
        fresh = {"clear": None, "refused": f"bad v{self.typed}", "old": "n0"}
        return fresh.get(kind, f"v{self.typed}")

    @rule(who=st.integers(0, 3), column=COLUMNS, kind=KINDS)
    def our_edit(self, who: int, column: str, kind: str) -> None:
        ours = sorted({cell[1] for cell in self.world.look() if cell[0] == "ours"})
        if ours:
            self.world.our_edit(column, self.value(column, kind), ours[who % len(ours)])

    @rule(crm=st.integers(0, 1), who=st.integers(0, 3), column=COLUMNS, kind=KINDS)
    def their_edit(self, crm: int, who: int, column: str, kind: str) -> None:
        name = self.crms[crm % len(self.crms)]
        theirs = sorted({cell[1] for cell in self.world.look() if cell[0] == name})
        if not theirs:
            return
        id = theirs[who % len(theirs)]
        if self.is_locked(id):
            return
        value = self.value(column, "plain" if kind == "refused" else kind)
        if kind == "long":
            stamp = self.world.now + self.world.skew
            self.typing.append((self.world.monotonic() + LATE, name, id, column, value, stamp))
        else:
            self.world.their_edit(column, value, name, id)

    def is_locked(self, id: str) -> bool:
        """A long transaction holds the record."""
        return any(waiting[2] == id for waiting in self.typing)

    @rule(crm=st.integers(0, 1), column=st.sampled_from(["title", "phone"]))
    def same_on_both_sides(self, crm: int, column: str) -> None:
        name = self.crms[crm % len(self.crms)]
        now, id = self.world.look(), self.world.theirs[name]
        if ("ours", self.world.ours, column) in now and (name, id, column) in now and not self.is_locked(id):
            value = self.value(column, "plain")
            self.world.our_edit(column, value)
            self.world.their_edit(column, value, name)

    @precondition(lambda self: self.typed < 40)
    @rule(side=st.integers(0, 2), which=st.integers(1, 2))
    def create(self, side: int, which: int) -> None:
        """The same two people may appear on any side, at any time."""
        names = ("ours", *self.crms)
        name, email = names[side % len(names)], f"e{which}@example.com"
        if any(key[0] == name and person == email for key, person in self.world.truth.names.items()):
            return
        if name == "ours":
            self.world.our_new(title=self.value("title", "plain"), email=email)
        else:
            self.world.their_new(name, title=self.value("title", "plain"), email=email)

    @precondition(lambda self: "delete" in self.features)
    @rule(crm=st.integers(0, 1), who=st.integers(0, 3), back=st.booleans())
    def their_delete(self, crm: int, who: int, back: bool) -> None:
        store = self.world.crms[self.crms[crm % len(self.crms)]]
        there = sorted(store.everybody("contact"))
        id = there[who % len(there)]
        image = store.image(id)
        if self.is_locked(id) or image.deleted != back or image.merged_into:
            return
        if not back:
            if id not in {their_id for _, _, their_id in self.world.links()} and image.our_id is None:
                self.world.excused.add(self.world.truth.person(self.crms[crm % len(self.crms)], id))
            store.person_deletes(id)
        elif image.values["email"] not in {i.values["email"] for i in store.images("contact")}:
            store.person_undeletes(id)
        self.world.compare()

    @precondition(lambda self: "delete" in self.features)
    @rule(who=st.integers(0, 3), back=st.booleans())
    def our_delete(self, who: int, back: bool) -> None:
        rows = self.world.client.execute(
            "select id::text, email, deleted_at is null from gptweb.contacts order by 1"
        ).fetchall()
        id, email, alive = rows[who % len(rows)]
        if back and not alive and email not in {e for _, e, a in rows if a}:
            self.world.our_unarchive(id)
        elif alive and not back:
            self.world.our_archive(id)
        self.world.compare()

    @precondition(lambda self: "merge" in self.features)
    @rule(
        one=st.integers(0, 3),
        two=st.integers(0, 3),
        take=st.sampled_from([(), ("title",), ("title", "phone")]),
    )
    def their_merge(self, one: int, two: int, take: tuple[str, ...]) -> None:
        living = sorted(image.id for image in self.world.crms[self.crms[0]].images("contact"))
        if not living:
            return
        winner, loser = living[one % len(living)], living[two % len(living)]
        if winner != loser and not self.is_locked(winner) and not self.is_locked(loser):
            self.world.their_merge(winner, loser, *take)

    @rule(seconds=st.sampled_from([1, 1, 1, 3, 9]))
    def tick(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.tick()
            self.commit_what_is_due()

    def commit_what_is_due(self) -> None:
        now = self.world.monotonic()
        for waiting in [w for w in self.typing if w[0] <= now]:
            self.typing.remove(waiting)
            _, crm, id, column, value, stamp = waiting
            self.world.their_edit(column, value, crm, id, stamp=stamp)
        for due, crm, request in [w for w in self.late if w[0] <= now]:
            self.late.remove((due, crm, request))
            self.world.serve_late(crm, request)

    # --------------------------------------------------------------------------------------------- runs

    @rule(crm=st.integers(0, 1), kind=st.sampled_from(["sync", "sync", "backfill"]))
    def start(self, crm: int, kind: RunKind) -> None:
        if len(self.live) < 3:
            server = self.world.now + self.world.skew
            window = {"since": server - 9 * SECOND, "until": server - SECOND} if kind == "backfill" else {}
            self.live.append(self.world.start(self.crms[crm % len(self.crms)], kind, **window))

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 2), steps=st.integers(1, 12))
    def step(self, which: int, steps: int) -> None:
        run = self.live[which % len(self.live)]
        for _ in range(steps):
            run.step()
        self.note_end(run)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 2))
    def finish(self, which: int) -> None:
        self.step(which, 400)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 2), point=POINTS)
    def step_to(self, which: int, point: str) -> None:
        self.bring(self.live[which % len(self.live)], point)

    @rule(
        point=POINTS, crm=st.integers(0, 1), edits=EDITS, later=st.sampled_from([0, 0, 1, 9, 12]), others=st.integers(0, 2),
        after=EDITS, end=st.sampled_from(["finish", "finish", "kill", "kill, served late", "leave"]),
    )  # fmt: skip
    def overtake(
        self, point: str, crm: int, edits: list[str], later: int, others: int, after: list[str], end: str
    ) -> None:
        """The shape of most schedules: a run stands somewhere, people and other runs overtake it."""
        if len(self.live) > 2:
            return
        name = self.crms[crm % len(self.crms)]
        slow = self.world.start(name)
        self.live.append(slow)
        self.edit(edits[:1], crm)
        self.bring(slow, point)
        self.edit(edits[1:], crm)
        self.tick(later)
        for _ in range(others):
            self.world.run(name)
            self.edit(after[:1], crm)
        self.edit(after[1:], crm)
        if slow.dead or end == "leave":
            return
        if end == "finish":
            self.finish(self.live.index(slow))
        else:
            self.crash(self.live.index(slow), late=end.endswith("late"))

    def edit(self, sides: list[str], crm: int) -> None:
        for side in sides:
            if side == "both":
                self.same_on_both_sides(crm, "title")
            elif side == "ours":
                self.our_edit(0, "title", "plain")
            else:
                self.their_edit(crm, 0, "title", "plain")

    def bring(self, run: Running, point: str) -> None:
        """Go on to a rare point: a random walk alone seldom stands there."""
        while not run.dead and run.step() != point:
            pass
        self.note_end(run)

    def note_end(self, run: Running) -> None:
        if run.dead:
            self.live.remove(run)
            self.done.append(run)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 2), late=st.booleans())
    def crash(self, which: int, late: bool) -> None:
        run = self.live.pop(which % len(self.live))
        if run.at == "start":
            return
        store = self.world.crms[run.options.connection]
        known = len(store.unserved)
        run.kill()
        self.done.append(run)
        for request in store.unserved[known:]:
            if late:
                self.late.append((self.world.monotonic() + LATE, run.options.connection, request))

    @precondition(lambda self: self.done)
    @rule(which=st.integers(0, 5), stage=st.sampled_from(STAGES))
    def clear_one_task(self, which: int, stage: str) -> None:
        run = self.done[which % len(self.done)]
        if len(self.live) < 3 and run.run_id is not None:
            self.live.append(self.world.again(run, stage))

    # ------------------------------------------------------------------------------------------ the end

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            for run in self.live:
                run.finish()
            while self.typing or self.late:
                self.world.tick()
                self.commit_what_is_due()
            self.world.assert_sound(3)
        finally:
            self.world.close()


@pytest.mark.parametrize(
    ("crms", "features"),
    [
        (("crm",), ()),
        (("crm",), ("delete",)),
        (("crm",), ("merge",)),
        (("crm",), ("delete", "merge")),
        (("crm_a", "crm_b"), ()),
    ],
    ids=["one CRM", "deletes", "merges", "deletes and merges", "two CRMs"],
)
def test_whatever_happens(migrated_database: str, crms: tuple[str, ...], features: tuple[str, ...]) -> None:
    machine = type(
        "Machine", (Machine,), {"url": migrated_database, "crms": crms, "features": frozenset(features)}
    )
    run_state_machine_as_test(
        seed(SEED)(machine),
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None, print_blob=False,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
            phases=[Phase.generate] if os.environ.get("CRM_SYNC_MACHINE_RAW") else [Phase.generate, Phase.shrink],
        ),
    )  # fmt: skip
