"""Strangers: records of theirs without a link, kept as they were last seen until identity finds them a partner."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.observe import is_newer
from crm_sync.ledger import parking
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import digest_of, match_function
from crm_sync.model import Image, Row, Value

__all__ = ["store_strays", "values_of"]


def store_strays(
    tx: Transaction,
    connection: str,
    mapping: ObjectMapping,
    images: Sequence[Image],
    sent_no: int,
    recv_no: int,
) -> None:
    """Strangers obey the order rule too; two reads that can't be ordered mark them for re-reading (algorithm.md 6.1.7)."""
    known = {
        row[0]: row[1:]
        for row in tx.rows(
            "select their_id, digest, stamp, recv from crm_sync.stray "
            "where connection = %s and their_object = %s and their_id = any(%s) order by their_id for update",
            (connection, mapping.theirs, [image.id for image in images]),
        )
    }
    rows, doubtful = [], []
    for image in sorted(images, key=attrgetter("id")):
        digest = digest_of(mapping, image.values, image.our_id, fate=image.fate)
        before = known.get(image.id)
        rows.append(_stray_row(mapping, image, digest, recv_no))
        if before and before[0] != digest and not is_newer(sent_no, image.stamp, before[2], before[1]):
            doubtful.append(image.id)
    if doubtful:
        tx.run(
            "update crm_sync.stray set reread = true where connection = %s and their_object = %s and their_id = any(%s)",
            (connection, mapping.theirs, doubtful),
        )
    if rows:
        tx.run(_PAGE)
        tx.copy("pg_temp.stray_page", _PAGE_COLUMNS, rows)
        parameters = {
            "c": connection,
            "o": mapping.object,
            "t": mapping.theirs,
            "recv": recv_no,
            "sent": sent_no,
        }
        _insert(tx, mapping, parameters, fresh=not known)
    if dead := [image.id for image in images if image.fate]:
        parking.lift_linked(tx, connection, mapping.object, [], dead)


# COPY is the cheapest way in, and can't upsert; what is temporary is not logged.
_PAGE = """create temporary table if not exists stray_page (recv bigint, their_id text, values jsonb, digest bytea, first text,
  second text, our_id uuid, stamp timestamptz, deleted boolean, merged_into text, converted_to text) on commit delete rows"""
_PAGE_COLUMNS = ("recv", "their_id", "values", "digest", "first", "second", "our_id", "stamp", "deleted", "merged_into", "converted_to")  # fmt: skip


def _insert(tx: Transaction, mapping: ObjectMapping, parameters: dict[str, object], *, fresh: bool) -> None:
    """Take over the page; where all of it is new, without the look that an upsert takes at each row first."""
    insert = _INSERT.format(first=match_function(mapping), second=match_function(mapping, mapping.match[-1]))
    try:
        with tx.connection.transaction():
            tx.run(insert if fresh else insert + _OR_UPDATE, parameters)
    except psycopg.errors.UniqueViolation:  # another read stored one of them meanwhile
        tx.run(insert + _OR_UPDATE, parameters)


_INSERT = sql.SQL("""insert into crm_sync.stray (connection, object, their_object, their_id, values, digest, match_first,
          match_second, our_id, stamp, recv, deleted, merged_into, converted_to)
        select %(c)s, %(o)s, %(t)s, w.their_id, w.values, w.digest, {first}(w.first), {second}(w.second),
          w.our_id, w.stamp, w.recv, w.deleted, w.merged_into, w.converted_to
        from pg_temp.stray_page w where w.recv = %(recv)s""")
_OR_UPDATE = sql.SQL("""
        on conflict (connection, their_object, their_id) do update set values = excluded.values,
          digest = excluded.digest, match_first = excluded.match_first, match_second = excluded.match_second,
          our_id = excluded.our_id, stamp = excluded.stamp, recv = excluded.recv, deleted = excluded.deleted,
          merged_into = excluded.merged_into, converted_to = excluded.converted_to, reread = false
        where %(sent)s > stray.recv or excluded.stamp > stray.stamp""")


def _stray_row(mapping: ObjectMapping, image: Image, digest: bytes, recv_no: int) -> tuple[object, ...]:
    second = _text(image.values.get(mapping.match[1])) if len(mapping.match) > 1 else None
    # A moment as text: psycopg takes four times as long to spell one.
    return (
        recv_no, image.id, orjson.dumps(image.values).decode(), digest, _text(image.values.get(mapping.match[0])), second,
        _uuid(image.our_id), image.stamp.isoformat(), bool(image.fate), image.merged_into, image.converted_to,
    )  # fmt: skip


def _uuid(text: str | None) -> str | None:
    """Our key, if it is one: people can type anything into their field."""
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        return None


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def values_of(
    tx: Transaction, connection: str, mapping: ObjectMapping, their_ids: Sequence[str]
) -> dict[str, Row]:
    """What these strangers hold, by our column names."""
    rows = tx.rows(
        "select their_id, values from crm_sync.stray where connection = %s and their_object = %s and their_id = any(%s)",
        (connection, mapping.theirs, list(their_ids)),
    )
    return dict(rows)
