"""The hot path (adr/0006): fewer checks and index entries for what only the engine writes, a hundred thousand times.

Revision ID: 0006
"""

from alembic import op

revision = "0006"
down_revision = "0005"

UNCHECKED = {
    "link": ("claim_run",),
    "image": ("link_id",),
    "change": ("run_id",),
    "outcome": ("change_id", "run_id"),
    "intent": ("change_id", "run_id", "link_id"),
}


def upgrade() -> None:
    """Drop the checks that cost a look-up per row and column; make room; let the trail show what creates leave out."""
    for table, columns in UNCHECKED.items():
        for column in columns:
            op.execute(f"alter table crm_sync.{table} drop constraint {table}_{column}_fkey")
    for statement in (*_ROOM, _AUDIT_TRAIL):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: an older trail would show the creates of this one as if their before-values were not known."""
    raise RuntimeError("restore a backup instead: the trail can't be written anew")


_ROOM = (
    # The first update of a row, the lease, stays on its page and so out of the indexes.
    "alter table crm_sync.link set (fillfactor = 50)",
    # Three small JSON objects: compressing them costs more than they weigh.
    "alter table crm_sync.image set (toast_tuple_target = 8160)",
    # Asked only of open intents; those that close leave the index alone.
    "drop index crm_sync.intent_change_id_idx",
    "create index intent_of_change on crm_sync.intent (change_id) where closed_by is null",
)

# A create stores no values before (there was nothing) and one rule for all its fields.
_AUDIT_TRAIL = """
create or replace view crm_sync.audit_trail as
select o.at, o.run_id, c.connection, c.object, c.our_id, coalesce(o.their_id, c.their_id) as their_id, c.side,
  f.field, case when c.op = 'create' then 'null'::jsonb else c.before -> f.field end as before, c.after -> f.field as after,
  c.base -> f.field as base, coalesce(c.rules ->> f.field, c.rules ->> '*') as rule, o.outcome, o.detail
from crm_sync.outcome o join crm_sync.change c using (change_id) cross join lateral unnest(o.fields) as f (field)
union all
select d.at, d.run_id, d.connection, d.object, d.our_id, d.their_id, d.side, d.field, d.before, d.after, d.base,
  d.rule, d.outcome, d.detail
from crm_sync.decision d"""
