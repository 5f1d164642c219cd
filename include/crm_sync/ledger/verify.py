"""Verification: every seal against the one before, every sealed row against its leaf; what differs is named in words.

It reads one snapshot of the database, in memory that does not grow with the trail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import sql

from crm_sync.errors import Missing
from crm_sync.ledger.database import Database, Transaction
from crm_sync.ledger.leaves import KINDS, Kind
from crm_sync.ledger.seal import DIGEST, FIRST, HEAD, RUN

__all__ = ["Report", "verify"]

BATCH = 500
"""Runs that are compared by one statement: idle ones have a row or two, and a first sync's rows are sorted on disk."""
NAMED = 100
"""Findings of one kind that are named one by one."""


@dataclass
class Report:
    """What a verification found.  ``heads``: where each chain stands; to be compared with what was printed elsewhere."""

    seals: int = 0
    rows: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report, a line each; the verdict first."""
        verdict = (
            f"{len(self.findings):,} things in the audit trail are not as they were sealed"
            if self.findings
            else f"The audit trail is as it was sealed: {self.rows:,} rows under {self.seals:,} seals."
        )
        return [
            verdict,
            *(f"✗ {words}" for words in self.findings),
            *(f"· {words}" for words in self.notes),
            *(f"head of {name}: {head}" for name, head in self.heads.items()),
        ]


def verify(
    database: Database, connection: str | None = None, run_id: int | None = None, days: int | None = None,
    heads: Sequence[str] = (),
) -> Report:  # fmt: skip
    """Check the chains of all connections, or of one, and the rows of all runs, of one, or of the last days.

    The chain itself is always checked from its first seal on.  ``heads``: heads that were printed once and must still be there.
    """
    report = Report()
    with database.transaction() as tx:
        tx.run("set transaction isolation level repeatable read, read only")
        for setting in ("hashjoin", "mergejoin", "seqscan"):  # whole sets are compared here, not chunks
            tx.run(sql.SQL("set local {} = on").format(sql.Identifier(f"enable_{setting}")))
        for name in _chosen(tx, connection, run_id):
            _chain(tx, name, report)
            for scope in _scopes(tx, name, run_id, days):
                for kind in KINDS:
                    _rows(tx, name, kind, scope, report)
            _ends(tx, name, run_id, report)
        if run_id is None and days is None:
            report.findings += [
                f"{amount:,} rows of {kind}, the first is {first}, {what}"
                for kind, amount, first, what in tx.rows(_ORPHANS)
            ]
        report.findings += [
            f"head {head} was printed once and is in no chain: seals were removed or made anew"
            for head in heads
            if not tx.one("select exists (select from crm_sync.seal where head = decode(%s, 'hex'))", (head,))
        ]
    return report


def _chosen(tx: Transaction, connection: str | None, run_id: int | None) -> list[str]:
    """The connections to check; one that is not there has no trail that could be as it was sealed."""
    names = [row[0] for row in tx.rows("select name from crm_sync.connection order by 1")]
    if run_id is not None:
        of_run = tx.one("select connection from crm_sync.run where run_id = %s", (run_id,))
        if of_run is None or connection not in (None, of_run):
            whose = f"of {connection} " if connection else ""
            raise Missing(f"there is no run {run_id} {whose}to verify: see crm_sync.run_summary")
        return [of_run]
    if connection is None:
        return names
    if connection not in names:
        raise Missing(f"there is no connection {connection!r}; there are: {', '.join(names) or 'none'}")
    return [connection]


def _chain(tx: Transaction, connection: str, report: Report) -> None:
    """Each seal follows the one before, its head is that of what it says, and its lots are those that it digested."""
    links = tx.rows(_LINKS, {"connection": connection, "first": FIRST})
    report.findings += [f"{connection}: {_broken(*row)}" for row in links]
    lots = tx.rows(_LOTS, {"connection": connection})
    report.findings += [
        f"{connection}, seal {number}: lot {place} of its list of sealed rows was {what}"
        for number, place, what in lots
    ]
    end = tx.rows(
        "select count(*) over (), encode(head, 'hex') from crm_sync.seal where connection = %s order by number desc limit 1",
        (connection,),
    )
    if end:
        report.seals += end[0][0]
        report.heads[connection] = end[0][1]


def _broken(number: int, follows: int, run_id: int | None, problem: str) -> str:
    if problem == "gap":
        lost = (
            f"seals {follows + 1} to {number - 1} were" if number > follows + 2 else f"seal {follows + 1} was"
        )
        return f"{lost} removed"
    if problem == "torn":
        return f"seal {number} does not continue seal {follows}: one of them was changed"
    return f"seal {number} (of {f'run {run_id}' if run_id else 'what belongs to no run'}) was changed"


def _scopes(
    tx: Transaction, connection: str, run_id: int | None, days: int | None
) -> Iterator[list[int] | None]:
    """Runs with a seal, some hundreds at a time; then None, which stands for what belongs to no run."""
    if run_id is not None:
        yield [run_id]
        return
    runs = tx.rows(
        "select distinct run_id from crm_sync.seal where connection = %(c)s and run_id is not null "
        "and (%(days)s::integer is null or at > now() - make_interval(days => %(days)s)) order by 1",
        {"c": connection, "days": days},
    )
    for start in range(0, len(runs), BATCH):
        yield [row[0] for row in runs[start : start + BATCH]]
    yield None


def _rows(tx: Transaction, connection: str, kind: Kind, runs: list[int] | None, report: Report) -> None:
    """Every row of these runs against the leaf under which it was sealed."""
    if runs is None and kind.at is None:
        return
    which = "t.run_id = any(%(runs)s)" if runs else "t.run_id is null and t.connection = %(connection)s"
    sealed = "s.run_id = any(%(runs)s)" if runs else "s.run_id is null and s.connection = %(connection)s"
    query = _COMPARE.format(
        table=kind.table, id=sql.Identifier("t", kind.id), leaf=kind.leaf, kind=sql.Literal(kind.name),
        which=sql.SQL(which), sealed=sql.SQL(sealed), named=sql.Literal(NAMED),
        under_way=sql.SQL(_UNDER_WAY if runs else _LATER).format(at=sql.Identifier("t", kind.at or kind.key)),
    )  # fmt: skip
    rows = tx.rows(query, {"runs": runs, "connection": connection})
    (checked, wrong, waiting), named = rows[0][:3], rows[1:]
    report.rows += checked
    for id, of_run, number, what in (row[:4] for row in named):
        whose = f"run {of_run}: " if of_run else ""
        report.findings.append(f"{connection}, {whose}{kind.name} {id} {_WHAT[what].format(number=number)}")
    if wrong > len(named):
        report.findings.append(
            f"{connection}: {wrong:,} rows of {kind.name} in all, the first {NAMED} are named"
        )
    if waiting:
        report.notes.append(
            f"{connection}: {waiting:,} rows of {kind.name} are not sealed yet: "
            + ("their run is under way" if runs else "what belongs to no run is sealed once a day")
        )


def _ends(tx: Transaction, connection: str, run_id: int | None, report: Report) -> None:
    """Every run that ended since there are seals has one, and its sums are those of the last one."""
    rows = tx.rows(_ENDS, {"connection": connection, "run": run_id})
    report.findings += [
        f"{connection}: run {run} "
        + (
            "has sums other than those that were sealed"
            if sealed
            else "ended, and has no seal: its seal was removed"
        )
        for run, sealed in rows
    ]


_WHAT = {
    "added": "is under no seal: it was added after its run was sealed",
    "removed": "was removed: seal {number} covers it",
    "changed": "was changed: seal {number} covers another",
}
_UNDER_WAY: LiteralString = (
    "exists (select 1 from crm_sync.run r where r.run_id = t.run_id and r.ended_at is null)"
)
# What belongs to no run is sealed once a day.  Not by its id: who drew one before the seal may have committed after it.
_LATER: LiteralString = """{at} > (select coalesce(max(f.at), '-infinity') from crm_sync.seal f
    where f.run_id is null and f.connection = %(connection)s) - interval '1 hour'"""
_LINKS = sql.SQL("""select number, follows, run_id,
    case when number <> follows + 1 then 'gap' when not continues then 'torn' else 'changed' end from (
    select s.number, lag(s.number, 1, 0::bigint) over (order by s.number) as follows, s.run_id,
      s.previous = lag(s.head, 1, %(first)s::bytea) over (order by s.number) as continues, s.head = {head} as fits
    from crm_sync.seal s where s.connection = %(connection)s) links
  where number <> follows + 1 or not continues or not fits order by number""").format(head=sql.SQL(HEAD))
# A lot may be gone with its month; what it digested stays in the seal.
_LOTS = sql.SQL("""select s.number, p.place, case when k.seal_id is null then 'removed' else 'changed' end
  from crm_sync.seal s cross join lateral generate_series(1, cardinality(s.months)) p (place)
  left join crm_sync.sealed k on k.seal_id = s.seal_id and k.place = p.place
  where s.connection = %(connection)s and case when k.seal_id is null
    then not exists (select 1 from crm_sync.month m where m.number = s.months[p.place] and m.dropped_at is not null)
    else {digest} <> substr(s.digests, (p.place - 1) * 32 + 1, 32) end
  union all
  select s.number, k.place, 'added' from crm_sync.seal s join crm_sync.sealed k using (seal_id)
  where s.connection = %(connection)s and k.place > cardinality(s.months)
  order by 1, 2""").format(digest=sql.SQL(DIGEST))
# The empty string makes one copy of a lot's bytes for all of its rows; materialized, or whole lots would go into the hash.
_COMPARE = sql.SQL("""with lots as materialized (
    select s.number, s.run_id, k.ids, k.leaves || ''::bytea as leaves, k.salts || ''::bytea as salts
    from crm_sync.seal s join crm_sync.sealed k using (seal_id) where {sealed} and k.kind = {kind}),
  told as materialized (select u.id as told_id, l.number, l.run_id as told_run,
      substr(l.leaves, (u.n::integer - 1) * 32 + 1, 32) as told_leaf, substr(l.salts, (u.n::integer - 1) * 16 + 1, 16) as salt
    from lots l cross join lateral unnest(l.ids) with ordinality u (id, n)),
  paired as (select * from (select * from {table} t where {which}) t full join told on told.told_id = {id}),
  judged as materialized (select coalesce({id}, t.told_id) as id, coalesce(t.run_id, t.told_run) as run_id, t.number,
      case when t.told_id is null then case when {under_way} then 'waiting' else 'added' end
        when {id} is null then 'removed' when {leaf} <> t.told_leaf then 'changed' end as what
    from paired t)
  select count(*), count(*) filter (where what <> 'waiting'), count(*) filter (where what = 'waiting'), null from judged
  union all
  select * from (select id, run_id, number, what from judged where what <> 'waiting' order by id limit {named}) named""")
_ENDS = sql.SQL("""select r.run_id, s.run is not null from crm_sync.run r
  left join lateral (select s.run from crm_sync.seal s where s.run_id = r.run_id order by s.number desc limit 1) s on true
  where r.connection = %(connection)s and (%(run)s::bigint is null or r.run_id = %(run)s) and r.ended_at is not null
    and case when s.run is null then r.ended_at > (select min(f.at) from crm_sync.seal f where f.connection = r.connection)
      else s.run <> {run} end
  order by 1""").format(run=sql.SQL(RUN))
_ORPHANS: LiteralString = """
with erased as (
  select 'change' as kind, c.change_id as id, c.connection, c.our_id from crm_sync.change c where c.erased is not null
  union all
  select 'outcome', o.outcome_id, c.connection, c.our_id from crm_sync.outcome o join crm_sync.change c using (change_id)
  where o.erased is not null
  union all
  select 'decision', d.decision_id, d.connection, d.our_id from crm_sync.decision d where d.erased is not null),
told as (select e.kind, e.id, 'lost their values, and no line says that somebody erased them' as what from erased e
  where not exists (select 1 from crm_sync.decision d where d.our_id = e.our_id and d.rule = 'erasure')
    and not (e.kind = 'decision' and exists (select 1 from crm_sync.decision d where d.connection = e.connection
      and d.rule = 'erasure'))
  union all
  select 'change', c.change_id, 'name a run that does not exist' from crm_sync.change c
  where not exists (select 1 from crm_sync.run r where r.run_id = c.run_id)
  union all
  select 'outcome', o.outcome_id, 'name a run that does not exist' from crm_sync.outcome o
  where not exists (select 1 from crm_sync.run r where r.run_id = o.run_id))
select kind, count(*), min(id), what from told group by kind, what order by 1, 4"""
