"""Our tables as a Store, inside the caller's transaction, so that a write and its place in the ledger commit together.

Writes are the engine's: the column times are those of the edits in the CRM, and the capture triggers do the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.records import as_engine, columns, match_function, our_record, table
from crm_sync.model import (
    ById,
    ByMatchKey,
    ChangedSince,
    ClockReading,
    Failure,
    Image,
    Object,
    Page,
    Read,
    Write,
    Written,
)

__all__ = ["DatabaseStore"]

EXACT = ClockReading(timedelta(0), timedelta(0))
REMEDY = "shorten or correct the value in the CRM, or widen the column in GPTWeb's database"


class DatabaseStore:
    """GPTWeb's side.  ``id`` and ``our_id`` are the same here; there is no marker."""

    def __init__(self, tx: Transaction, mappings: dict[Object, ObjectMapping], page_size: int = 2000) -> None:
        self._tx = tx
        self._mappings = mappings
        self._page_size = page_size

    def read(self, reads: Sequence[Read]) -> Iterator[Page]:
        """Pages in order of (updated_at, id), by key set."""
        for read in reads:
            start = self._tx.one("select clock_timestamp()")
            after: tuple[datetime, str] | None = None
            while True:
                images = self._page(read, after)
                last = len(images) < self._page_size
                yield Page(read, tuple(images), last, start, EXACT)
                if last:
                    break
                after = (images[-1].stamp, images[-1].id)

    def write(self, object: Object, writes: Sequence[Write], deadline: float) -> Sequence[Written]:
        """One statement for the batch; if the database refuses a value, row by row, then field by field."""
        mapping = self._mappings[object]
        try:
            with self._tx.connection.transaction(), as_engine(self._tx):
                return self._write(mapping, writes)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(writes) > 1:
                return [written for one in writes for written in self.write(object, [one], deadline)]
            return [self._refused(mapping, writes[0], error)]

    def _write(self, mapping: ObjectMapping, writes: Sequence[Write]) -> list[Written]:
        creates = [w for w in writes if w.id is None]
        existing = self._existing(mapping, creates) if creates else set()
        made = {w.our_id for w in creates} - existing
        self._insert(mapping, [w for w in creates if w.our_id in made])
        # Creating twice makes one record: what has the id already is written over.
        self._update(mapping, [w for w in writes if w.our_id not in made])
        after = self._images(mapping, [w.our_id for w in writes])
        return [
            Written(w.our_id, w.our_id, w.our_id in made, after=after[w.our_id])
            if w.our_id in after
            else Written(w.our_id, w.id, failures=(_missing(mapping, w),))
            for w in writes
        ]

    def _insert(self, mapping: ObjectMapping, writes: Sequence[Write]) -> None:
        if not writes:
            return
        names = sql.SQL(", ").join(map(sql.Identifier, mapping.columns))
        query = sql.SQL(
            "insert into {table} (id, changed_at, {names}) select (w.row ->> 'id')::uuid, w.row -> 'times', {values} "
            "from jsonb_array_elements(%s) as w (row) cross join lateral jsonb_populate_record(null::{table}, w.row -> 'values') v "
        ).format(table=table(mapping), names=names, values=_of("v", mapping.columns))
        self._tx.run(query, (Jsonb([_row(w) for w in writes]),))

    def _update(self, mapping: ObjectMapping, writes: Sequence[Write]) -> None:
        if not writes:
            return
        sets = sql.SQL(", ").join(map(sql.Identifier, mapping.columns))
        query = sql.SQL(
            "update {table} c set (changed_at, {sets}) = (select c.changed_at || (w.row -> 'times'), {values} "
            "from jsonb_populate_record(c, w.row -> 'values') v) "
            "from jsonb_array_elements(%s) as w (row) where c.id = (w.row ->> 'id')::uuid"
        ).format(table=table(mapping), sets=sets, values=_of("v", mapping.columns))
        self._tx.run(query, (Jsonb([_row(w) for w in writes]),))

    def _existing(self, mapping: ObjectMapping, writes: Sequence[Write]) -> set[str]:
        query = sql.SQL("select id::text from {table} where id = any(%s::uuid[])").format(
            table=table(mapping)
        )
        return {row[0] for row in self._tx.rows(query, ([w.our_id for w in writes],))}

    def _images(self, mapping: ObjectMapping, ids: Sequence[str]) -> dict[str, Image]:
        images = self._select(mapping, sql.SQL("o.id = any(%(ids)s::uuid[])"), {"ids": list(ids)})
        return {image.id: image for image in images}

    def _page(self, read: Read, after: tuple[datetime, str] | None) -> list[Image]:
        mapping = self._mappings[read.object]
        where, parameters = _condition(mapping, read)
        if after is not None:
            where = sql.SQL("({}) and (o.updated_at, o.id) > (%(at)s, %(id)s::uuid)").format(where)
        extra = {
            "at": after[0] if after else None,
            "id": after[1] if after else None,
            "limit": self._page_size,
        }
        tail = sql.SQL(" order by o.updated_at, o.id limit %(limit)s")
        return self._select(mapping, sql.SQL("").join([where, tail]), {**parameters, **extra})

    def _select(
        self, mapping: ObjectMapping, where: sql.Composable, parameters: dict[str, object]
    ) -> list[Image]:
        query = sql.SQL("select o.id, o.updated_at, {columns} from {table} o where {where}").format(
            columns=columns(mapping, "o"), table=table(mapping), where=where
        )
        images = []
        for our_id, updated_at, *row in self._tx.rows(query, parameters):
            record = our_record(mapping, our_id, row)
            if record is not None:
                images.append(
                    Image(record.id, record.values, updated_at, our_id=record.id, deleted=record.deleted)
                )
        return images

    def _refused(self, mapping: ObjectMapping, write: Write, error: psycopg.Error) -> Written:
        words = error.diag.message_primary or str(error)
        fields = [column for column in write.values if not self._accepts(mapping, column, write)]
        if isinstance(error, psycopg.errors.ForeignKeyViolation) and mapping.reference:
            fields.append(mapping.reference.ours)
        return Written(
            write.our_id,
            write.id,
            failures=(Failure("permanent", error.sqlstate or "", words, tuple(fields), REMEDY),),
        )

    def _accepts(self, mapping: ObjectMapping, column: str, write: Write) -> bool:
        query = sql.SQL("select jsonb_populate_record(null::{}, %s)").format(table(mapping))
        try:
            with self._tx.connection.transaction():
                self._tx.run(query, (Jsonb({column: write.values[column]}),))
        except (psycopg.DataError, psycopg.IntegrityError):
            return False
        return True


def _condition(mapping: ObjectMapping, read: Read) -> tuple[sql.Composable, dict[str, object]]:
    if isinstance(read, ChangedSince):
        where = "(%(since)s::timestamptz is null or o.updated_at >= %(since)s) and (%(until)s::timestamptz is null or o.updated_at < %(until)s)"
        return sql.SQL(where), {"since": read.since, "until": read.until}
    if isinstance(read, ByMatchKey):
        parts = [
            sql.SQL("{f}({c}) in (select {f}(k) from unnest(%(keys)s::text[]) k)").format(
                f=match_function(mapping, column), c=sql.Identifier("o", column)
            )
            for column in mapping.match
        ]
        return sql.SQL("o.deleted_at is null and ({})").format(sql.SQL(" or ").join(parts)), {
            "keys": list(read.keys)
        }
    ids = read.ids if isinstance(read, ById) else read.our_ids
    return sql.SQL("o.id = any(%(ids)s::uuid[])"), {"ids": list(ids)}


def _row(write: Write) -> dict[str, object]:
    return {"id": write.our_id, "values": write.values, "times": dict(write.times)}


def _of(alias: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)


def _missing(mapping: ObjectMapping, write: Write) -> Failure:
    return Failure(
        "gone", "NOT_FOUND", f"gptweb.{mapping.table} has no record {write.our_id}", (), "nothing to do"
    )
