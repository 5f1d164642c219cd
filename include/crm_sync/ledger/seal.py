"""Seals: a run's rows of the trail, hashed when it ends and chained to the connection's seal before.

A row is covered by one seal or by none yet.  What comes to a run after its seal (a stage that was cleared, an answer to
a doubt is the later run's own) is covered by the run's next seal.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from crm_sync.ledger.database import Transaction
from crm_sync.ledger.leaves import KINDS, MONTH, Kind

__all__ = ["DIGEST", "HEAD", "RUN", "Seal", "seal_connection", "seal_run"]

FIRST = bytes(32)
"""What stands before the first seal of a chain."""

SALT: LiteralString = "substr(sha256(%(secret)s::bytea || int8send({id})), 1, 16)"
"""A row's salt: from a secret that nobody keeps, so that an erased one can't be made again; random ones cost six times as much."""

RUN: LiteralString = """jsonb_build_object('kind', r.kind, 'dag_run_id', r.dag_run_id, 'planned', r.planned,
  'acknowledged', r.acknowledged, 'parked', r.parked, 'superseded', r.superseded, 'in_doubt', r.in_doubt,
  'conflicts', r.conflicts)"""
"""What a seal says of its run ``r``: its sums."""

DIGEST: LiteralString = "sha256(record_send(row(k.place, k.kind, k.month, k.ids, k.leaves)))"
"""The digest of up to a thousand sealed rows ``k``.  Salts stay out: erasing them must not show."""

HEAD: LiteralString = "sha256(s.previous || sha256(record_send(row(s.connection, s.number, s.run_id, s.at, s.run, s.months))) || sha256(s.digests))"
"""The head of the chain after a seal ``s``."""


@dataclass(frozen=True, slots=True)
class Seal:
    """One link of a connection's chain; ``head`` in hex proves everything before it."""

    connection: str
    number: int
    head: str
    rows: int

    def __str__(self) -> str:
        """The line for logs and reports, to be kept where the database's owner can't write."""
        return f"sealed: {self.rows:,} rows of the audit trail, seal {self.number} of {self.connection}, head {self.head}"


def seal_run(tx: Transaction, run_id: int) -> Seal | None:
    """Seal what no seal of this run covers yet; None when there is nothing new to say of it."""
    connection = str(tx.one("select connection from crm_sync.run where run_id = %s", (run_id,)))
    return _seal(tx, connection, run_id, sql.SQL("t.run_id = %(run)s"), KINDS)


def seal_connection(tx: Transaction, connection: str) -> Seal | None:
    """Seal what belongs to no run: settings, log-ins, calls outside runs."""
    scope = sql.SQL("t.run_id is null and t.connection = %(connection)s")
    return _seal(tx, connection, None, scope, [kind for kind in KINDS if kind.at])


def _seal(
    tx: Transaction, connection: str, run_id: int | None, scope: sql.SQL, kinds: Sequence[Kind]
) -> Seal | None:
    # One at a time for each connection: a chain has no forks.
    tx.run("select pg_advisory_xact_lock(7272028, hashtext(%s))", (connection,))
    seal_id = tx.one("select nextval('crm_sync.seal_seal_id_seq')")
    parameters = {
        "connection": connection, "run": run_id, "seal": seal_id, "first": FIRST, "secret": secrets.token_bytes(32)
    }  # fmt: skip
    before = tx.rows(_BEFORE, parameters)
    places = 0
    for kind in kinds:
        covered = [row[0] for row in before if row[1] == kind.name]
        places += _cover(tx, kind, scope, {**parameters, "places": places, "covered": covered})
    if not places and (run_id is None or tx.one(_SAID, parameters)):
        return None
    rows = tx.rows(_CHAIN, parameters)
    number, head, covers = rows[0]
    return Seal(connection, number, head, covers)


def _cover(tx: Transaction, kind: Kind, scope: sql.SQL, parameters: dict[str, object]) -> int:
    """Store ids, leaves and salts of the rows in scope, a thousand at a time; returns how many lots they make."""
    fresh = sql.SQL(_FRESH if parameters["covered"] else "")
    # Sets of unknown size against each other: here the usual join by index would look at every pair.
    tx.run("set local enable_hashjoin = on")
    places = tx.run(
        _COVER.format(
            kind=sql.Literal(kind.name), table=kind.table, id=sql.Identifier("t", kind.id), key=sql.Identifier("t", kind.key),
            leaf=kind.leaf, scope=scope, fresh=fresh.format(id=sql.Identifier("t", kind.id), kind=sql.Literal(kind.name)), month=sql.Literal(MONTH),
            salt=sql.SQL("''::bytea" if kind.values is None else SALT).format(id=sql.Identifier("t", kind.id)),
        ),
        parameters,
    )  # fmt: skip
    tx.run("set local enable_hashjoin = off")
    return places


_BEFORE = """select k.seal_id, k.kind from crm_sync.seal s join crm_sync.sealed k using (seal_id)
  where s.run_id is not distinct from %(run)s and s.connection = %(connection)s group by 1, 2"""
_FRESH: LiteralString = """and not exists (select 1 from (select unnest(k.ids) as id from crm_sync.sealed k
    where k.seal_id = any(%(covered)s) and k.kind = {kind}) c where c.id = {id})"""
# Leaves are made before rows are sorted: whole rows would go over the disk, for a large run some hundred MB of them.
_COVER = sql.SQL("""insert into crm_sync.sealed (seal_id, place, kind, month, ids, leaves, salts)
  select %(seal)s, %(places)s + row_number() over (order by month, min(id)), {kind}, month,
    array_agg(id order by id), string_agg(leaf, ''::bytea order by id), string_agg(salt, ''::bytea order by id)
  from (select {id} as id, ({key} / {month})::integer as month, t.salt, {leaf} as leaf
    from (select t.*, {salt} as salt from {table} t where {scope} {fresh} offset 0) t offset 0) rows
  group by month, id / 1000""")
_SAID = sql.SQL("""select exists (select 1 from (select s.run from crm_sync.seal s where s.run_id is not distinct from %(run)s
    and s.connection = %(connection)s order by s.number desc limit 1) last
  where last.run is not distinct from (select {} from crm_sync.run r where r.run_id = %(run)s))""").format(
    sql.SQL(RUN)
)
_CHAIN = sql.SQL("""with last as (select l.number, l.head from crm_sync.seal l where l.connection = %(connection)s
    order by l.number desc limit 1),
  mine as (select coalesce(array_agg(k.month order by k.place), '{{}}') as months, coalesce(string_agg({digest}, ''::bytea order by k.place), ''::bytea) as digests,
      coalesce(sum(cardinality(k.ids)), 0) as covers
    from crm_sync.sealed k where k.seal_id = %(seal)s),
  said as (select %(seal)s::bigint as seal_id, %(connection)s::text as connection,
      coalesce((select number from last), 0) + 1 as number, %(run)s::bigint as run_id, clock_timestamp() as at,
      (select {run} from crm_sync.run r where r.run_id = %(run)s) as run, mine.months, mine.digests,
      coalesce((select head from last), %(first)s::bytea) as previous, mine.covers from mine),
  kept as (insert into crm_sync.seal (seal_id, connection, number, run_id, at, run, months, digests, previous, head)
    overriding system value select s.seal_id, s.connection, s.number, s.run_id, s.at, s.run, s.months, s.digests, s.previous, {head}
    from said s returning number, head)
  select kept.number, encode(kept.head, 'hex'), mine.covers from kept, mine""").format(
    digest=sql.SQL(DIGEST), run=sql.SQL(RUN), head=sql.SQL(HEAD)
)
