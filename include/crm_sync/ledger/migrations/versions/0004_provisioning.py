"""Preflight's reports.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"

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
    for statement in _PREFLIGHT:
        op.execute(statement)


def downgrade() -> None:
    """Take it away again; the reports are lost."""
    op.execute("drop table crm_sync.preflight")
