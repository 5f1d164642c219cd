"""What a seal covers of each row of the trail, as SQL: one hash a row, in which a person's values are a salted hash.

leaf = sha256(public ‖ sha256(salt ‖ values)).  Erasing a person's values and salts leaves the inner hash, and so the leaf,
as it was (adr/0013).  The expressions stand here and not in the database: whoever owns that could otherwise have
``verify`` say what they like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

__all__ = ["KINDS", "MONTH", "Kind"]

MONTH = 1_000_000_000
"""Ids of month n of the trail begin at n times this (migration 0013)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One table of the trail.  ``public`` and ``values``: its columns outside and inside the salted hash.

    ``key``: the column that says in which month a row lies; ``at``: when it was written, where it may belong to no run.
    """

    name: str
    id: str
    key: str
    public: LiteralString
    values: LiteralString | None
    at: str | None = None

    @property
    def table(self) -> sql.Composable:
        """The table's name."""
        return sql.Identifier("crm_sync", self.name)

    @property
    def leaf(self) -> sql.Composed:
        """The leaf of a row ``t``, with its salt beside its columns."""
        public = sql.SQL("record_send(row({name}::text, {columns}))").format(
            name=sql.Literal(self.name), columns=sql.SQL(self.public)
        )
        if self.values is None:
            return sql.SQL("sha256({})").format(public)
        return sql.SQL(
            "sha256({public} || coalesce(t.erased, sha256(t.salt || record_send(row({values})))))"
        ).format(public=public, values=sql.SQL(self.values))


# A row in the wire's binary form: unambiguous, and the same whatever a session's settings are.
KINDS = (
    Kind(
        "change", "change_id", "change_id",
        "t.change_id, t.run_id, t.connection, t.object, t.link_id, t.our_id, t.side, t.op, t.rules, t.conflicts",
        "t.their_id, t.before, t.after, t.base",
    ),
    Kind(
        "outcome", "outcome_id", "change_id",
        "t.outcome_id, t.change_id, t.run_id, t.at, t.outcome, t.fields, t.batch, t.calls",
        "t.their_id, t.detail",
    ),
    Kind(
        "decision", "decision_id", "decision_id",
        "t.decision_id, t.at, t.run_id, t.connection, t.object, t.our_id, t.side, t.field, t.rule, "
        "t.outcome, t.actor",
        "t.their_id, t.before, t.after, t.base, t.detail", "at",
    ),
    Kind(
        "spending", "spending_id", "spending_id",
        "t.spending_id, t.connection, t.run_id, t.lane, t.purpose, t.booked_at", None, "booked_at",
    ),
)  # fmt: skip
