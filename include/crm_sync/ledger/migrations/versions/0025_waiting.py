"""Since when a record waits that no edit made work; which runs beside the syncs ended how; a rotation that failed.

Revision ID: 0025
"""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add the columns, empty, and the index that finds the newest run of a kind."""
    op.execute("alter table crm_sync.link add column dirty_since timestamptz")
    op.execute(
        "comment on column crm_sync.link.dirty_since is 'when a retry, a heal or a setting made it work, not an edit'"
    )
    op.execute("alter table crm_sync.outbox add column since timestamptz")
    op.execute("comment on column crm_sync.outbox.since is 'the same for a record of ours'")
    op.execute("alter table crm_sync.credential add column rotation_problem text")
    op.execute("create index run_of_kind on crm_sync.run (connection, kind, run_id) where kind <> 'sync'")


def downgrade() -> None:
    """Drop them."""
    op.execute("drop index crm_sync.run_of_kind")
    op.execute("alter table crm_sync.credential drop column rotation_problem")
    op.execute("alter table crm_sync.outbox drop column since")
    op.execute("alter table crm_sync.link drop column dirty_since")
