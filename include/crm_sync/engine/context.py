"""What the stages share: the run with its live settings and rules, and the engine that hands them out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import Rules
from crm_sync.decide.settings import Settings, check_scope
from crm_sync.engine.reports import PlanReport, PullReport, PushReport, RunReport
from crm_sync.errors import Misconfigured
from crm_sync.ledger import parking, replan, runs, settings
from crm_sync.ledger.capture import check_columns
from crm_sync.ledger.database import Database
from crm_sync.ledger.runs import Run
from crm_sync.ledger.settings import Connection
from crm_sync.model import OBJECTS, Direction, Heal, Object, RunKind
from crm_sync.ports import Store

if TYPE_CHECKING:
    from crm_sync.engine.reconcile import CompareReport

__all__ = ["Context", "Engine", "RunOptions", "StoreFactory"]

StoreFactory = Callable[[Connection, Run], Store]
"""Opens the CRM's store for a run; called only by the stages that speak to the CRM."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is asked to do.  ``since``/``until``: the window of a backfill; other runs read from the cursor.

    ``approve``: the digest of a plan that may be carried out unasked, if it is the one that the run makes.
    ``by_hand``: a person started the run, and is asked again about what was rejected before.
    ``heal``: what a reconciliation heals; None: the connection's setting.
    """

    connection: str
    kind: RunKind = "sync"
    dag_run_id: str = ""
    objects: tuple[Object, ...] | None = None
    direction: Direction | None = None
    dry_run: bool = False
    limit: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    approve: str | None = None
    heal: Heal | None = None
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """One run with what is live at this moment: settings and rules are read anew by every stage."""

    run: Run
    connection: Connection
    rules: Rules
    mappings: dict[Object, ObjectMapping]

    @property
    def run_id(self) -> int:
        """The run's id."""
        return self.run.run_id

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.connection.name

    @property
    def settings(self) -> Settings:
        """The connection's settings."""
        return self.connection.settings

    @property
    def standing(self) -> Rules:
        """The rules that say what is work at all: those of the settings, also in a run of one direction."""
        return replace(self.rules, direction=self.settings.direction)

    @property
    def objects(self) -> list[ObjectMapping]:
        """The mappings of this run's objects, parents first."""
        return [self.mappings[object] for object in self.run.objects]


class Engine:
    """The stages of a run on one database.

    ``now`` is the clock of leases and expiries: the database's, if not given; ``monotonic`` that of time-outs.
    ``job_patience``: seconds for which a bulk job is waited for before JobUnderWay.
    """

    def __init__(
        self,
        database: Database,
        mappings: dict[Object, ObjectMapping],
        open_store: StoreFactory,
        now: Callable[[], datetime] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        job_patience: float = inf,
    ) -> None:
        self.database = database
        self.mappings = mappings
        self.open_store = open_store
        self.now = now or database.now
        self.sleep = sleep
        self.monotonic = monotonic
        self.job_patience = job_patience

    def open_run(self, options: RunOptions) -> int:
        """Open the run and return its id; closes earlier runs whose processes were killed."""
        with self.database.transaction() as tx:
            connection = settings.load(tx, options.connection)
            for mapping in self.mappings.values():
                check_columns(tx, mapping)
            check_scope(connection.name, connection.settings, self.mappings)
            if options.kind == "reconcile" and options.heal is None:
                options = replace(options, heal=connection.settings.heal)
            chosen = {
                k: v
                for k, v in asdict(options).items()
                if k not in ("connection", "kind", "dag_run_id") and v
            }
            run_id = runs.open_run(tx, options.connection, options.kind, options.dag_run_id, chosen)
            replan.replan_if_changed(tx, connection.name, connection.settings, self.mappings, run_id)
            parking.wake(tx, options.connection)
            killed = runs.abandoned(tx, options.connection, options.kind, run_id)
        for earlier in killed:
            self.settle(earlier, killed=True)
        return run_id

    def compare(self, run_id: int) -> CompareReport:
        """Read both sides completely, report where they differ, and make known to the sync what the run may heal."""
        from crm_sync.engine.reconcile import compare  # noqa: PLC0415  the stages import this module

        return compare(self, self.context(run_id))

    def pull(self, run_id: int) -> PullReport:
        """Read what changed on their side and store it: images of links, strays, the fate of unanswered writes."""
        from crm_sync.engine.pull import pull  # noqa: PLC0415  the stages import this module

        return pull(self, self.context(run_id))

    def plan(self, run_id: int) -> PlanReport:
        """Link what matches and decide every field of every dirty link; writes no record on either side."""
        from crm_sync.engine.plan import plan  # noqa: PLC0415  the stages import this module

        return plan(self, self.context(run_id))

    def push_ours(self, run_id: int) -> PushReport:
        """Write what was planned for our side, each decision re-checked in the transaction that writes it."""
        from crm_sync.engine.push_ours import push_ours  # noqa: PLC0415  the stages import this module

        return push_ours(self, self.context(run_id))

    def push_theirs(self, run_id: int) -> PushReport:
        """Write what was planned for their side, in batches, each claimed and stored as intents before it leaves."""
        from crm_sync.engine.push_theirs import push_theirs  # noqa: PLC0415  the stages import this module

        return push_theirs(self, self.context(run_id))

    def settle(self, run_id: int, *, killed: bool = False) -> RunReport:
        """Count what became of every planned change and close the run; never raises for work left undone."""
        from crm_sync.engine.settle import settle  # noqa: PLC0415  the stages import this module

        return settle(self, self.context(run_id), killed=killed)

    def context(self, run_id: int) -> Context:
        """The run with live settings and rules."""
        with self.database.transaction() as tx:
            run = runs.load(tx, run_id)
            connection = settings.load(tx, run.connection)
        rules = Rules(
            run.direction or connection.settings.direction, connection.settings.conflict_policy, run.clock,
            connection.settings.their_delete, connection.settings.our_archive, connection.settings.created,
        )  # fmt: skip
        missing = [object for object in OBJECTS if object not in self.mappings]
        if missing:
            raise Misconfigured(
                f"no mapping for {', '.join(missing)}: add the mapping file of {connection.vendor}"
            )
        return Context(run, connection, rules, self.mappings)
