"""Mapping: what the counterpart of each field was in the last run, so that a field that moves to another begins anew.

Revision ID: 0017
"""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column; the next run fills it."""
    op.execute("alter table crm_sync.connection add column mapped jsonb")


def downgrade() -> None:
    """Drop it: a field that moves to another counterpart would then take the old one's values for edits."""
    op.execute("alter table crm_sync.connection drop column mapped")
