"""The two sides of a reconciliation as ordered streams: theirs as a read brought it, ours with what the sync has seen.

Both are narrow (an id, a digest, whether the pair is sound), so that memory stays flat; whoever needs a closer look is
loaded by the chunk.  Everything here is temporary: it is gone with the database session.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg import sql

from crm_sync.decide.compare import Known
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.records import digest_of, match_function, table
from crm_sync.model import Direction, Image, Value

__all__ = [
    "OurRow",
    "TheirRow",
    "clear",
    "freeze",
    "images_of",
    "keep",
    "known",
    "linked",
    "our_rows",
    "our_strangers",
    "their_rows",
    "their_strangers",
    "twins",
]

CHUNK = 2_000


class TheirRow(NamedTuple):
    """One record of theirs as read: ``digest`` as a link keeps it."""

    their_id: str
    digest: bytes


class OurRow(NamedTuple):
    """One link with our record: ``sound`` if what we hold equals what was last seen there, and nothing is unusual."""

    their_id: str
    link_id: int
    digest: bytes | None
    sound: bool


def clear(tx: Transaction) -> None:
    """Empty places for what a read brings and for what is found."""
    tx.run("drop table if exists pg_temp.theirs, pg_temp.finding")
    # Its own order is that of bytes, which is how Python compares texts.
    tx.run("""create temporary table theirs (object text, their_id text collate "C", digest bytea, alive boolean,
      match text, image jsonb)""")
    tx.run("""create temporary table finding (n bigint generated always as identity primary key, object text, cause text, link_id bigint, their_id text, our_id uuid,
      absent boolean)""")


def keep(tx: Transaction, connection: str, mapping: ObjectMapping, images: Sequence[Image]) -> None:
    """Keep one page: of what is as it was last seen only the digest, of anything else the whole image."""
    before: dict[str, bytes | None] = dict(
        tx.rows(
            "select their_id, seen_digest from crm_sync.link where connection = %s and their_object = %s and their_id = any(%s)",
            (connection, mapping.theirs, [image.id for image in images]),
        )
    )
    first = mapping.match[0]

    def rows() -> Iterator[tuple[Any, ...]]:
        for image in images:
            digest = digest_of(mapping, image.values, image.our_id, fate=image.fate)
            match = image.values.get(first)
            known = before.get(image.id) == digest
            yield (
                mapping.object, image.id, digest, not image.fate, None if match is None else str(match),
                None if known else _json(image),
            )  # fmt: skip

    tx.copy("theirs", ("object", "their_id", "digest", "alive", "match", "image"), rows())


def _json(image: Image) -> Jsonb:
    return Jsonb({name: getattr(image, name) for name in _PARTS})


_PARTS = ("values", "stamp", "our_id", "marker", "modified_by_us", "deleted", "merged_into", "converted_to")


def images_of(tx: Transaction, mapping: ObjectMapping, their_ids: Sequence[str]) -> dict[str, Image]:
    """The images of these records, as far as they were not as last seen."""
    rows = tx.rows(
        "select their_id, image from theirs where object = %s and their_id = any(%s) and image is not null",
        (mapping.object, list(their_ids)),
    )
    return {their_id: Image(their_id, **_parts(kept)) for their_id, kept in rows}


def _parts(kept: dict[str, Any]) -> dict[str, Any]:
    return {**kept, "stamp": datetime.fromisoformat(kept["stamp"]).astimezone(UTC)}


def freeze(tx: Transaction) -> None:
    """Everything from here on sees one moment of our side; first thing in its transaction."""
    tx.run("set transaction isolation level repeatable read")
    tx.run("create index on theirs (object, their_id)")
    tx.run("analyze theirs")


def their_rows(tx: Transaction, mapping: ObjectMapping) -> Iterator[TheirRow]:
    """Theirs in order of their ids."""
    query = "select their_id, digest from theirs where object = %s order by their_id"
    return map(TheirRow._make, tx.stream("theirs", query, (mapping.object,)))


def our_rows(
    tx: Transaction, connection: str, mapping: ObjectMapping, direction: Direction
) -> Iterator[OurRow]:
    """Links with their records of ours in order of their ids.

    Sound is only what is shown to be equal, value by value, on both sides; whatever else is looked at closely.
    """
    query = sql.SQL("""select l.their_id, l.link_id, l.seen_digest, coalesce(
          l.state = 'live' and (l.keyed or %(pull)s) and l.their_alive and not l.reread and l.base_alive_ours
          and l.base_alive_theirs and l.claim_run is null and o.id is not null and o.deleted_at is null
          and {held} = jsonb_strip_nulls(i.seen) - %(ref)s::text {parent}, false)
        from crm_sync.link l left join crm_sync.image i using (link_id) left join {table} o on o.id = l.our_id {join}
        where l.connection = %(c)s and l.object = %(o)s and l.their_id is not null
        order by l.their_id collate "C\"""").format(
        held=_held(mapping), table=table(mapping), **_parent(mapping)
    )
    parameters = {
        "c": connection, "o": mapping.object, "pull": direction == "pull", "ref": _reference(mapping),
        "p": mapping.reference.references if mapping.reference else None,
    }  # fmt: skip
    return map(OurRow._make, tx.stream("ours", query, parameters))


def _held(mapping: ObjectMapping) -> sql.Composed:
    """Our values as an image holds them; where that can't be said in SQL they only seem to differ, and are looked at."""
    names = [f for f in mapping.fields if not f.references]
    columns = sql.SQL(", ").join(
        sql.SQL(
            """to_char({column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as {name}"""
            if f.type == "datetime"
            else "{column} as {name}"
        ).format(column=sql.Identifier("o", f.ours), name=sql.Identifier(f.ours))
        for f in names
    )
    return sql.SQL("(select jsonb_strip_nulls(to_jsonb(h)) from (select {}) h)").format(columns)


def _parent(mapping: ObjectMapping) -> dict[str, sql.Composable]:
    if mapping.reference is None:
        return {"parent": sql.SQL(""), "join": sql.SQL("")}
    ours = sql.Identifier("o", mapping.reference.ours)
    return {
        "parent": sql.SQL("and p.their_id is not distinct from i.seen ->> %(ref)s and (p.our_id is null) = ({} is null)").format(ours),
        "join": sql.SQL(
            "left join crm_sync.link p on p.connection = l.connection and p.object = %(p)s and p.our_id = {} and p.state = 'live'"
        ).format(ours),
    }  # fmt: skip


def _reference(mapping: ObjectMapping) -> str:
    return mapping.reference.ours if mapping.reference else ""


def known(
    tx: Transaction, connection: str, mapping: ObjectMapping, link_ids: Sequence[int], cursor: datetime | None
) -> dict[int, Known]:
    """What the sync knows of these links."""
    rows = tx.rows(
        """select l.link_id, l.dirty or exists (select 1 from crm_sync.outbox b where b.connection = %(c)s
            and b.object = %(o)s and b.our_id = l.our_id),
          l.claim_until > clock_timestamp() or exists (select 1 from crm_sync.intent n
            where n.link_id = l.link_id and n.closed_by is null)
        from crm_sync.link l where l.link_id = any(%(ids)s)""",
        {"c": connection, "o": mapping.object, "ids": list(link_ids)},
    )
    return {row[0]: Known(row[1], bool(row[2]), cursor) for row in rows}


def their_strangers(
    tx: Transaction, connection: str, mapping: ObjectMapping, their_ids: Sequence[str]
) -> dict[str, tuple[bool, bool, bool]]:
    """Of these records without a link: (held back: parked, erased, or an id that a link had before; known as a stranger; taken over).

    Taken over is one that a record of ours being created will have.
    """
    rows = tx.rows(
        """select s.their_id,
          exists (select 1 from crm_sync.parked p where p.connection = %(c)s and p.object = %(o)s and p.their_id = s.their_id
            and p.held and p.lifted_at is null and p.field is null)
          or exists (select 1 from crm_sync.former f where f.connection = %(c)s and f.their_object = %(t)s
            and f.their_id = s.their_id)
          or exists (select 1 from crm_sync.erased e where e.connection = %(c)s and e.their_object = %(t)s
            and e.their_id = s.their_id),
          exists (select 1 from crm_sync.stray x where x.connection = %(c)s and x.their_object = %(t)s
            and x.their_id = s.their_id),
          exists (select 1 from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s and l.their_id is null
            and l.our_id::text = s.our_id)
        from (select their_id, image ->> 'our_id' as our_id from theirs where object = %(o)s and their_id = any(%(ids)s)) s""",
        {"c": connection, "o": mapping.object, "t": mapping.theirs, "ids": list(their_ids)},
    )
    return {row[0]: row[1:] for row in rows}


def our_strangers(
    tx: Transaction, connection: str, mapping: ObjectMapping
) -> Iterator[tuple[str, bool, bool, bool, dict[str, Value]]]:
    """Living records of ours without one of theirs: (our id, parked, in the outbox, being created, values)."""
    query = sql.SQL("""select o.id::text,
          exists (select 1 from crm_sync.parked p where p.connection = %(c)s and p.object = %(o)s and p.our_id = o.id
            and p.held and p.lifted_at is null and p.field is null),
          exists (select 1 from crm_sync.outbox b where b.connection = %(c)s and b.object = %(o)s and b.our_id = o.id),
          exists (select 1 from crm_sync.intent i where i.link_id = l.link_id and i.closed_by is null), {held}
        from {table} o left join crm_sync.link l on l.connection = %(c)s and l.object = %(o)s and l.our_id = o.id
        where o.deleted_at is null and l.their_id is null and coalesce(l.state, 'creating') = 'creating'""").format(
        held=_held(mapping), table=table(mapping)
    )
    return iter(tx.stream("strangers", query, {"c": connection, "o": mapping.object}))


def linked(tx: Transaction, connection: str, mapping: ObjectMapping) -> int:
    """How many pairs are linked."""
    count: int = tx.one(
        "select count(*) from crm_sync.link where connection = %s and object = %s and their_id is not null and state = 'live'",
        (connection, mapping.object),
    )
    return count


def twins(tx: Transaction, mapping: ObjectMapping, side: str, most: int) -> tuple[int, list[list[str]]]:
    """How many people (companies) have several living records on one side, and the ids of some of them."""
    spelt = match_function(mapping)
    if side == "theirs":
        rows = sql.SQL(
            "select {}(match) as key, their_id as id from theirs where object = %(o)s and alive and match is not null"
        ).format(spelt)
    else:
        rows = sql.SQL("select {}({}) as key, id::text as id from {} where deleted_at is null").format(
            spelt, sql.Identifier(mapping.match[0]), table(mapping)
        )
    found = sql.SQL("""with shared as (select key, (array_agg(id order by id))[1:5] as ids from ({}) r
          where key is not null group by key having count(*) > 1)
        select (select count(*) from shared), (select coalesce(jsonb_agg(ids), '[]')
          from (select ids from shared order by key limit %(most)s) e)""").format(rows)
    count, some = next(tx.stream("twins", found, {"o": mapping.object, "most": most}))
    return count, some
