"""The composition root: joins ledger, database and CRM into the engine that every operator uses."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from crm_airflow.hooks.salesforce_keys import salesforce_app
from crm_airflow.hooks.vault_hook import vault
from crm_sync.errors import Misconfigured, SyncError

if TYPE_CHECKING:
    from crm_sync.access.app import App
    from crm_sync.access.oauth import OAuthEndpoint
    from crm_sync.access.transport import MeteredSession
    from crm_sync.access.vault import Vault
    from crm_sync.access.vault_login import VaultLogin
    from crm_sync.engine import Engine, RunOptions
    from crm_sync.ledger.database import Database
    from crm_sync.ledger.runs import Run
    from crm_sync.ledger.settings import Connection
    from crm_sync.model import RunKind
    from crm_sync.ports import Store
    from crm_sync.preflight import Preflight, PreflightOrg
    from crm_sync.provision import Org, Provisioning
    from crm_sync.provision_removal import OrgToClear, Removal

__all__ = ["CrmSyncHook"]

READ_TIMEOUT = 120.0  # seconds that an answer of the CRM may take
SPARE_SECONDS = 40.0  # of a lease, for connecting and for claiming and booking before the call


class CrmSyncHook(BaseHook):
    """Everything that one CRM connection needs, each part opened when it is first used.

    GPTWeb's database is the one of CRM_SYNC_DATABASE_URL.  The CRM is the Airflow connection of the same name; only
    the stages that speak to the CRM ask for it.

    Args:
        connection: name of the connection, in GPTWeb's settings and in Airflow.
        app: reads from Airflow by which app to come in.
        vault: gives the vault that keeps the tokens.

    Example:
        One run in a task of your own::

            with CrmSyncHook("salesforce_main").engine() as engine:
                run_id = engine.open_run(RunOptions("salesforce_main", dag_run_id="my run 1", objects=("contact",)))
                engine.pull(run_id)
    """

    job_patience = 90.0
    """Seconds for which a worker waits for an ingest job before the triggerer does."""
    query_patience = 20.0
    """The same for a query job: a large one takes longer, and a small read needs none."""
    page_size: int | None = None
    """Rows a page of a read; None: the org's usual."""

    def __init__(
        self, connection: str, app: Callable[[str], App] = salesforce_app, vault: Callable[[], Vault] = vault
    ) -> None:
        super().__init__()
        self.connection = connection
        self._app = app
        self.vault = vault

    @contextmanager
    def database(self) -> Iterator[Database]:
        """GPTWeb's database, closed on leaving."""
        from crm_sync.ledger.database import Database, database_url

        database = Database(database_url())
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def engine(self, run_id: int | None = None) -> Iterator[Engine]:
        """The stages of a run; with its number, an error inside is also noted in the run's summary."""
        from crm_sync.engine import Engine
        from crm_sync.engine.notes import noted

        # What is imported stays: without this each collection walks through all of Airflow's objects again.
        gc.freeze()
        with ExitStack() as stack:
            database = stack.enter_context(self.database())
            if run_id is not None:
                stack.enter_context(noted(database, run_id))
            mappings = self.settings(database).mappings

            def open_store(connection: Connection, run: Run) -> Store:
                from crm_sync.access.oauth import identity
                from crm_sync.stores.salesforce import SalesforceStore

                session = stack.enter_context(self.session(run.run_id, run.kind))
                if connection.provisioned_at is None:
                    msg = (
                        f"Connection {connection.name} is not provisioned yet, so its org lacks GPTWeb's fields. Run "
                        f"the DAG crm_provision__{connection.name} first; the scheduled syncs then begin by themselves."
                    )
                    raise Misconfigured(msg)
                owner = connection.settings.owner_id
                return SalesforceStore(
                    session, mappings, lambda: identity(session).user_id, owner_id=owner, purpose=run.kind,
                    page_size=self.page_size, query_patience=self.query_patience,
                )  # fmt: skip

            yield Engine(database, mappings, open_store, job_patience=self.job_patience)

    def refresh_snapshot(self) -> None:
        """Let DAG parsing see settings that were changed past the command line, say by SQL."""
        from crm_sync.ledger import snapshot

        try:
            with self.database() as database, database.transaction() as tx:
                snapshot.write(tx)
        except OSError as error:
            self.log.warning("The schedules of the DAGs may be old: %s. Make AIRFLOW_HOME writable.", error)

    def open_failed(self, options: RunOptions, error: SyncError) -> None:
        """Leave a failed run with its message where none could be opened, if the ledger can be reached."""
        from psycopg import Error

        from crm_sync.engine.notes import open_failed

        with suppress(SyncError, Error), self.database() as database:
            open_failed(database, options, error)

    @contextmanager
    def removal(self) -> Iterator[Removal]:
        """The stages of taking provisioning back; without calls left their run is paused in its summary."""
        from crm_sync.engine.notes import pausing
        from crm_sync.ledger.provisioning import SqlProvisionLedger
        from crm_sync.provision_removal import Removal

        with ExitStack() as stack:
            database = stack.enter_context(self.database())

            def org_of(run_id: int) -> OrgToClear:
                from crm_sync.stores.salesforce_removal import SalesforceRemoval

                stack.enter_context(pausing(database, run_id))
                return SalesforceRemoval(stack.enter_context(self.session(run_id, "provision")))

            yield Removal(self.settings(database).name, org_of, SqlProvisionLedger(database))

    @contextmanager
    def provisioning(self) -> Iterator[Provisioning]:
        """The stages of provisioning; without calls left their run is paused in its summary."""
        from crm_sync.engine.notes import pausing
        from crm_sync.ledger.provisioning import SqlProvisionLedger
        from crm_sync.provision import Provisioning

        with ExitStack() as stack:
            database = stack.enter_context(self.database())
            connection = self.settings(database)

            def org_of(run_id: int) -> Org:
                from crm_sync.stores.salesforce_schema import SalesforceSchema

                stack.enter_context(pausing(database, run_id))
                session = stack.enter_context(self.session(run_id, "provision"))
                return SalesforceSchema(session, connection.settings.provisioning)

            yield Provisioning(self.connection, org_of, connection.mappings, SqlProvisionLedger(database))

    @contextmanager
    def preflight(self) -> Iterator[Preflight]:
        """The checks before anything is changed; the log-in is one of them."""
        from crm_sync.ledger.preflight import SqlPreflightLedger
        from crm_sync.preflight import Preflight

        with ExitStack() as stack:
            database = stack.enter_context(self.database())
            connection = self.settings(database)
            ledger = SqlPreflightLedger(database)

            def enter() -> PreflightOrg:
                from crm_sync.access.oauth import identity
                from crm_sync.stores.salesforce_preflight import SalesforcePreflight

                session = stack.enter_context(self.session(lane="provision"))
                return SalesforcePreflight(session, identity(session), session.login.token().instance_url)

            expected = ledger.expectations(connection, connection.mappings)
            yield Preflight(expected, enter, ledger)

    @contextmanager
    def session(self, run_id: int | None = None, lane: RunKind = "sync") -> Iterator[MeteredSession]:
        """The way out to the CRM: every call is booked, on a database connection of its own, before it leaves."""
        from crm_sync.access.oauth import identity
        from crm_sync.access.transport import MeteredSession
        from crm_sync.ledger.settings import pin
        from crm_sync.ledger.spending import LedgerMeter

        with self.database() as database, self.login() as login:
            connection = self.settings(database)
            meter = LedgerMeter(database, connection.name, run_id, lane)
            # An answer has to be due before the lease on the records ends, or nothing may be sent at all.
            patience = max(5.0, min(READ_TIMEOUT, connection.settings.lease_seconds - SPARE_SECONDS))
            with MeteredSession(
                login, meter, connection=connection.name, purpose=lane, read_timeout=patience
            ) as session:
                organization = identity(session).organization_id
                with database.transaction() as tx:
                    pin(tx, connection.name, organization)
                yield session

    @contextmanager
    def login(self) -> Iterator[VaultLogin]:
        """The way in: the app of the Airflow connection, the tokens in the vault; nothing is asked before it is used."""
        from crm_sync.access.vault_login import VaultLogin

        # Two database connections of its own: a row stays locked while the CRM is asked for a token.
        with self.database() as database, self.database() as marks:
            yield VaultLogin(self.connection, self.endpoint(), self.vault(), database, marks)

    def endpoint(self) -> OAuthEndpoint:
        """The OAuth endpoints of the app that the Airflow connection names."""
        from crm_sync.access.oauth import OAuthEndpoint

        return OAuthEndpoint(self._app(self.connection))

    def settings(self, database: Database) -> Connection:
        """The connection's live settings; an unknown name lists the known ones."""
        from psycopg.errors import InvalidSchemaName, UndefinedColumn, UndefinedTable

        from crm_sync.ledger.settings import load

        try:
            with database.transaction() as tx:
                return load(tx, self.connection)
        except (InvalidSchemaName, UndefinedColumn, UndefinedTable):
            msg = "GPTWeb's database has no ledger yet, or one of another release: run python -m crm_sync migrate."
            raise Misconfigured(msg) from None
