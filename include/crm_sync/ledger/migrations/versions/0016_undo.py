"""Undo: links whose record of theirs a person wants taken back.

Revision ID: 0016
"""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column; nobody has undone anything yet."""
    op.execute("alter table crm_sync.link add column withdrawn boolean not null default false")


def downgrade() -> None:
    """Refuse: the ledger only grows."""
    raise RuntimeError("restore a backup instead: the wishes of people would be lost")
