"""A first pull writes less (adr/0015): what both sides hold alike is kept once, and its own news is no work.

Revision ID: 0019
"""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Let a base be "as seen", index a second match key only where there is one, and let a source know its own records."""
    for statement in (*_IMAGE, *_LINK, *_STRAY, _MARK):
        op.execute(statement)
    for name in ("account", "contact", "lead"):
        for statement in _stamp(name):
            op.execute(statement)
    _trail()


def downgrade() -> None:
    """Refuse: an older engine would take a base that is not spelt out for one that is empty."""
    raise RuntimeError("restore a backup instead: the bases are not spelt out any more")


_IMAGE = (
    "alter table crm_sync.image alter base_ours drop not null, alter base_theirs drop not null",
    "comment on column crm_sync.image.base_ours is 'null: the same as seen'",
    "comment on column crm_sync.image.base_theirs is 'null: the same as seen'",
)


def _stamp(name: str) -> tuple[str, ...]:
    """Where the engine hands over whole records in canonical form, there is nothing to mend, column by column."""
    table, function = f"gptweb.{name}s", f"gptweb.stamp_{name}()"
    return (
        f"drop trigger stamp on {table}",
        f"create trigger stamp before update on {table} for each row execute function {function}",
        (
            f"create trigger stamp_inserted before insert on {table} for each row "
            f"when (current_setting('crm_sync.engine', true) is distinct from 'whole') execute function {function}"
        ),
    )


def _trail() -> None:
    """An outcome may speak of every field of its change; the trail goes on showing each."""
    asked = op.get_bind().exec_driver_sql("select pg_get_viewdef('crm_sync.audit_trail'::regclass)")
    definition, told = str(asked.scalar_one()), "unnest(o.fields)"
    if definition.count(told) != 1:
        raise RuntimeError(
            "view crm_sync.audit_trail is not the one that revision 0013 made; restore it, then migrate again"
        )
    fields = "case when o.fields = '{*}' then array(select jsonb_object_keys(c.after)) else o.fields end"
    op.execute(
        f"create or replace view crm_sync.audit_trail as {definition.replace(told, f'unnest({fields})')}"
    )


# A look-up for each link, although nobody deletes a connection that has run.
_LINK = ("alter table crm_sync.link drop constraint link_connection_fkey",)

_STRAY = (
    "drop index crm_sync.stray_second",
    "create index stray_second on crm_sync.stray (match_second, connection, object) where match_second is not null",
)

# A record that the engine makes of a stranger, and links in the same statement, is no news to the connection it came
# from (crm_sync.source); to every other it is.
_MARK = """
create or replace function crm_sync.mark() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
declare source text := case when tg_op = 'INSERT' then nullif(current_setting('crm_sync.source', true), '') end;
begin
  insert into crm_sync.outbox as o (connection, object, our_id, version)
  select c.name, tg_argv[0], m.id, m.version + case when tg_op = 'DELETE' then 1 else 0 end
  from moved m cross join crm_sync.connection c
  where c.name is distinct from source
  order by 3, 1
  on conflict (connection, object, our_id) do update set version = greatest(o.version, excluded.version);
  return null;
end $$"""
