"""Both sides with pushes that go by bulk jobs, and a process that dies between two steps of a job."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg

from crm_sync.access.oauth import identity
from crm_sync.engine import Engine, RunOptions, RunReport
from crm_sync.errors import SyncError
from crm_sync.ledger import cursor, settings
from crm_sync.ledger.database import Database
from crm_sync.model import Object, Value
from crm_sync.stores.salesforce import SalesforceStore
from crm_sync.stores.salesforce_bulk_ingest import CsvSheet
from tests.crm_sync.stores.standin import MAPPINGS, StandinOrg

__all__ = ["BulkWorld", "Killed", "Troubled"]

STAGES = ("pull", "plan", "push_ours", "push_theirs")


class Killed(BaseException):
    """The process is gone."""


class Troubled:
    """The jobs of a store: ``dies_after`` a step, or gives the results ``backwards``.

    Of many chunks it dies before the second is pasted ("paste"), or at the 2,500th result ("row").
    """

    def __init__(self, jobs: Any, dies_after: str, *, backwards: bool) -> None:
        self._jobs = jobs
        self._dies_after = dies_after
        self._backwards = backwards

    def __getattr__(self, step: str) -> Any:
        method = getattr(self._jobs, step)

        def taken(*given: Any, **named: Any) -> Any:
            made = method(*given, **named)
            if step == self._dies_after:
                raise Killed
            return made

        return method if step == "reserved" else taken

    @contextmanager
    def sheet(self, columns: Sequence[str], *, creates: bool) -> Iterator[Any]:
        with self._jobs.sheet(columns, creates=creates) as sheet:
            sheet.__class__ = MortalSheet if self._dies_after == "paste" else CsvSheet
            yield sheet

    def results(self, job: str, kind: Any) -> Iterator[Any]:
        found: Iterable[Any] = self._jobs.results(job, kind)
        for n, result in enumerate(list(found)[::-1] if self._backwards else found):
            if self._dies_after == "row" and n == 2_500:
                raise Killed
            yield result


class MortalSheet(CsvSheet):
    """Dies at its second chunk."""

    pasted = False

    def paste(self, csv: Sequence[bytes]) -> None:
        if self.pasted:
            raise Killed
        self.pasted = True
        super().paste(csv)


class TroubledStore(SalesforceStore):
    """The store, with trouble in its jobs."""

    dies_after = ""
    backwards = False

    def jobs(self, object: Object) -> Any:
        return Troubled(super().jobs(object), self.dies_after, backwards=self.backwards)


@dataclass
class BulkWorld:
    """One connection on one org; ``tag`` is the last name of everybody of this test."""

    org: StandinOrg
    database: Database
    client: psycopg.Connection[Any]
    chosen: dict[str, object] = field(default_factory=dict)
    tag: str = field(default_factory=lambda: f"Name{uuid4().hex[:8]}")
    later: timedelta = timedelta(0)
    patience: float = 600.0
    dies_after: str = ""
    backwards: bool = False
    runs: int = 0
    owner_id: str | None = None

    def __post_init__(self) -> None:
        now = datetime.fromisoformat(self.org.people.ask("GET", "/standin/clock")["now"])
        with self.database.transaction() as tx:
            settings.connect(
                tx,
                "main",
                "salesforce",
                {
                    "conflict_policy": "crm_wins",
                    "large_pushes": "bulk",
                    "approve_share_above": None,
                    **self.chosen,
                },
            )

            cursor.move_cursor(
                tx, "main", "contact", now, timedelta(0), timedelta(0)
            )  # the people of other tests are no concern here

    @property
    def engine(self) -> Engine:
        def opened(*_: object) -> TroubledStore:
            store = TroubledStore(
                self.org.session, MAPPINGS, lambda: identity(self.org.session).user_id, owner_id=self.owner_id,
                sleep=lambda seconds: time.sleep(seconds / 50),
            )  # fmt: skip
            store.dies_after, store.backwards = self.dies_after, self.backwards
            return store

        return Engine(
            self.database, MAPPINGS, opened, now=lambda: datetime.now(UTC) + self.later, sleep=lambda _: None,
            job_patience=self.patience,
        )  # fmt: skip

    def sets(self, **values: object) -> None:
        with self.database.transaction() as tx:
            settings.change_settings(tx, "main", values)

    def open(self) -> int:
        self.runs += 1
        return self.engine.open_run(RunOptions("main", dag_run_id=str(self.runs), objects=("contact",)))

    def stage(self, run_id: int, *stages: str) -> Any:
        return [getattr(self.engine, stage)(run_id) for stage in stages][-1]

    def run(self, *, pull: bool = True) -> RunReport:
        """What Airflow does: settle comes whatever happened."""
        run_id = self.open()
        try:
            self.stage(run_id, *STAGES[0 if pull else 1 :])
        except SyncError as error:
            self.error = error
        report: RunReport = self.stage(run_id, "settle")
        return report

    def dies(self, step: str) -> int:
        """A run whose process is killed after a step of its job."""
        run_id = self.open()
        self.stage(run_id, *STAGES[:3])
        self.dies_after = step
        try:
            self.stage(run_id, "push_theirs")
        except Killed:
            return run_id
        finally:
            self.dies_after = ""
        raise AssertionError(f"it never came to {step}")

    def our_new(self, count: int = 1, **values: Value) -> list[str]:
        """New people of ours."""
        names = ["last_name", *values]
        made = []
        for n in range(count):
            cells = [self.tag, *(f"{v} {n}" if count > 1 else v for v in values.values())]
            statement = f"insert into gptweb.contacts ({', '.join(names)}) values ({', '.join(['%s'] * len(names))}) returning id::text"
            made.append(self.one(statement, *cells))
        return made

    def linked(self, count: int = 1) -> list[str]:
        """People whom both sides know."""
        ours = [self.our_new(title="n0")[0] for _ in range(count)]
        assert self.run(pull=False).state == "succeeded"
        return ours

    def our_edit(self, our_id: str, **values: Value) -> None:
        for column, value in values.items():
            self.client.execute(
                f"update gptweb.contacts set {column} = %s where id = %s".encode(), (value, our_id)
            )

    def one(self, query: str, *parameters: object) -> Any:
        row = self.client.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def theirs(self, *fields: str) -> list[Any]:
        """This test's contacts there, a tuple each, or the one field."""
        query = f"SELECT {', '.join(fields)} FROM Contact WHERE LastName = '{self.tag}' ORDER BY Id"
        found = self.org.people.rest("GET", "/query", params={"q": query})["records"]
        return [c[fields[0]] if len(fields) == 1 else tuple(c[f] for f in fields) for c in found]

    def jobs(self) -> list[tuple[str, int]]:
        """State and rows of the jobs in the ledger, oldest first."""
        return self.client.execute("select end_state, rows from crm_sync.job order by job_id").fetchall()

    def outcomes(self, our_id: str) -> list[tuple[str, str]]:
        """What became of the fields of one record."""
        return self.client.execute(
            "select field, outcome from crm_sync.audit_trail where our_id = %s and side = 'theirs' order by at, field",
            (our_id,),
        ).fetchall()

    def assert_sound(self) -> None:
        """Leases and doubts run out, two runs, and both sides agree; then a run is silent, and all sums add up."""
        self.later += timedelta(hours=1)
        self.run()
        self.run()
        ours = self.client.execute(
            "select their_id, title, phone, description from gptweb.contacts left join crm_sync.link on our_id = id where last_name = %s",
            (self.tag,),
        ).fetchall()
        assert sorted(ours, key=str) == sorted(self.theirs("Id", "Title", "Phone", "Description"), key=str)
        for nothing in (
            "crm_sync.intent where closed_by is null",
            "crm_sync.intent where job_id is not null",
            "crm_sync.job where ended_at is null",
            "crm_sync.link where claim_run is not null and object = 'contact'",
        ):
            assert self.one(f"select count(*) from {nothing}") == 0, nothing
        report = self.run()
        assert (report.state, report.counts["planned"]) == ("succeeded", 0)
        sums = (
            "planned is distinct from acknowledged + parked + superseded + in_doubt and ended_at is not null"
        )
        assert self.one(f"select count(*) from crm_sync.run_summary where {sums}") == 0
