"""Parked rows: what holds, when it is tried again, what the tries have cost, and a view for people.

Revision ID: 0009
"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns; what is parked by now holds until its value changes, as before."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Take the view and the columns away: what waits for its next try then waits for a person."""
    op.execute("drop view crm_sync.parked_rows")
    op.execute("alter table crm_sync.parked drop column held, drop column next_try_at, drop column calls")


_STATEMENTS = (
    """
alter table crm_sync.parked
  add column held boolean not null default true,
  add column next_try_at timestamptz,
  add column calls numeric not null default 0""",
    "create index parked_due on crm_sync.parked (next_try_at) where lifted_at is null and next_try_at is not null",
    """
comment on column crm_sync.parked.held is
  'the value is not sent; false: it is tried again in the next run, or the line only tells what waits'""",
    """
comment on column crm_sync.parked.next_try_at is
  'set for what met a busy record or server; a person who sets it to now() has any line tried again'""",
    """
comment on column crm_sync.parked.calls is
  'what the record''s tries have cost: its share of each call that carried it'""",
    """
create view crm_sync.parked_rows as
select p.parked_id, p.connection, p.object, p.our_id, p.their_id, p.side, p.field, p.value, p.code, p.cause, p.remedy,
  case when p.next_try_at is not null then 'tried again at its time' when p.held then 'a person or a new value'
    else 'tried again in the next run' end as waits_for,
  p.next_try_at, date_trunc('second', now() - p.first_at) as age, p.first_at, p.last_at, p.tries, round(p.calls, 3) as calls,
  p.run_id
from crm_sync.parked p where p.lifted_at is null""",
)
