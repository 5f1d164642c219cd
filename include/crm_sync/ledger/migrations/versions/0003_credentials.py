"""Credentials: what each connection may come in with, sealed; what a browser is asked to bring back; renewals begun.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the three tables; everything secret in them is sealed by the vault."""
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: a rotated refresh token exists nowhere else."""
    raise RuntimeError("restore a backup instead: the stored tokens can't be made anew without a person")


_TABLES = (
    """
create table crm_sync.credential (
  connection text primary key references crm_sync.connection (name),
  sealed text,
  key_id text,
  app_digest text not null default '',
  generation bigint not null default 0,
  issued_at timestamptz,
  lifetime interval,
  state text not null default 'good' check (state in ('good', 'reconnect needed')),
  state_since timestamptz not null default now(),
  reason text)""",
    # One row a connection: the renewal that began last.  It is written while the credential's row is locked, by another
    # database connection, so that a process killed in the middle leaves it behind.
    """
create table crm_sync.renewal (
  connection text primary key references crm_sync.connection (name),
  generation bigint not null,
  began_at timestamptz not null)""",
    """
create table crm_sync.authorization (
  state_digest text primary key,
  connection text not null references crm_sync.connection (name),
  sealed text not null,
  key_id text not null,
  redirect_uri text not null,
  expires_at timestamptz not null)""",
)
