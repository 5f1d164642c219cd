"""Deciding: who ignores a parked row, and what finds the newest conflicts and the newest parked rows.

Revision ID: 0023
"""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the column and two indexes; the one on changes has an entry only where there was a conflict."""
    op.execute("alter table crm_sync.parked add column ignored_by text")
    op.execute(
        "create index change_of_conflict on crm_sync.change (connection, change_id) where conflicts <> '{}'"
    )
    op.execute(
        "create index parked_newest on crm_sync.parked (connection, parked_id) where lifted_at is null"
    )


def downgrade() -> None:
    """Drop them; who ignores what is in the trail."""
    op.execute("drop index crm_sync.change_of_conflict, crm_sync.parked_newest")
    op.execute("alter table crm_sync.parked drop column ignored_by")
