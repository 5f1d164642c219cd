"""Pace: when each noisy measure was last sent to a record, and which updates wait until their interval is over.

Revision ID: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the table."""
    op.execute(_PACE)


def downgrade() -> None:
    """Drop it: what waited is in the outbox, and goes at once."""
    op.execute("drop table crm_sync.pace")


# One row a link to which a noisy measure was ever sent; the version that waits, and until when.
_PACE = """
create table crm_sync.pace (
  link_id bigint primary key references crm_sync.link (link_id) on delete cascade,
  sent jsonb not null,
  held_version bigint,
  held_until timestamptz)
with (fillfactor = 80)"""
