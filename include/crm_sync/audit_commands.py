"""The commands of the audit trail: ``verify``, ``export``, ``erase`` and ``housekeeping`` of ``python -m crm_sync``."""

from __future__ import annotations

import argparse
import getpass
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from crm_sync.ledger.database import Database, database_url
from crm_sync.ledger.erasure import erase
from crm_sync.ledger.export import Selection, rows, write_csv, write_parquet
from crm_sync.ledger.months import keep_house
from crm_sync.ledger.verify import verify

__all__ = ["COMMANDS", "add_to", "run"]

COMMANDS = ("verify", "export", "erase", "housekeeping")


def add_to(commands: Any) -> None:
    """Describe the commands to the parser."""
    check = commands.add_parser(
        "verify", help="check the audit trail against its seals; exit status 1 if it was tampered with"
    )
    check.add_argument("--connection", help="only this one's; default: all")
    check.add_argument(
        "--run", type=int, metavar="ID", help="only the rows of one run (and its connection's chain)"
    )
    check.add_argument(
        "--days", type=int, help="only rows that were sealed in the last days (and all chains)"
    )
    check.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="HEX",
        help="a head from a log, which must still be in a chain",
    )

    export = commands.add_parser("export", help="write the audit trail to a file")
    export.add_argument("file", type=Path, help="name.csv or name.parquet; - writes a CSV to standard output")
    export.add_argument("--connection")
    export.add_argument("--record", metavar="ID", help="our id or theirs")
    export.add_argument(
        "--since",
        type=_moment,
        metavar="TIME",
        help="e.g. 2026-11-01 or 2026-11-01T12:00+01:00; UTC unless it says so",
    )
    export.add_argument(
        "--until", type=_moment, metavar="TIME", help="up to this moment, itself not included"
    )

    remove = commands.add_parser(
        "erase", help="erase one person from GPTWeb's record, the ledger and the audit trail"
    )
    remove.add_argument("person", type=UUID, metavar="ID", help="the id of the contact or lead in GPTWeb")
    remove.add_argument("--why", required=True, help="kept in the audit trail; name no person in it")
    remove.add_argument(
        "--who", default=getpass.getuser(), help="kept in the audit trail; default: this system's user"
    )

    commands.add_parser(
        "housekeeping", help="begin a month of the audit trail, drop old ones, clear away what is done"
    )


def run(options: argparse.Namespace) -> int:
    """Carry out one of ``COMMANDS``; returns the exit status."""
    with closing(Database(database_url())) as database:
        if options.command == "verify":
            report = verify(database, options.connection, options.run, options.days, options.head)
            print(*report.lines(), sep="\n")
            return 1 if report.findings else 0
        if options.command == "erase":
            with database.transaction() as tx:
                lines = erase(tx, options.person, options.who, options.why)
        elif options.command == "export":
            selection = Selection(options.connection, options.record, options.since, options.until)
            lines = _export(database, selection, options.file)
        else:
            lines = keep_house(database).lines()
    print(*lines, sep="\n", file=sys.stderr if options.command == "export" else None)
    return 0


def _export(database: Database, selection: Selection, file: Path) -> list[str]:
    lines = rows(database, selection)
    if str(file) == "-":
        count = write_csv(lines, sys.stdout)
    elif file.suffix == ".parquet":
        with file.open("wb") as binary:
            count = write_parquet(lines, binary)
    else:
        with file.open("w", encoding="utf-8", newline="") as text:
            count = write_csv(lines, text)
    return [f"{count:,} lines of the audit trail written to {file}"]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
