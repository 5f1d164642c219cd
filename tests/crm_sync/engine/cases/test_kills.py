"""Processes of a run that are killed at random steps, sleep longer than their lease, or do the same work twice at once.

The task processes of a running Airflow are killed in tests/stack/test_kills.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from crm_sync.ledger import settings
from tests.crm_sync.engine.cases.office import STAGES, Office
from tests.crm_sync.engine.cases.workers import Workers, working

KILLS = 24
SEED = 20_261_122
ALL = [*STAGES, "settle"]


@pytest.fixture
def workers(office: Office, tmp_path: Path) -> Iterator[Workers]:
    with working(office, tmp_path) as workers:
        yield workers


@dataclass
class Town:
    """People on both sides: titles are typed here, phones there, so that whatever is not on both sides is lost."""

    office: Office
    workers: Workers
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    people: list[str] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        """Some contacts of two accounts that everybody knows."""
        accounts = [self.office.ours("account", name=f"A{n}") for n in range(2)]
        self.people = [
            self.office.ours(email=f"e{n}@example.com", account_id=accounts[n % 2]) for n in range(6)
        ]
        self.office.run()
        with self.office.database.transaction() as tx:
            settings.change_settings(tx, "main", {"batch_size": 2})

    def edit(self, number: int) -> None:
        """A day's work: edits of three contacts on each side, and a new contact on each."""
        for one in self.dice.sample(self.people, 3):
            self.titles[one] = f"O{number}"
            self.office.edit(one, title=f"O{number}")
        for one in self.dice.sample(self.people, 3):
            self.phones[one] = f"T{number}"
            self.office.people.edits(self.office.linked(one), "phone", f"T{number}")
        self.office.ours(email=f"ours{number}@example.com")
        self.office.theirs(email=f"theirs{number}@example.com")

    def wait(self) -> None:
        """Leases and doubts run out."""
        self.office.later += timedelta(hours=1)
        self.workers.clock.write_text(str(self.office.later.total_seconds()))

    def assert_agreed(self, count: int) -> None:
        """Two runs, and nothing is lost, doubled or unequal."""
        self.wait()
        self.office.run()
        self.office.run()
        office = self.office
        records = office.query("SELECT Id, GPTWeb_Id__c, Title, Phone, Email, AccountId FROM Contact")
        theirs = sorted(
            (r["Id"], r["GPTWeb_Id__c"], r["Title"], r["Phone"], r["Email"], r["AccountId"]) for r in records
        )
        rows = office.client.execute(
            """select l.their_id, c.id::text, c.title, c.phone, c.email, a.their_id from gptweb.contacts c
            left join crm_sync.link l on l.our_id = c.id left join crm_sync.link a on a.our_id = c.account_id"""
        ).fetchall()
        assert sorted(rows) == theirs
        assert len(theirs) == count, "nobody is missing, nobody is there twice"
        assert len({email for *_, email, _ in theirs}) == count
        held = {our_id: (title, phone) for _, our_id, title, phone, *_ in theirs}
        assert {one: held[one][0] for one in self.titles} == self.titles
        assert {one: held[one][1] for one in self.phones} == self.phones


def test_processes_killed_at_random_steps(office: Office, workers: Workers) -> None:
    town = Town(office, workers)
    town.begin()
    town.edit(0)
    workers.start(workers.job(office.open(), *ALL))
    steps = int(workers.said())
    assert steps > 60, "there is much to kill it at"
    town.assert_agreed(8)
    for number in range(1, KILLS + 1):
        town.edit(number)
        run_id = office.open()
        at = str(town.dice.randint(1, steps * 9 // 10))
        (end,) = workers.start(workers.job(run_id, *ALL, at=at))
        assert end["killed"], f"round {number}: no step {at} in a run of {workers.said()}"
        if town.dice.random() < 0.5:  # else nobody clears its task: the next run takes up what it left
            workers.start(workers.job(run_id, *ALL))
        try:
            town.assert_agreed(8 + 2 * number)
        except AssertionError as error:
            raise AssertionError(f"round {number}, killed at step {at} of about {steps}: {error}") from None
    office.assert_silent()


@pytest.mark.parametrize("at", ["committed 3", "committed 4", "call 1", "answered 1"])
def test_a_worker_that_sleeps_longer_than_its_lease(office: Office, workers: Workers, at: str) -> None:
    """Stopped after its claim, after its last look at it, before its call, and with the answer in its hands."""
    ours, theirs = office.both()
    town = Town(office, workers)
    office.edit(ours, title="O1")
    run_id = office.open()
    office.stage(run_id, "pull", "plan", "push_ours")
    (end,) = workers.start(workers.job(run_id, "push_theirs", at=at, signal="SIGSTOP"))
    assert end["stopped"]
    town.wait()
    office.edit(ours, title="O2")
    office.run()
    office.run()
    assert office.shown(theirs, "title") == "O2"
    office.people.edits(theirs, "phone", "T1")
    workers.wake(end["pid"])
    office.settle(run_id)
    town.wait()
    office.run()
    assert (office.shown(theirs, "title"), office.value(ours, "title")) == ("O2", "O2")
    assert (office.shown(theirs, "phone"), office.value(ours, "phone")) == ("T1", "T1")
    office.assert_silent()


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_run_the_same_cleared_task(office: Office, workers: Workers, stage: str) -> None:
    town = Town(office, workers)
    town.begin()
    town.edit(1)
    run_id = office.open()
    before = STAGES[: STAGES.index(stage)]
    office.stage(run_id, *before)
    ends = workers.start(workers.job(run_id, stage), workers.job(run_id, stage))
    assert not any(end["killed"] or end["stopped"] for end in ends)
    office.stage(run_id, *STAGES[len(before) + 1 :])
    office.settle(run_id)
    town.assert_agreed(8)
    office.assert_silent()
