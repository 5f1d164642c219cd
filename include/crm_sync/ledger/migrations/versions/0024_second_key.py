"""A link remembers the second match key too: an account that has no website is known by its name (adr/0010).

Revision ID: 0024
"""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the column, filled from what was last seen; an index entry only where there is such a key."""
    op.execute("alter table crm_sync.link add column match_second text")
    op.execute(
        "update crm_sync.link l set match_second = crm_sync.match_text(i.seen ->> 'name') "
        "from crm_sync.image i where i.link_id = l.link_id and l.object = 'account' and l.their_id is not null"
    )
    op.execute(
        "create index link_match_second on crm_sync.link (match_second, connection, object) where match_second is not null"
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("alter table crm_sync.link drop column match_second")
