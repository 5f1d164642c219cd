"""First sync: when a connection's first whole sync was let through, below the limit of creations or by a person.

Revision ID: 0012
"""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column; a connection that has synced before asks nobody."""
    op.execute("alter table crm_sync.connection add column first_synced_at timestamptz")
    op.execute(
        "update crm_sync.connection c set first_synced_at = clock_timestamp() "
        "where exists (select 1 from crm_sync.link l where l.connection = c.name and l.their_id is not null)"
    )


def downgrade() -> None:
    """Drop it: nobody is asked any more."""
    op.execute("alter table crm_sync.connection drop column first_synced_at")
