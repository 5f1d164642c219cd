"""The budget: what each org says of its own calls, and in the run summary until when a run is paused and the forecast.

Revision ID: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """One row per connection for the org's newest figures; three columns more at the end of the run summary."""
    for statement in (_ALLOCATION, _RUN, _RUN_SUMMARY):
        op.execute(statement)


def downgrade() -> None:
    """Refuse, as all revisions do."""
    raise RuntimeError("restore a backup instead")


_ALLOCATION = """
create table crm_sync.allocation (
  connection text primary key references crm_sync.connection (name) on delete cascade,
  used bigint not null,
  allowed bigint not null,
  seen_at timestamptz not null,
  limits_at timestamptz,
  looks integer not null default 0,
  look_at timestamptz)"""

_RUN = """
alter table crm_sync.run
  add column paused_until timestamptz,
  add column calls_left bigint,
  add column calls_needed bigint"""

_RUN_SUMMARY = """
create or replace view crm_sync.run_summary as
select r.run_id, r.connection, r.kind, r.dag_run_id, r.started_at, r.ended_at, r.state,
  r.planned, r.acknowledged, r.parked, r.superseded, r.in_doubt, r.conflicts,
  (select count(*) from crm_sync.spending s where s.run_id = r.run_id) as api_calls,
  r.message,
  case when r.state = 'paused_budget' then r.paused_until end as paused_until,
  r.calls_left, r.calls_needed
from crm_sync.run r"""
