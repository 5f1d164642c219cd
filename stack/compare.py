"""Do both sides agree?  An own reading of both, by SQL and by REST, that uses nothing of the engine it judges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from stack.mappings import Field, Mapping, load
from stack.org_api import OrgApi
from stack.settings import CONNECTION

Row = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One field, or a whole record where ``field`` is empty, in which the sides differ."""

    object: str
    id: str
    field: str
    ours: Any
    theirs: Any


@dataclass(frozen=True)
class Versions:
    """What a write of any kind changes: our versions, their stamps."""

    ours: dict[str, int]
    theirs: dict[str, str]

    def written_since(self, before: Versions) -> tuple[int, int]:
        """How many records of each side were written or appeared."""
        ours = sum(before.ours.get(key) != value for key, value in self.ours.items())
        return ours, sum(before.theirs.get(key) != value for key, value in self.theirs.items())


class Judge:
    """Reads both sides."""

    def __init__(self, database: str, org: OrgApi) -> None:
        self._database = database
        self._org = org
        self._mappings = load()

    def differences(self) -> list[Difference]:
        """Every disagreement that is not parked."""
        with psycopg.connect(self._database, row_factory=dict_row) as connection:
            parked = _parked(connection)
            accounts: dict[str, str] = {}
            found: list[Difference] = []
            for name, mapping in self._mappings.items():
                ours = {str(row["id"]): row for row in connection.execute(_select(mapping))}
                theirs = list(self._org.query(_soql(mapping)))
                if name == "account":
                    accounts = {str(row["Id"]): str(row[mapping.key]) for row in theirs if row[mapping.key]}
                found += _compare(name, mapping, ours, theirs, accounts)
        return [difference for difference in found if not _is_parked(difference, parked)]

    def versions(self) -> Versions:
        """The state of every record on both sides."""
        ours: dict[str, int] = {}
        theirs: dict[str, str] = {}
        with psycopg.connect(self._database) as connection:
            for mapping in self._mappings.values():
                table = sql.Identifier(*mapping.table.split("."))
                rows = connection.execute(sql.SQL("SELECT id::text, version FROM {}").format(table))
                ours |= dict(rows.fetchall())
                soql = f"SELECT Id, SystemModstamp FROM {mapping.theirs}"
                theirs |= {str(row["Id"]): str(row["SystemModstamp"]) for row in self._org.query(soql)}
        return Versions(ours, theirs)

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Records by object, ours and theirs."""
        ours = {}
        with psycopg.connect(self._database) as connection:
            for name, mapping in self._mappings.items():
                table = sql.Identifier(*mapping.table.split("."))
                statement = sql.SQL("SELECT count(*) FROM {} WHERE deleted_at IS NULL").format(table)
                ours[name] = (connection.execute(statement).fetchone() or (0,))[0]
        return ours, {name: self._org.count(mapping.theirs) for name, mapping in self._mappings.items()}


def _parked(connection: psycopg.Connection[Row]) -> set[tuple[str, str]]:
    """(id, field) of what the trail's last word on it calls parked; field '' is the whole record."""
    statement = """SELECT DISTINCT ON (our_id, their_id, field) our_id::text AS ours, their_id AS theirs, field, outcome
                   FROM crm_sync.audit_trail WHERE connection = %s ORDER BY our_id, their_id, field, at DESC"""
    rows = [row for row in connection.execute(statement, [CONNECTION]) if row["outcome"] == "parked"]
    return {
        (str(key), str(row["field"] or "")) for row in rows for key in (row["ours"], row["theirs"]) if key
    }


def _is_parked(difference: Difference, parked: set[tuple[str, str]]) -> bool:
    """A record that never arrived is parked if any of its fields is: it could not be created without it."""
    if not difference.field:
        return any(difference.id == key for key, _ in parked)
    return not parked.isdisjoint({(difference.id, difference.field), (difference.id, "")})


def _select(mapping: Mapping) -> sql.Composed:
    columns = sql.SQL(", ").join(
        sql.Identifier(name) for name in ("id", *(field.ours for field in mapping.fields))
    )
    table = sql.Identifier(*mapping.table.split("."))
    return sql.SQL("SELECT {} FROM {} WHERE deleted_at IS NULL").format(columns, table)


def _soql(mapping: Mapping) -> str:
    return f"SELECT Id, {mapping.key}, {', '.join(field.theirs for field in mapping.fields)} FROM {mapping.theirs}"


def _compare(
    name: str, mapping: Mapping, ours: dict[str, Row], theirs: list[Row], accounts: dict[str, str]
) -> Iterator[Difference]:
    met = set()
    for their in theirs:
        our = ours.get(str(their[mapping.key]))
        if our is None:
            yield Difference(name, str(their["Id"]), "", None, "only in the CRM")
            continue
        met.add(str(our["id"]))
        for field in mapping.fields:
            o, t = our[field.ours], their[field.theirs]
            t = accounts.get(str(t), t) if field.type == "reference" else t
            if _plain(field, o) != _plain(field, t):
                yield Difference(name, str(our["id"]), field.ours, o, t)
    for our_id in ours.keys() - met:
        yield Difference(name, our_id, "", "only in GPTWeb", None)


def _plain(field: Field, value: Any) -> Any:
    """One spelling per meaning: outer blanks, line ends, digits beyond the scale and parts of seconds mean nothing."""
    if field.type == "boolean":
        return bool(value)
    if value is None or value == "":
        return None
    if field.type == "number":
        return Decimal(str(value)).quantize(Decimal(1).scaleb(-field.scale), rounding=ROUND_DOWN)
    if field.type == "datetime":
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return instant.astimezone(UTC).replace(microsecond=0)
    return str(value).replace("\r\n", "\n").strip() or None
