"""What provisioning made, and preflight's reports.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"

_CREATED = (
    # One row a thing that provisioning made in the CRM: what drift is measured by, and all that a removal may touch.
    # Mutable: it is work state, the history is the audit trail.
    """
create table crm_sync.provisioned (
  connection text not null references crm_sync.connection (name),
  kind text not null,
  name text not null,
  label text not null,
  details text[] not null default '{}',
  certain boolean not null default true,
  their_id text,
  run_id bigint references crm_sync.run (run_id),
  made_at timestamptz not null default clock_timestamp(),
  removed_at timestamptz,
  primary key (connection, kind, name))""",
    # Of what the release before this one made only the trail knows.
    """
insert into crm_sync.provisioned (connection, kind, name, label, details, their_id, run_id, made_at)
select distinct on (connection, rule, name) connection, rule, name, name, details, their_id, run_id, at
from crm_sync.decision d, lateral (select
  case rule when 'create_permission_set' then 'GPTWeb_CRM_Sync'
    when 'create_field' then substring(detail from 'create field (\\S+) as')
    when 'grant_field' then substring(detail from ' of (\\S+) in GPTWeb_CRM_Sync$')
    when 'grant_object' then substring(detail from ' of (\\S+) in GPTWeb_CRM_Sync$') end as name,
  case rule when 'create_field' then array[substring(detail from ' as (.+)$')] else '{}'::text[] end as details) made
where rule in ('create_permission_set', 'create_field', 'grant_field', 'grant_object') and outcome = 'acknowledged'
  and name is not null
order by connection, rule, name, at desc""",
)

_PREFLIGHT = (
    # One row a preflight: checks is a list of check, title, result, evidence, remedy.
    """
create table crm_sync.preflight (
  preflight_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  at timestamptz not null default clock_timestamp(),
  possible boolean not null,
  counts jsonb not null,
  checks jsonb not null)""",
    "create index on crm_sync.preflight (connection, preflight_id)",
    """
create trigger append_only before update or delete on crm_sync.preflight
for each row execute function crm_sync.refuse_rewrite()""",
)


def upgrade() -> None:
    """Create what provisioning and preflight add to the ledger."""
    for statement in (*_CREATED, *_PREFLIGHT):
        op.execute(statement)


def downgrade() -> None:
    """Take it away again; the reports are lost, and what provisioning made is known to the audit trail only."""
    op.execute("drop table crm_sync.preflight")
    op.execute("drop table crm_sync.provisioned")
