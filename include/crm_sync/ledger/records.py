"""Our tables as canonical rows: the column lists and the turning of a database row into an OurRecord."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

import orjson
from psycopg import sql
from psycopg.pq import TransactionStatus

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.values import canonical
from crm_sync.ledger.database import Transaction
from crm_sync.model import OurRecord, Row

__all__ = [
    "LINK_KEYS",
    "STRAY_KEYS",
    "as_engine",
    "columns",
    "digest_of",
    "match_function",
    "our_record",
    "second_key",
    "table",
]

LINK_KEYS, STRAY_KEYS = ("match_key", "match_second"), ("match_first", "match_second")
"""The columns of a link and of a stray that hold the keys of its record there, in the order of ``mapping.match``."""
ABSENT = "\x00absent"  # not a value Salesforce can hold: NUL is refused everywhere
FIXED = ("version", "deleted_at", "changed_at", "created_at", "archived_by")
"""What every query of our records selects before the mapped columns."""


def table(mapping: ObjectMapping) -> sql.Identifier:
    """Our table of an object."""
    return sql.Identifier("gptweb", mapping.table)


@lru_cache(maxsize=16)
def _columns(alias: str, names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in (*FIXED, *names))


def columns(mapping: ObjectMapping, alias: str) -> sql.Composed:
    """The select list for ``our_record``."""
    return _columns(alias, mapping.columns)


def our_record(mapping: ObjectMapping, our_id: object, row: Sequence[Any]) -> OurRecord | None:
    """An OurRecord from ``columns``; None when the outer join found no row."""
    version, deleted_at, changed_at, created_at, archived_by, *values = row
    if version is None:
        return None
    # Texts are canonical as they are: the capture trigger stores no empty ones.
    for i, mapped in mapping.converted:
        values[i] = canonical(mapped, values[i])
    return OurRecord(
        str(our_id), version, dict(zip(mapping.columns, values, strict=True)), _times(changed_at), created_at,
        deleted_at is not None, archived_by,
    )  # fmt: skip


def _times(changed_at: Mapping[str, str]) -> dict[str, datetime]:
    return {column: datetime.fromisoformat(at) for column, at in changed_at.items()}


def digest_of(mapping: ObjectMapping, values: Row, our_key: str | None, *, fate: str | bool) -> bytes:
    """What a read compares: equal digests mean an equal record, whatever its stamp (hotpath.md 4)."""
    try:
        row: Sequence[object] = mapping.row(values)
    except KeyError:
        row = [values.get(column, ABSENT) for column in mapping.columns]
    return sha256(orjson.dumps([row, our_key, fate])).digest()[:16]


@contextmanager
def as_engine(
    tx: Transaction, how: Literal["on", "whole"] = "on", source: str | None = None
) -> Iterator[None]:
    """What is written inside comes from a CRM: the capture triggers take over the column times that it brings along.

    ``whole``: records that are made have all their columns, in canonical form.  ``source``: the connection to which they
    are no news, because they are linked in the same statement.
    """
    setting = "select set_config('crm_sync.engine', %s, true), set_config('crm_sync.source', %s, true)"
    tx.run(setting, (how, source or ""))
    try:
        yield
    finally:
        if tx.connection.info.transaction_status != TransactionStatus.INERROR:
            tx.run(setting, ("", ""))


def match_function(mapping: ObjectMapping, column: str | None = None) -> sql.SQL:
    """The SQL function that spells a match column's key; for the first match column unless named."""
    name = column or mapping.match[0]
    return sql.SQL("crm_sync.match_domain" if name == "website" else "crm_sync.match_text")


def second_key(mapping: ObjectMapping, row: sql.Composable) -> sql.Composable:
    """The second match key of ``row``, a jsonb of our columns; null where one column alone is matched."""
    if len(mapping.match) == 1:
        return sql.SQL("null")
    column = mapping.match[1]
    return sql.SQL("{}({} ->> {})").format(match_function(mapping, column), row, sql.Literal(column))
