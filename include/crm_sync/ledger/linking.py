"""Making links: strays become linked records, and our records are told what a record of theirs would be made of."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import NO_PARENTS, Parents
from crm_sync.ledger import parking
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.identity import Unlinked
from crm_sync.ledger.parents import parents_of
from crm_sync.ledger.records import table
from crm_sync.model import Value

__all__ = ["link_strays", "parents_of_records", "refused_values", "wanted_values"]


def link_strays(
    tx: Transaction, connection: str, mapping: ObjectMapping, matched: Sequence[tuple[str, str, str]], *,
    dirty: bool = True,
) -> list[int]:  # fmt: skip
    """Link (our id, their id, how); the stray's image becomes what was seen, what both hold alike becomes the base."""
    if not matched:
        return []
    parameters = {
        "ours": [m[0] for m in matched],
        "theirs": [m[1] for m in matched],
        "c": connection,
        "t": mapping.theirs,
        "dirty": dirty,
    }
    # Lateral with offset 0: one look-up by key a row, whatever the planner believes about fresh tables.
    made = tx.rows(
        """insert into crm_sync.link as l (connection, object, their_object, our_id, their_id, state, keyed, seen_stamp,
          seen_recv, seen_digest, match_key, match_second, dirty)
        select s.connection, s.object, s.their_object, w.our_id, s.their_id, 'live', s.our_id is not distinct from w.our_id,
          s.stamp, s.recv, s.digest, s.match_first, s.match_second, %(dirty)s
        from unnest(%(ours)s::uuid[], %(theirs)s::text[]) as w (our_id, their_id)
        cross join lateral (select * from crm_sync.stray s where s.connection = %(c)s and s.their_object = %(t)s
          and s.their_id = w.their_id offset 0) s
        on conflict (connection, object, our_id) do update set their_id = excluded.their_id, state = 'live',
          keyed = excluded.keyed, seen_stamp = excluded.seen_stamp, seen_recv = excluded.seen_recv,
          seen_digest = excluded.seen_digest, match_key = excluded.match_key, match_second = excluded.match_second, dirty = true
          where l.their_id is null
        returning link_id, their_id""",
        parameters,
    )
    linked = {
        "links": [row[0] for row in made],
        "theirs": [row[1] for row in made],
        "c": connection,
        "t": mapping.theirs,
    }
    tx.run(_first_images(mapping), linked)
    tx.run(
        "delete from crm_sync.stray where connection = %(c)s and their_object = %(t)s and their_id = any(%(theirs)s)",
        linked,
    )
    parking.lift_linked(tx, connection, mapping.object, [m[0] for m in matched], [m[1] for m in matched])
    return [row[0] for row in made]


def _first_images(mapping: ObjectMapping) -> sql.Composed:
    """The image of new links: what was seen; base is what both sides hold alike, so that only differences are merged."""
    ours = theirs = sql.Composed([sql.SQL("b.alike")])
    if mapping.reference and mapping.reference.references:
        names = {
            "name": sql.Literal(mapping.reference.ours),
            "object": sql.Literal(mapping.reference.references),
            "parents": sql.Identifier("gptweb", f"{mapping.reference.references}s"),
        }
        # The same parent has two names.
        parent = sql.SQL(
            """case when exists (select 1 from (select * from crm_sync.link p where p.connection = %(c)s
                and p.object = {object} and p.our_id = (o.held ->> {name})::uuid offset 0) p
              cross join lateral (select a.deleted_at from {parents} a where a.id = p.our_id offset 0) a
              where p.their_id = s.values ->> {name} and p.state = 'live' and a.deleted_at is null)
            then jsonb_build_object({name}, {side} -> {name}) else '{{}}' end"""
        )
        ours = sql.SQL("b.alike || ") + parent.format(side=sql.SQL("o.held"), **names)
        theirs = sql.SQL("b.alike || ") + parent.format(side=sql.SQL("s.values"), **names)
    return sql.SQL(
        """insert into crm_sync.image (link_id, base_ours, base_theirs, seen)
        select w.link_id, {ours}, {theirs}, s.values
        from unnest(%(links)s::bigint[], %(theirs)s::text[]) as w (link_id, their_id)
        cross join lateral (select * from crm_sync.stray s where s.connection = %(c)s and s.their_object = %(t)s
          and s.their_id = w.their_id offset 0) s
        left join lateral (select to_jsonb(o) as held from crm_sync.link l join {table} o on o.id = l.our_id
          where l.link_id = w.link_id offset 0) o on true
        cross join lateral (select case when o.held @> s.values then s.values else coalesce(
          (select jsonb_object_agg(e.key, e.value) from jsonb_each(s.values) e where o.held -> e.key = e.value), '{{}}')
          end as alike) b
        on conflict (link_id) do update set base_ours = excluded.base_ours, base_theirs = excluded.base_theirs,
          seen = excluded.seen"""
    ).format(ours=ours, theirs=theirs, table=table(mapping))


def parents_of_records(
    tx: Transaction, connection: str, mapping: ObjectMapping, records: Sequence[Unlinked], run_id: int | None
) -> Parents:
    """The parents that these records of ours refer to; with a run also those that it is about to create."""
    reference = mapping.reference
    if reference is None or reference.references is None:
        return NO_PARENTS
    wanted = {
        str(r.record.values[reference.ours]) for r in records if r.record and r.record.values[reference.ours]
    }
    return parents_of(tx, connection, reference.references, [], sorted(wanted), run_id)


def refused_values(tx: Transaction, records: Sequence[Unlinked]) -> dict[int, dict[str, Value]]:
    """The values that the CRM refused when these records were to be created."""
    refused: dict[int, dict[str, Value]] = {}
    ids = [r.link_id for r in records if r.link_id is not None]
    if ids:
        rows = tx.rows(
            "select link_id, field, value from crm_sync.parked where link_id = any(%s) and side = 'theirs' "
            "and field is not null and held and lifted_at is null",
            (ids,),
        )
        for link_id, column, value in rows:
            refused.setdefault(link_id, {})[column] = value
    return refused


def wanted_values(
    mapping: ObjectMapping, record: Unlinked, parents: Parents, refused: dict[int, dict[str, Value]]
) -> dict[str, Value]:
    """What a new record of theirs is made of: our non-blank values, without refused ones and without a missing parent."""
    if record.record is None:
        return {}
    no = refused.get(record.link_id or 0, {})
    values: dict[str, Value] = {}
    for mapped in mapping.fields:
        value = record.record.values[mapped.ours]
        waits = bool(mapped.references) and str(value) not in parents.theirs
        if (
            value is None
            or mapped.direction == "in"
            or waits
            or (mapped.ours in no and no[mapped.ours] == value)
        ):
            continue
        values[mapped.ours] = value
    return values
