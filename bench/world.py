"""What one measurement runs on: a Postgres of its own and a Salesforce stand-in (TLS), provisioned and joined."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests

from bench.cpu import Child, run_child, server_seconds, settled_seconds
from bench.people import Values, copy_ours, records, their_row
from crm_sync.access.app import App
from crm_sync.access.login import MemoryLogin
from crm_sync.access.oauth import OAuthEndpoint
from crm_sync.access.transport import MeteredSession
from crm_sync.access.vault import KEYS_VARIABLE, new_entry
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.migrate import migrate
from crm_sync.ledger.provisioning import SqlProvisionLedger
from crm_sync.ledger.spending import LedgerMeter
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Object
from crm_sync.provision import Provisioning
from crm_sync.stores.salesforce_schema import SalesforceSchema
from stack import postgres
from stack.org_api import OrgApi
from stack.ports import free_port
from stack.processes import Processes, Service
from stack.settings import ROOT

__all__ = ["NAME", "Measured", "World", "world"]

NAME = "salesforce_main"
USER, PASSWORD, SECURITY_TOKEN = "admin@gptweb.example", "bench", "bench"
START_SECONDS = 60.0


@dataclass(frozen=True)
class Measured:
    """One process and what the two servers spent on it; the stand-in's share is shown, and counted nowhere."""

    child: Child
    postgres: float
    standin: float

    @property
    def cpu(self) -> float:
        """The process and Postgres."""
        return self.child.cpu + self.postgres


@dataclass
class World:
    """Both servers, and how to get at them."""

    folder: Path
    database: str
    url: str
    postgres_pid: int
    standin_pid: int = 0
    client_id: str = field(default_factory=lambda: "3MVG9" + secrets.token_hex(20))
    client_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    token: str = field(default_factory=lambda: "00D5g000000AbCd!" + secrets.token_hex(20))
    vault_keys: str = field(default_factory=lambda: new_entry("bench"))
    mappings: Mapping[Object, ObjectMapping] = field(default_factory=lambda: load_mappings("salesforce"))

    @property
    def certificate(self) -> Path:
        """The stand-in's certificate."""
        return self.folder / "salesforce" / "tls-cert.pem"

    @property
    def org(self) -> OrgApi:
        """The org as its sales administrator."""
        return OrgApi(self.url, self.token)

    def environment(self) -> dict[str, str]:
        """The surroundings of a measured process: an Airflow home of its own, and the connections as variables."""
        ours = {
            "instance_url": self.url,
            "consumer_key": self.client_id,
            "consumer_secret": self.client_secret,
        }
        domain = f"{self.url.removeprefix('https://')}/login"
        stock = {"security_token": SECURITY_TOKEN, "domain": domain, "version": "60.0"}
        home = self.folder / "airflow"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "SALESFORCE"))
        }
        return kept | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__FERNET_KEY": "ZmFrZWtleWZha2VrZXlmYWtla2V5ZmFrZWtleWZha2U=",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW_CONN_SALESFORCE_MAIN": json.dumps({"conn_type": "salesforce", "extra": ours}),
            "AIRFLOW_CONN_SALESFORCE_STOCK": json.dumps(
                {"conn_type": "salesforce", "login": USER, "password": PASSWORD, "extra": stock}
            ),
            "AIRFLOW_CONN_GPTWEB": self.database,
            "CRM_SYNC_DATABASE_URL": self.database,
            KEYS_VARIABLE: self.vault_keys,
            "REQUESTS_CA_BUNDLE": str(self.certificate),
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("include", "plugins", "")),
        }

    def seed_ours(self, object: Object, count: int, mark: str = "ours") -> list[str]:
        """Records in GPTWeb only."""
        return copy_ours(self.database, object, list(records(object, count, mark)))

    def seed_theirs(self, object: Object, count: int, mark: str = "theirs") -> list[str]:
        """Records in the CRM only."""
        mapping = self.mappings[object]
        rows: list[Values] = [their_row(mapping, values) for values in records(object, count, mark)]
        return self.org.create(mapping.theirs, rows)

    def execute(
        self, statement: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        """One statement on GPTWeb's database."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def rows_written(self) -> int:
        """How many rows clients have written in the CRM so far."""
        return int(self._standin("GET", "calls", params={"limit": 1})["rows_written"])

    def pass_time(self, seconds: int) -> None:
        """Let the CRM's clock run ahead."""
        self._standin("POST", "clock", json={"advance": seconds})

    def pace(self, rows_per_second: int) -> None:
        """Let the CRM work off no more rows of bulk jobs a second, all jobs together."""
        self._standin("POST", "settings", json={"bulk_rows_per_second": rows_per_second})

    def _standin(self, method: str, what: str, **content: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        reply = requests.request(method, f"{self.url}/standin/{what}", headers=headers, timeout=60, **content)
        reply.raise_for_status()
        return reply.json()

    def rest(self) -> None:
        """Let what seeding left behind be done before anything is measured."""
        self.execute("vacuum analyze gptweb.accounts, gptweb.contacts, gptweb.leads")
        self.execute("checkpoint")

    def measure(self, *words: str) -> Measured:
        """Run one job in a new process, and count what it and the servers spent."""
        before = settled_seconds(self.postgres_pid), server_seconds(self.standin_pid)
        child = run_child(["bench.child", *words], self.environment(), self.folder / "child.log")
        self.execute("checkpoint")  # what it left to be written is its own
        after = settled_seconds(self.postgres_pid), server_seconds(self.standin_pid)
        return Measured(child, after[0] - before[0], after[1] - before[1])


@contextmanager
def world(*, provisioned: bool = True) -> Iterator[World]:
    """A new world, gone at the end; its logs are kept if something went wrong."""
    root = ROOT / ".local" / "bench"
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="world-", dir=root))
    folder.chmod(0o755)
    processes = Processes(folder, ROOT)
    data = folder / "postgres"
    try:
        server = postgres.start(data)
        made = World(
            folder, server.url, f"https://127.0.0.1:{free_port()}", postgres.running(data.resolve()) or 0
        )
        _start_standin(made, processes)
        migrate(server.url)
        _connect(made)
        if provisioned:
            _provision(made)
        yield made
    finally:
        processes.stop_all()
        postgres.stop(data)
        shutil.rmtree(folder, ignore_errors=True)


def _start_standin(made: World, processes: Processes) -> None:
    given = {
        "TOKEN": made.token, "CLIENT_ID": made.client_id, "CLIENT_SECRET": made.client_secret,
        "PASSWORD": PASSWORD, "SECURITY_TOKEN": SECURITY_TOKEN, "USERNAME": USER,
    }  # fmt: skip
    environment = dict(os.environ) | {f"SALESFORCE_STANDIN_{name}": value for name, value in given.items()}
    environment |= {"PYTHONPATH": str(ROOT / "include"), **processes.marks()}
    where = [
        "--port",
        made.url.rpartition(":")[2],
        "--data",
        str(made.folder / "salesforce"),
        "--seed",
        "none",
        "--tls",
    ]
    command = (sys.executable, "-m", "salesforce_standin", *where)
    made.standin_pid = processes.start(Service("standin", command, environment))
    deadline = time.monotonic() + START_SECONDS
    while True:
        processes.require(["standin"])
        if made.certificate.exists():
            trust(made.certificate)
            try:
                if requests.get(f"{made.url}/services/data/", timeout=5).ok:
                    return
            except requests.RequestException:
                pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"the stand-in does not answer: {processes.tail('standin')}")
        time.sleep(0.1)


def trust(certificate: Path) -> None:
    """Let this process trust the stand-in's certificate, and nothing else."""
    os.environ["REQUESTS_CA_BUNDLE"] = str(certificate)
    # A session that heeds no environment (our log-in on loopback) looks here.
    requests.adapters.DEFAULT_CA_BUNDLE_PATH = str(certificate)


def _connect(made: World) -> None:
    database = Database(made.database)
    with database.transaction() as tx:
        settings.connect(
            tx, NAME, "salesforce", {"approve_creations_above": None, "approve_share_above": None}
        )
    database.close()


def _provision(made: World) -> None:
    """The fields in the org, by the product's own provisioning; the administrator sees them too."""
    os.environ["AIRFLOW_HOME"] = str(made.folder / "airflow")  # where the connections' snapshot goes
    database = Database(made.database)
    endpoint = OAuthEndpoint(App(made.url, made.client_id, made.client_secret))
    login = MemoryLogin(lambda: endpoint.fetch().session)
    meter = LedgerMeter(database, NAME, None, "provision")
    with MeteredSession(login, meter, connection=NAME, purpose="provision") as session:
        org = SalesforceSchema(session)
        stages = Provisioning(NAME, lambda _: org, dict(made.mappings), SqlProvisionLedger(database))
        run_id, _ = stages.plan("bench")
        stages.apply(run_id)
        stages.verify(run_id)
    database.close()
    made.org.see_gptweb_fields()
