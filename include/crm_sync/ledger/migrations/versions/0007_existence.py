"""Existence: who archived a record, who was there when both sides last agreed, and the ids that a link had before.

Revision ID: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = ("account", "contact", "lead")


def upgrade() -> None:
    """Add columns and the table of former ids; what is deleted by now on one side only stays apart."""
    op.execute(_NOTE_ARCHIVER)
    for name in TABLES:
        for statement in _archiver(name):
            op.execute(statement)
    for statement in _LINKS:
        op.execute(statement)
    for name in TABLES:
        op.execute(_APART.format(name=name))
    # What a lead was converted into was never read: all leads are, once more.
    op.execute("delete from crm_sync.cursor where object = 'lead'")


def downgrade() -> None:
    """Refuse: without the former ids the next sync would make deleted records again."""
    raise RuntimeError("restore a backup instead: the history of links can't be made anew")


# Two triggers, so that a row that lives costs nothing.
_NOTE_ARCHIVER = """
create function gptweb.note_archiver() returns trigger language plpgsql as $$
begin
  new.archived_by := case when new.deleted_at is null then null
    when coalesce(current_setting('crm_sync.engine', true), '') = 'on' then 'engine' else 'person' end;
  return new;
end $$"""


def _archiver(name: str) -> tuple[str, ...]:
    table = f"gptweb.{name}s"
    return (
        f"alter table {table} add column archived_by text check (archived_by in ('person', 'engine'))",
        f"alter table {table} disable trigger user",
        f"update {table} set archived_by = 'person' where deleted_at is not null",  # noqa: S608  # a constant
        f"alter table {table} enable trigger user",
        (
            f"create trigger archiver_inserted before insert on {table} for each row when (new.deleted_at is not null) "
            "execute function gptweb.note_archiver()"
        ),
        (
            f"create trigger archiver_updated before update of deleted_at on {table} for each row "
            "execute function gptweb.note_archiver()"
        ),
    )


_LINKS = (
    """
alter table crm_sync.link
  add column base_alive_ours boolean not null default true,
  add column base_alive_theirs boolean not null default true,
  add column merged_into text,
  add column converted_to text,
  add column successor uuid""",
    # Mergers and conversions that no plan has followed yet: nearly always none.
    (
        "create index link_moved on crm_sync.link (connection, object) "
        "where (merged_into is not null or converted_to is not null) and state in ('creating', 'live', 'gone')"
    ),
    "create index link_successor on crm_sync.link (successor) where successor is not null",
    "alter table crm_sync.stray add column converted_to text",
    """
create table crm_sync.former (
  connection text not null references crm_sync.connection (name),
  their_object text not null,
  their_id text not null,
  link_id bigint not null references crm_sync.link (link_id),
  why text not null check (why in ('deleted', 'merged')),
  died_with jsonb not null,
  at timestamptz not null default clock_timestamp(),
  primary key (their_id, their_object, connection))""",
    "create index on crm_sync.former (link_id)",
    "alter table crm_sync.change drop constraint change_op_check",
    (
        "alter table crm_sync.change add constraint change_op_check "
        "check (op in ('create', 'update', 'archive', 'unarchive', 'delete', 'convert'))"
    ),
)

_APART = """
update crm_sync.link l set base_alive_theirs = l.their_alive,
  base_alive_ours = exists (select 1 from gptweb.{name}s o where o.id = l.our_id and o.deleted_at is null)
where l.object = '{name}' and l.state = 'gone'"""
