"""The connections as a file: DAG parsing reads it, so that a database that is down makes no DAG disappear."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crm_sync.decide.settings import Frequency, Reconcile
    from crm_sync.ledger.database import Transaction

__all__ = ["ConnectionSnapshot", "path", "read", "write"]

FILE = "crm_sync_connections.json"


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """What a DAG's shape depends on; everything else is read live by the tasks."""

    name: str
    vendor: str
    frequency: Frequency
    provisioned: bool
    active: bool
    reconcile: Reconcile = "nightly"


def path() -> Path:
    """The file under AIRFLOW_HOME."""
    home = os.environ.get("AIRFLOW_HOME")
    return (Path(home) if home else Path.home() / "airflow") / FILE


def read(file: Path | None = None) -> list[ConnectionSnapshot]:
    """The connections of the last good write; none when there was none yet."""
    try:
        entries = json.loads((file or path()).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [ConnectionSnapshot(**entry) for entry in entries]


def write(tx: Transaction, file: Path | None = None) -> None:
    """Rewrite the file from the database, atomically; a reader sees the old one or the new one, never a part."""
    from crm_sync.ledger.settings import connections  # noqa: PLC0415  parsing a DAG only reads, without the driver

    target = file or path()
    entries = [
        asdict(
            ConnectionSnapshot(
                c.name,
                c.vendor,
                c.settings.frequency,
                c.provisioned_at is not None,
                c.active,
                c.settings.reconcile,
            )
        )
        for c in connections(tx)
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=FILE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(entries, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
