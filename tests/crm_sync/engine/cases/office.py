"""GPTWeb and an org over a socket, and the people of both: what the tests of the failure cases work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from crm_sync.access.oauth import identity
from crm_sync.access.transport import MeteredSession
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine import Engine, RunOptions, RunReport, notes
from crm_sync.errors import SyncError
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.runs import Run
from crm_sync.ledger.settings import Connection
from crm_sync.ledger.spending import LedgerMeter
from crm_sync.model import Object, Value
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.stores.standin import MAPPINGS, SalesforcePeople, StandinOrg

__all__ = ["STAGES", "Office"]

STAGES = ("pull", "plan", "push_ours", "push_theirs")
SUMS = "planned is distinct from acknowledged + parked + superseded + in_doubt and ended_at is not null"


@dataclass
class Office:
    """Both sides.  ``later``: how far the clock of leases is ahead; ``error``: what the last run stopped at."""

    org: StandinOrg
    url: str
    database: Database
    client: psycopg.Connection[Any]
    mappings: dict[Object, ObjectMapping] = field(default_factory=lambda: dict(MAPPINGS))
    page_size: int | None = None
    later: timedelta = timedelta(0)
    error: SyncError | None = None
    runs: int = 0

    @property
    def people(self) -> SalesforcePeople:
        """The org's people."""
        return self.org.people

    def connect(self, **chosen: object) -> None:
        """Make the connection, or change its settings."""
        with self.database.transaction() as tx:
            settings.connect(tx, "main", "salesforce", chosen)

    # -------------------------------------------------------------------------------------------- runs

    def engine(self) -> Engine:
        """An engine whose calls are booked in the ledger."""
        return Engine(
            self.database, self.mappings, self._store, now=lambda: datetime.now(UTC) + self.later,
            sleep=lambda _seconds: None,
        )  # fmt: skip

    def _store(self, _connection: Connection, run: Run) -> SalesforceStore:
        meter = LedgerMeter(self.database, "main", run.run_id, run.kind)
        session = MeteredSession(
            self.org.session.login, meter, connection="main", sleep=lambda _seconds: None
        )
        return SalesforceStore(
            session, self.mappings, lambda: identity(self.org.session).user_id, page_size=self.page_size
        )

    def open(self, **options: Any) -> int:
        """A new run, before its first stage."""
        self.runs += 1
        return self.engine().open_run(RunOptions("main", dag_run_id=str(self.runs), **options))

    def stage(self, run_id: int, *stages: str) -> None:
        """Some stages of it."""
        for stage in stages:
            getattr(self.engine(), stage)(run_id)

    def settle(self, run_id: int, *failed: str) -> RunReport:
        """Its end."""
        return notes.settle(self.engine(), run_id, failed)

    def run(self, **options: Any) -> RunReport:
        """What Airflow does: the stages one after the other, and settle whatever happened."""
        run_id = self.open(**options)
        self.error = None
        for stage in STAGES:
            try:
                with notes.noted(self.database, run_id):
                    self.stage(run_id, stage)
            except SyncError as error:
                self.error = error
                return self.settle(run_id, stage)
        return self.settle(run_id)

    # ------------------------------------------------------------------------------------------ people

    def ours(self, object: Object = "contact", **values: Value) -> str:
        """Somebody makes a record in GPTWeb; returns its id."""
        row = {**({"name": "Acme"} if object == "account" else {"last_name": "Doe"}), **values}
        query = sql.SQL("insert into gptweb.{} ({}) values ({}) returning id::text").format(
            sql.Identifier(f"{object}s"), sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )  # fmt: skip
        return str(self.client.execute(query, tuple(row.values())).fetchall()[0][0])

    def edit(self, our_id: str, object: Object = "contact", **values: Value) -> None:
        """Somebody of ours types values; None clears."""
        for column, value in values.items():
            query = sql.SQL("update gptweb.{} set {} = %s where id = %s").format(
                sql.Identifier(f"{object}s"), sql.Identifier(column)
            )
            self.client.execute(query, (value, our_id))

    def theirs(self, object: Object = "contact", **values: Value) -> str:
        """Somebody makes a record in the org; returns its id."""
        row = {**({"name": "Acme"} if object == "account" else {"last_name": "Doe"}), **values}
        return self.people.creates(object, **row)

    def both(self, **values: Any) -> tuple[str, str]:
        """A contact that both sides know and agree upon: our id, their id."""
        ours = self.ours("contact", **{"title": "n0", "email": "e0@example.com", **values})
        self.run()
        return ours, self.linked(ours)

    # ----------------------------------------------------------------------------------------- looking

    def one(self, query: str, *parameters: object) -> Any:
        """One value of our database."""
        row = self.client.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def value(self, our_id: str, column: str, object: Object = "contact") -> Any:
        """What we hold."""
        query = sql.SQL("select {} from gptweb.{} where id = %s").format(
            sql.Identifier(column), sql.Identifier(f"{object}s")
        )
        return self.client.execute(query, (our_id,)).fetchall()[0][0]

    def linked(self, our_id: str) -> str:
        """The id of the record of theirs."""
        found = self.one("select their_id from crm_sync.link where our_id = %s", our_id)
        assert found is not None, "it has no record there"
        return str(found)

    def query(self, soql: str) -> list[dict[str, Any]]:
        """What the integration user sees, our measures too."""
        body: Any = self.org.session.call(
            "GET", "/services/data/v66.0/query", params={"q": soql}, purpose="test"
        ).body
        found: list[dict[str, Any]] = body["records"]
        return found

    def shown(self, their_id: str, column: str, object: Object = "contact") -> Any:
        """What they hold."""
        mapping = MAPPINGS[object]
        name = mapping.by_ours[column].theirs
        (record,) = self.query(f"SELECT {name} FROM {mapping.theirs} WHERE Id = '{their_id}'")
        return record[name]

    def counts(self, object: Object = "contact") -> tuple[int, int]:
        """How many living records each side has."""
        query = sql.SQL("select count(*) from gptweb.{} where deleted_at is null").format(
            sql.Identifier(f"{object}s")
        )
        ours = self.client.execute(query).fetchall()[0][0]
        reply = self.people.rest(
            "GET", "/query", params={"q": f"SELECT count() FROM {MAPPINGS[object].theirs}"}
        )
        return ours, reply["totalSize"]

    def parked(self) -> list[tuple[str, str | None]]:
        """What needs somebody: code and field."""
        rows = self.client.execute("select code, field from crm_sync.parked_rows order by parked_id")
        return [(code, column) for code, column in rows]

    def outcomes(self, run_id: int) -> list[str]:
        """What became of a run's changes, each once."""
        query = "select distinct outcome from crm_sync.outcome where run_id = %s order by 1"
        return [row[0] for row in self.client.execute(query, (run_id,))]

    def calls(self, run_id: int) -> int:
        """How many calls a run has booked."""
        return int(self.one("select count(*) from crm_sync.spending where run_id = %s", run_id))

    def assert_silent(self) -> None:
        """Leases and doubts have run out; two runs bring what is left, and a third plans nothing and costs one call."""
        self.later += timedelta(hours=1)
        self.run()
        self.run()
        report = self.run()
        assert self.error is None
        assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1)
        assert self.one(f"select count(*) from crm_sync.run_summary where {SUMS}") == 0
        assert self.one("select count(*) from crm_sync.intent where closed_by is null") == 0
        twins = "select count(*) - count(distinct their_id) from crm_sync.link where their_id is not null"
        assert self.one(twins) == 0
