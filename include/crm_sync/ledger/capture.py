"""Capture: which columns of ours are watched for edits, and how one more is; a mapped column that isn't would never travel."""

from __future__ import annotations

import re

from psycopg import sql

from crm_sync.decide.mapping import FieldType, ObjectMapping
from crm_sync.errors import Misconfigured
from crm_sync.ledger.database import Transaction
from crm_sync.model import Object

__all__ = ["captured", "check_columns", "watch"]

_WATCHED = re.compile(r'if new\."?(\w+)"? is distinct from old\.')
_KINDS: dict[FieldType, tuple[str, ...]] = {
    "text": ("text", "character varying"),
    "number": ("numeric", "integer", "bigint", "smallint"),
    "boolean": ("boolean",),
    "datetime": ("timestamp with time zone",),
    "reference": ("uuid",),
    "choices": ("text", "character varying"),
}
_LAST_BLANK = "  new.is_dql := coalesce(new.is_dql, false);\n"
_LAST_MOVED = "  if new.is_dql is distinct from old.is_dql then moved := moved || jsonb_build_object('is_dql', at); end if;\n"
"""Lines that every capture function has since the first revision; others go before them."""


def captured(tx: Transaction, object: Object) -> frozenset[str]:
    """Our columns whose edits travel."""
    source = tx.one(
        "select prosrc from pg_proc where oid = to_regprocedure(%s)", (f"gptweb.stamp_{object}()",)
    )
    return frozenset(_WATCHED.findall(source or ""))


def check_columns(tx: Transaction, mapping: ObjectMapping) -> None:
    """Every mapped column exists in our table, suits its field and is watched, or Misconfigured names all that aren't."""
    kinds = _kinds(tx, mapping.table)
    missing = sorted(set(mapping.columns) - set(kinds))
    if missing:
        raise Misconfigured(
            f"gptweb.{mapping.table} has no column {', '.join(missing)}: add it to the table, or take the block out "
            f"of the mapping file {mapping.object}.yaml"
        )
    wrong = [
        f"{f.ours} is of type {kinds[f.ours]}, but mapped as {f.type} ({', '.join(_KINDS[f.type])})"
        for f in mapping.fields
        if kinds[f.ours] not in _KINDS[f.type]
    ]
    if wrong:
        raise Misconfigured(
            f"gptweb.{mapping.table}: {'; '.join(wrong)}: correct the field's type in the mapping"
        )
    unwatched = sorted(set(mapping.columns) - captured(tx, mapping.object))
    if unwatched:
        raise Misconfigured(
            f"edits of gptweb.{mapping.table}.{', '.join(unwatched)} are not captured, so they would never travel: run "
            f"python -m crm_sync capture {mapping.object} {' '.join(unwatched)} as the owner of the database's schema"
        )


def watch(tx: Transaction, object: Object, column: str) -> bool:
    """Watch one more column from now on, as the schema's owner; False where it is watched already."""
    kind = _kinds(tx, f"{object}s").get(column)
    if kind is None:
        raise Misconfigured(f"gptweb.{object}s has no column {column}: add it to the table first")
    if column in captured(tx, object):
        return False
    definition = str(tx.one("select pg_get_functiondef(%s::regprocedure)", (f"gptweb.stamp_{object}()",)))
    if not all(definition.count(line) == 1 for line in (_LAST_BLANK, _LAST_MOVED)):
        raise Misconfigured(
            f"function gptweb.stamp_{object} is not the one that the migrations made; restore it from them"
        )
    name = sql.Identifier(column).as_string(tx.connection)
    label = sql.Literal(column).as_string(tx.connection)
    blank = f"  if new.{name} = '' then new.{name} := null; end if;\n" if kind in _KINDS["text"] else ""
    moved = f"  if new.{name} is distinct from old.{name} then moved := moved || jsonb_build_object({label}, at); end if;\n"
    definition = definition.replace(_LAST_BLANK, blank + _LAST_BLANK).replace(
        _LAST_MOVED, moved + _LAST_MOVED
    )
    tx.connection.execute(definition.encode())
    return True


def _kinds(tx: Transaction, table: str) -> dict[str, str]:
    rows = tx.rows(
        "select column_name, data_type from information_schema.columns where table_schema = 'gptweb' and table_name = %s",
        (table,),
    )
    return dict(rows)
