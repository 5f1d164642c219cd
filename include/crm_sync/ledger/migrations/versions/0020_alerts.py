"""Alerts: the state that people were told of, the messages until they are delivered, and each run's freshness.

Revision ID: 0020
"""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the tables; who is healthy when they are first looked at is not told so."""
    for statement in (*_TABLES, *_FRESHNESS):
        op.execute(statement)


def downgrade() -> None:
    """Drop what was told and what waits to be delivered."""
    op.execute("drop table crm_sync.alert, crm_sync.alert_state")


_TABLES = (
    """
create table crm_sync.alert_state (
  connection text primary key references crm_sync.connection (name),
  state text not null,
  since timestamptz not null default clock_timestamp())""",
    # Kept until all targets have it: a mail server that is away loses no message.
    """
create table crm_sync.alert (
  alert_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  at timestamptz not null default clock_timestamp(),
  was text not null,
  state text not null,
  message text not null,
  remedy text not null,
  delivered text[] not null default '{}',
  tries integer not null default 0,
  closed_at timestamptz,
  problem text)""",
    "create index alert_open on crm_sync.alert (connection) where closed_at is null",
)
_FRESHNESS = (
    "alter table crm_sync.run add column freshness jsonb",
    """
create or replace view crm_sync.run_freshness as
select r.run_id, r.connection, r.ended_at, f.key as object, (f.value ->> 'waiting')::bigint as waiting,
  make_interval(secs => (f.value ->> 'age')::double precision) as age
from crm_sync.run r cross join lateral jsonb_each(r.freshness) f""",
)
