"""The command line, ``python -m crm_sync``: migrate, connect, retry, capture, vault; verify, export, erase, housekeeping."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from contextlib import closing
from datetime import UTC, datetime

from crm_sync import audit_commands
from crm_sync.access import rotation
from crm_sync.access.vault import KeyRing, Vault, new_entry
from crm_sync.errors import SyncError
from crm_sync.ledger import capture, parking, roles, settings, snapshot
from crm_sync.ledger import migrate as migrations
from crm_sync.ledger.database import Database, database_url
from crm_sync.model import OBJECTS, Object


def main(arguments: list[str] | None = None) -> int:
    """Run one command; problems are one message and exit status 1."""
    options = _parser().parse_args(arguments)
    try:
        return _do(options)
    except SyncError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m crm_sync", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    schema = commands.add_parser("migrate", help="bring the database's schema to the newest revision")
    schema.add_argument(
        "--app-role", metavar="ROLE",
        help="the role as which the application connects: it gets what it needs, and can't rewrite the audit trail",
    )  # fmt: skip
    connect = commands.add_parser("connect", help="make a connection, or change its settings")
    connect.add_argument("name")
    connect.add_argument("--vendor", default="salesforce", choices=["salesforce"])
    connect.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", help="e.g. frequency=hourly"
    )
    retry = commands.add_parser("retry", help="have parked values sent again: the CRM's rule was changed")
    retry.add_argument("name")
    retry.add_argument(
        "--line",
        action="append",
        type=int,
        metavar="ID",
        help="a parked_id of crm_sync.parked_rows; default: all",
    )
    retry.add_argument("--code", help="only what was parked for this reason, e.g. DUPLICATES_DETECTED")
    watch = commands.add_parser("capture", help="have edits of more columns of GPTWeb's tables travel")
    watch.add_argument("object", choices=OBJECTS)
    watch.add_argument("column", nargs="+")
    vault = commands.add_parser("vault", help="the keys under which tokens are sealed")
    vault.add_argument(
        "action", choices=["new-key", "rotate"],
        help="new-key: print a fresh entry for CRM_SYNC_VAULT_KEYS; rotate: seal every stored token under its first key",
    )  # fmt: skip
    audit_commands.add_to(commands)
    return parser


def _do(options: argparse.Namespace) -> int:
    if options.command == "migrate":
        _migrate(options.app_role)
    elif options.command == "retry":
        _retry(options.name, options.line, options.code)
    elif options.command == "capture":
        _capture(options.object, options.column)
    elif options.command == "vault":
        _new_key() if options.action == "new-key" else _rotate()
    elif options.command in audit_commands.COMMANDS:
        return audit_commands.run(options)
    else:
        _connect(options.name, options.vendor, dict(_setting(text) for text in options.set))
    return 0


def _migrate(app_role: str | None) -> None:
    migrations.migrate(database_url())
    if app_role:
        roles.grant(database_url(), app_role)


def _connect(name: str, vendor: str, chosen: dict[str, object]) -> None:
    with Database(database_url()).transaction() as tx:
        connection = settings.connect(tx, name, vendor, chosen)
        snapshot.write(tx)
    print(f"connection {name} ({connection.vendor}): {connection.settings.model_dump_json()}")


def _retry(name: str, lines: list[int] | None, code: str | None) -> None:
    with closing(Database(database_url())) as database, database.transaction() as tx:
        settings.load(tx, name)
        count = parking.try_again(tx, name, lines, code)
    print(f"{count} parked lines are tried again in the next run of {name}")


def _capture(object: Object, columns: list[str]) -> None:
    with closing(Database(database_url())) as database, database.transaction() as tx:
        for column in columns:
            new = capture.watch(tx, object, column)
            print(f"edits of gptweb.{object}s.{column} are captured{'' if new else ' already'}")


def _new_key() -> None:
    print(new_entry(f"k{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(2)}"))


def _rotate() -> None:
    with closing(Database(database_url())) as database:
        print(*rotation.rotate(database, Vault(KeyRing.from_environment())).lines(), sep="\n")


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
