"""Provisioning's place in the ledger: its runs, its trail lines, and the connection that is ready to sync."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_sync.decide.schema_made import Made
from crm_sync.errors import Misconfigured
from crm_sync.ledger import replan, runs, settings, snapshot
from crm_sync.ledger.database import Database, Jsonb, Transaction
from crm_sync.ledger.seal import seal_run
from crm_sync.provision_ledger import RunState, TrailLine

__all__ = ["SqlProvisionLedger"]

SUMS = ("planned", "acknowledged", "parked", "superseded", "in_doubt", "conflicts")


class SqlProvisionLedger:
    """``provision.ProvisionLedger`` on Postgres, each call one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def running(self, connection: str, dag_run_id: str) -> int | None:
        """The run of kind provision that this DAG run has open, if any."""
        with self._database.transaction() as tx:
            run_id: int | None = tx.one(
                "select run_id from crm_sync.run where connection = %s and kind = 'provision' and dag_run_id = %s "
                "and ended_at is null order by run_id desc limit 1",
                (connection, dag_run_id),
            )
        return run_id

    def open(self, connection: str, dag_run_id: str) -> int:
        """Open a run of kind provision, state running; one of a killed process is closed first."""
        with self._database.transaction() as tx:
            settings.load(tx, connection)
            killed = tx.rows(
                "update crm_sync.run set state = 'failed', ended_at = clock_timestamp(), message = "
                "'its process ended without settling; provisioning again takes up what was left' "
                "where connection = %s and kind = 'provision' and ended_at is null returning run_id",
                (connection,),
            )
            for (run_id,) in killed:
                seal_run(tx, run_id)
            return runs.insert(tx, connection, "provision", dag_run_id, {})

    def record(self, run_id: int, lines: Sequence[TrailLine], made: Sequence[Made] = ()) -> None:
        """Append lines to the audit trail of a run, and keep what was made with them."""
        with self._database.transaction() as tx:
            connection = _append(tx, run_id, lines)
            for each in made:
                _keep(tx, connection, run_id, each)

    def removed(self, run_id: int, lines: Sequence[TrailLine], made: Sequence[Made]) -> None:
        """Append lines to the audit trail of a run, and keep these things no longer as made."""
        with self._database.transaction() as tx:
            connection = _append(tx, run_id, lines)
            for each in made:
                tx.run(
                    "update crm_sync.provisioned set removed_at = clock_timestamp(), run_id = %s "
                    "where connection = %s and kind = %s and name = %s",
                    (run_id, connection, each.kind, each.name),
                )

    def await_approval(self, run_id: int, message: str) -> None:
        """A person has to decide: the run is open and waits."""
        with self._database.transaction() as tx:
            tx.run(
                "update crm_sync.run set state = 'waiting_approval', message = %s where run_id = %s and ended_at is null",
                (message, run_id),
            )

    def mark_removed(self, connection: str) -> None:
        """Let no more syncs begin, rewrite the snapshot, and read everything anew should provisioning come again."""
        with self._database.transaction() as tx:
            settings.mark_removed(tx, connection)
            snapshot.write(tx)

    def made(self, connection: str) -> Sequence[Made]:
        """What provisioning made for a connection and has not removed, oldest first."""
        with self._database.transaction() as tx:
            rows = tx.rows(
                "select kind, name, label, details, certain, their_id, made_at from crm_sync.provisioned "
                "where connection = %s and removed_at is null order by made_at, kind, name",
                (connection,),
            )
        return [Made(row[0], row[1], row[2], tuple(row[3]), *row[4:]) for row in rows]

    def recorded(self, run_id: int) -> Sequence[TrailLine]:
        """The lines of a run, in the order in which they were appended."""
        with self._database.transaction() as tx:
            _connection_of(tx.one("select connection from crm_sync.run where run_id = %s", (run_id,)), run_id)
            rows = tx.rows(
                "select object, field, rule, outcome, detail, before, after, their_id from crm_sync.decision "
                "where run_id = %s order by decision_id",
                (run_id,),
            )
        return [TrailLine(*row) for row in rows]

    def close(self, run_id: int, state: RunState, counts: Mapping[str, int], message: str) -> None:
        """End a run with its state, its sums and one message."""
        with self._database.transaction() as tx:
            tx.run(
                """update crm_sync.run set ended_at = clock_timestamp(), state = %s, message = %s, planned = %s,
                  acknowledged = %s, parked = %s, superseded = %s, in_doubt = %s, conflicts = %s where run_id = %s""",
                (state, message, *(counts.get(name, 0) for name in SUMS), run_id),
            )
            seal_run(tx, run_id)

    def mark_provisioned(self, connection: str, *, read_again: bool) -> None:
        """Let the connection's syncs begin, and rewrite the snapshot that DAG parsing reads."""
        with self._database.transaction() as tx:
            settings.mark_provisioned(tx, connection)
            if read_again:
                replan.read_again(tx, connection)
            snapshot.write(tx)


def _append(tx: Transaction, run_id: int, lines: Sequence[TrailLine]) -> str:
    connection = _connection_of(
        tx.one("select connection from crm_sync.run where run_id = %s", (run_id,)), run_id
    )
    tx.copy(
        "crm_sync.decision",
        ("run_id", "connection", "object", "their_id", "side", "field", "before", "after", "rule", "outcome", "detail"),
        (
            (run_id, connection, n.object, n.their_id, "theirs", n.field, Jsonb(n.before), Jsonb(n.after), n.rule,
             n.outcome, n.detail)
            for n in lines
        ),
    )  # fmt: skip
    return connection


def _keep(tx: Transaction, connection: str, run_id: int, made: Made) -> None:
    """Keep what was made; fields that come to a layout later are added to those that it got before."""
    tx.run(
        """insert into crm_sync.provisioned as p (connection, kind, name, label, details, certain, their_id, run_id)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (connection, kind, name) do update set label = excluded.label, certain = excluded.certain,
          their_id = excluded.their_id, run_id = excluded.run_id, made_at = excluded.made_at, removed_at = null,
          details = case when p.removed_at is null and p.kind = 'place_fields'
            then p.details || array(select unnest(excluded.details) except select unnest(p.details))
            else excluded.details end""",
        (
            connection,
            made.kind,
            made.name,
            made.label,
            list(made.details),
            made.certain,
            made.their_id,
            run_id,
        ),
    )


def _connection_of(connection: str | None, run_id: int) -> str:
    if connection is None:
        raise Misconfigured(f"there is no run {run_id}; start with the stage that plans")
    return connection
