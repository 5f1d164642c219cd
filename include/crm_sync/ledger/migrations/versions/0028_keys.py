"""One row is looked up in an index that begins with what tells rows apart (adr/0004), and a cursor knows its clock.

Revision ID: 0028
"""

from alembic import op

revision = "0028"
down_revision = "0027"

MATCH_KEYS = {
    "contacts_email": "gptweb.contacts (crm_sync.match_text(email))",
    "leads_email": "gptweb.leads (crm_sync.match_text(email))",
    "accounts_domain": "gptweb.accounts (crm_sync.match_domain(website))",
    "accounts_name": "gptweb.accounts (crm_sync.match_text(name))",
}
PARKED_KEYS = {
    "parked_link": ("link_id", "link_id"),
    "parked_our": ("our_id", "connection, object, our_id"),
    "parked_their": ("their_id", "connection, object, their_id"),
}
LINK_KEYS = {
    "link_connection_object_our_id_key": ("connection, object, our_id", "our_id, connection, object"),
    "link_connection_their_object_their_id_key": (
        "connection, their_object, their_id",
        "their_id, connection, their_object",
    ),
}


# Where their clock was set back, edits have stamps that lie before the cursor: it has to be known which clock it went by.
AHEAD = "alter table crm_sync.cursor add column ahead interval"


def upgrade() -> None:
    """Links by their ids; our records, deleted ones too, by their match keys; what was parked of a record by its id.

    Two partial indexes with one condition, or two keys that begin with the connection, cost the same while a table looks
    empty; the planner then took the wrong one and read it as a whole, once for each row of a chunk.
    """
    op.execute(AHEAD)
    for name, what in MATCH_KEYS.items():
        op.execute(f"drop index gptweb.{name}")
        op.execute(f"create index {name} on {what}")
    for name, (columns, _) in PARKED_KEYS.items():
        op.execute(f"drop index crm_sync.{name}")
        op.execute(f"create index {name} on crm_sync.parked ({columns})")
    for name, (_, columns) in LINK_KEYS.items():
        op.execute(
            f"alter table crm_sync.link drop constraint {name}, add constraint {name} unique ({columns})"
        )


def downgrade() -> None:
    """As before: no clock at the cursor, the connection first, and only of living records and of what is still parked."""
    op.execute("alter table crm_sync.cursor drop column ahead")
    for name, (columns, _) in LINK_KEYS.items():
        op.execute(
            f"alter table crm_sync.link drop constraint {name}, add constraint {name} unique ({columns})"
        )
    for name, (_, columns) in PARKED_KEYS.items():
        op.execute(f"drop index crm_sync.{name}")
        op.execute(f"create index {name} on crm_sync.parked ({columns}) where lifted_at is null")
    for name, what in MATCH_KEYS.items():
        op.execute(f"drop index gptweb.{name}")
        op.execute(f"create index {name} on {what} where deleted_at is null")
