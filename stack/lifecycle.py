"""Up, down and status of the whole stack; what an earlier one left half-done is cleared away first."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from stack import airflow, env, postgres, standin
from stack.errors import StackError
from stack.postgres import Server
from stack.prepare import prepare
from stack.processes import Processes
from stack.settings import APP_ROLE, PORT_VARIABLES, ROOT, Org, Settings

Say = Callable[[str], None]


@dataclass
class Stack:
    """The stack in one folder; ``say`` is told of each step."""

    settings: Settings
    say: Say = print

    def __post_init__(self) -> None:
        self.processes = Processes(self.settings.local, ROOT)

    @property
    def env_file(self) -> Path:
        """The shell file for clients."""
        return self.settings.local / "env"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock: two `make up` at once would trip over each other."""
        with (self.settings.local / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StackError(
                    "Another make up, down or demo is at work in this checkout: wait for it."
                ) from error
            yield

    def up(self, asked: Mapping[str, str] = os.environ) -> None:
        """Start everything; a stack that is whole, on the ports and with the org asked for, is left alone."""
        org = Org.from_environment(asked)
        if self._is_as_asked(org, asked) and self.is_whole():
            self.say("The stack is up already.")
            return
        self.settings.check_ports(asked)
        if self.down():
            self.say("Stopped what was left of an earlier start.")
        self.settings.choose_ports(asked)
        self.settings.org_mark = self.settings.mark_of(org)
        self.settings.save()
        began = time.monotonic()
        try:
            self._start(org)
        except BaseException:
            self.down()
            raise
        self.say(f"The stack is up after {time.monotonic() - began:.0f} s.")

    def down(self) -> bool:
        """Stop everything; whether there was anything to stop."""
        ended = self.processes.stop_all()
        database = postgres.running(self.settings.postgres_data.resolve())
        postgres.stop(self.settings.postgres_data)
        self.env_file.unlink(missing_ok=True)
        return bool(ended or database)

    def status(self) -> dict[str, str]:
        """Each service with its state in one word or its address."""
        settings = self.settings
        running = postgres.running(settings.postgres_data.resolve()) is not None
        state = {"postgres": f"up, port {settings.ports.postgres}" if running else "down"}
        if not settings.org_mark:
            state[standin.NAME] = f"up, {standin.url(settings)}" if standin.answers(settings) else "down"
        for name in airflow.COMMANDS:
            state[name] = "up" if self.processes.alive(name) else "down"
        if not any(self.processes.alive(name) for name in airflow.COMMANDS):
            return {**state, "airflow": "down"}
        sick = airflow.sick(airflow.health(settings))
        state["airflow"] = f"not healthy: {', '.join(sick)}" if sick else f"healthy, {settings.airflow_url}"
        return state

    def is_whole(self) -> bool:
        """Whether every service runs and reports itself healthy."""
        return all(text.startswith(("up", "healthy")) for text in self.status().values())

    def environment(self) -> dict[str, str]:
        """What a command needs to work on the running stack: Airflow's environment, and GPTWeb's database as its owner."""
        if postgres.running(self.settings.postgres_data) is None:
            raise StackError("The stack is not up: `make up` starts it.")
        server = postgres.start(self.settings.postgres_data)
        return airflow.environment(self.settings, server, os.environ) | {"CRM_SYNC_DATABASE_URL": server.url}

    def _is_as_asked(self, org: Org | None, asked: Mapping[str, str]) -> bool:
        used = asdict(self.settings.ports)
        same_ports = all(
            asked.get(variable) in {None, "", str(used[n])} for n, variable in PORT_VARIABLES.items()
        )
        return self.env_file.exists() and same_ports and self.settings.org_mark == self.settings.mark_of(org)

    def _start(self, org: Org | None) -> None:
        settings = self.settings
        self.say("Postgres …")
        server = postgres.start(
            settings.postgres_data, settings.ports.postgres, ("airflow", "gptweb"), fsync=True
        )
        if org is None:
            self.say("Salesforce stand-in …")
            standin.start(settings, self.processes, os.environ)
        environment = airflow.environment(settings, server, os.environ) | self.processes.marks()
        airflow.write_passwords(settings)
        self.say("Tables and connection …")
        postgres.ensure_role(server, APP_ROLE, settings.secrets.app_password)
        prepare(environment, org or standin.org(settings), server.url)
        self.say("Airflow: API server, scheduler, DAG processor, triggerer …")
        for service in airflow.services(environment):
            self.processes.start(service)
        airflow.wait_until_healthy(settings, self.processes)
        env.write(self.env_file, self._client_values(server, org))

    def _client_values(self, server: Server, org: Org | None) -> dict[str, str]:
        values = {
            "CRM_SYNC_DATABASE_URL": server.url,
            "AIRFLOW_HOME": str(self.settings.airflow_home),
            "AIRFLOW_URL": self.settings.airflow_url,
            "AIRFLOW_USER": airflow.USER,
            "AIRFLOW_PASSWORD": self.settings.secrets.airflow_password,
        }
        return values if org else values | standin.client_values(self.settings)
