"""Reconciliation: its verdicts, their sums by cause and field, some samples, and all but the samples as JSON.

Revision ID: 0014
"""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the tables of the reports and the view that gives each as JSON."""
    for statement in (*_TABLES, _REPORT):
        op.execute(statement)


def downgrade() -> None:
    """Drop them: the reports are gone, and nothing else."""
    op.execute("drop view crm_sync.reconciliation_report")
    for table in ("sample", "twin", "field", "count"):
        op.execute(f"drop table crm_sync.reconciliation_{table}")
    op.execute("drop table crm_sync.reconciliation")


_TABLES = (
    """
create table crm_sync.reconciliation (
  run_id bigint primary key references crm_sync.run (run_id),
  connection text not null references crm_sync.connection (name),
  at timestamptz not null default clock_timestamp(),
  verdict text not null check (verdict in ('in_step', 'drifted')),
  headline text not null,
  differing bigint not null,
  waiting bigint not null,
  heal text not null check (heal in ('none', 'safe', 'all')),
  healing bigint not null,
  seconds numeric(12, 1) not null,
  read_calls bigint not null,
  notes text[] not null)""",
    "create index on crm_sync.reconciliation (connection, run_id)",
    """
create table crm_sync.reconciliation_count (
  run_id bigint not null references crm_sync.reconciliation on delete cascade,
  object text not null,
  cause text not null,
  records bigint not null,
  waiting bigint not null,
  primary key (run_id, object, cause))""",
    """
create table crm_sync.reconciliation_field (
  run_id bigint not null references crm_sync.reconciliation on delete cascade,
  object text not null,
  cause text not null,
  field text not null,
  records bigint not null,
  primary key (run_id, object, cause, field))""",
    """
create table crm_sync.reconciliation_twin (
  run_id bigint not null references crm_sync.reconciliation on delete cascade,
  object text not null,
  side text not null check (side in ('ours', 'theirs')),
  people bigint not null,
  examples jsonb not null,
  primary key (run_id, object, side))""",
    # The only one that holds values of people.
    """
create table crm_sync.reconciliation_sample (
  run_id bigint not null references crm_sync.reconciliation on delete cascade,
  object text not null,
  cause text not null,
  place integer not null,
  our_id uuid,
  their_id text,
  waiting boolean not null,
  differences jsonb not null,
  primary key (run_id, object, cause, place))""",
    "create index on crm_sync.reconciliation_sample (our_id)",
)

_REPORT = """
create view crm_sync.reconciliation_report as
select r.run_id, r.connection, r.at, r.verdict, r.headline, jsonb_build_object(
  'run_id', r.run_id, 'connection', r.connection, 'at', r.at, 'verdict', r.verdict, 'headline', r.headline,
  'differing', r.differing, 'waiting', r.waiting, 'heal', r.heal, 'healing', r.healing, 'seconds', r.seconds,
  'read_calls', r.read_calls, 'notes', r.notes,
  'counts', (select coalesce(jsonb_agg(jsonb_build_object('object', c.object, 'cause', c.cause, 'records', c.records,
      'waiting', c.waiting) order by c.object, c.cause), '[]')
    from crm_sync.reconciliation_count c where c.run_id = r.run_id),
  'fields', (select coalesce(jsonb_agg(jsonb_build_object('object', f.object, 'cause', f.cause, 'field', f.field,
      'records', f.records) order by f.records desc, f.object, f.field, f.cause), '[]')
    from crm_sync.reconciliation_field f where f.run_id = r.run_id),
  'twins', (select coalesce(jsonb_agg(jsonb_build_object('object', t.object, 'side', t.side, 'people', t.people,
      'examples', t.examples) order by t.object, t.side), '[]')
    from crm_sync.reconciliation_twin t where t.run_id = r.run_id)) as report
from crm_sync.reconciliation r"""
