"""A match key is looked up by itself, so its indexes hold nothing else; what a seal covers is stored as it comes.

Revision ID: 0029
"""

from alembic import op

revision = "0029"
down_revision = "0028"

MATCH_KEYS = {
    "link_match": ("link", "match_key"),
    "link_match_second": ("link", "match_second"),
    "stray_first": ("stray", "match_first"),
    "stray_second": ("stray", "match_second"),
}


def upgrade() -> None:
    """Connection and object made such an entry twice as long; with each key they are found within a row or two."""
    for name, (table, column) in MATCH_KEYS.items():
        op.execute(f"drop index crm_sync.{name}")
        op.execute(f"create index {name} on crm_sync.{table} ({column}){_only(column)}")
    # Compressing a thousand ids costs more than the space they take: 8 kB beside 48 kB of hashes and salts.
    op.execute("alter table crm_sync.sealed alter ids set storage external")


def downgrade() -> None:
    """As before."""
    op.execute("alter table crm_sync.sealed alter ids set storage extended")
    for name, (table, column) in MATCH_KEYS.items():
        op.execute(f"drop index crm_sync.{name}")
        op.execute(f"create index {name} on crm_sync.{table} ({column}, connection, object){_only(column)}")


def _only(column: str) -> str:
    """Most records have no second key."""
    return f" where {column} is not null" if column == "match_second" else ""
