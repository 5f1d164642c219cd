"""What a scope would choose: how many of our records meet its conditions, by all of them or, where they are many, by a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.scope import Condition, admits, mapped_field
from crm_sync.decide.values import canonical
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import table

__all__ = ["SAMPLE", "Preview", "preview", "usual_values"]

SAMPLE = 10_000
"""Records that are looked at, about; the page has 0.3 s."""
SHOWN = 20
LONGEST = 60
"""Characters of a value that is offered for choice: longer ones are prose."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Of ``looked`` records ``inside`` meet the conditions, and ``unlinked`` of these are not linked yet.

    ``total``: how many there are, exactly if ``whole``, else by the database's own estimate.
    """

    total: int
    looked: int
    inside: int
    unlinked: int

    @property
    def whole(self) -> bool:
        """Whether all records were looked at."""
        return self.looked == self.total

    def of_all(self, part: int) -> int:
        """What a part of those that were looked at is of all."""
        return part if self.whole or not self.looked else 100 * round(part * self.total / self.looked / 100)


def preview(
    tx: Transaction, connection: str, mapping: ObjectMapping, conditions: Sequence[Condition]
) -> Preview:
    """How many of our records these conditions choose, and how many of them the next run would make in the CRM."""
    fields = {field.ours: field for field in (mapped_field(mapping, "ours", one.field) for one in conditions)}
    columns = [sql.SQL(", {}").format(sql.Identifier("t", name)) for name in fields]
    total, sample = _sample(tx, mapping)
    query = sql.SQL("""select exists (select 1 from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
        and l.our_id = t.id and l.state <> 'gone') {columns} from {table} t {sample} where t.deleted_at is null""")
    looked = inside = unlinked = 0
    for linked, *values in tx.rows(
        query.format(columns=sql.Composed(columns), table=table(mapping), sample=sample),
        {"c": connection, "o": mapping.object},
    ):
        record = {
            name: canonical(field, value) for (name, field), value in zip(fields.items(), values, strict=True)
        }
        looked += 1
        if admits(mapping, "ours", conditions, record):
            inside += 1
            unlinked += not linked
    return Preview(total if sample.as_string() else looked, looked, inside, unlinked)


def usual_values(tx: Transaction, mapping: ObjectMapping, column: str) -> list[str]:
    """The values that a text column of ours holds most often, for a person to choose from."""
    _, sample = _sample(tx, mapping)
    query = sql.SQL(
        "select {column} from {table} t {sample} where deleted_at is null and {column} is not null"
    )
    rows = tx.rows(query.format(column=sql.Identifier(column), table=table(mapping), sample=sample))
    held = Counter(value for (value,) in rows if isinstance(value, str) and len(value) <= LONGEST)
    return [value for value, times in held.most_common(SHOWN) if times > 1]


def _sample(tx: Transaction, mapping: ObjectMapping) -> tuple[int, sql.SQL | sql.Composed]:
    """About how many records there are, and what makes the database look at ``SAMPLE`` of them; blank: at all."""
    rows, bytes = tx.rows(
        "select reltuples::bigint, pg_relation_size(oid) from pg_class where oid = %s::regclass",
        (f"gptweb.{mapping.table}",),
    )[0]
    total = rows if rows >= 0 else bytes // 200
    if total <= SAMPLE:
        return total, sql.SQL("")
    part = sql.SQL("tablesample system ({})").format(sql.Literal(100 * SAMPLE / total))
    return total, part
