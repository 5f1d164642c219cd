"""The hub: schema ``gptweb`` with contacts, accounts and leads, and the triggers that capture every edit.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None

ADDRESS = ("street", "city", "state", "postal_code", "country")
MOMENT = "{} between '0001-01-02 00:00Z' and '9999-12-30 00:00Z'"
"""Neither 'infinity' nor a year that no CRM and no client has: such a value could not be read, and would stop every run."""
MEASURES = f"""
    total_score numeric(18, 2), is_dql boolean not null default false, last_visit_at timestamptz check ({MOMENT.format("last_visit_at")}),
    visit_count bigint, engagement_level text, lead_source text,
    created_at timestamptz not null default now() check ({MOMENT.format("created_at")}),
    updated_at timestamptz not null default now(), deleted_at timestamptz check ({MOMENT.format("deleted_at")}),
    version bigint not null default 1, changed_at jsonb not null default '{{}}'"""
TEXTS = {
    "account": ("name", "website", "phone", "industry", *(f"billing_{part}" for part in ADDRESS), "description"),
    "contact": (
        "first_name", "last_name", "email", "phone", "mobile_phone", "title", "department",
        *(f"mailing_{part}" for part in ADDRESS), "description",
    ),
    "lead": (
        "first_name", "last_name", "company", "email", "phone", "title", "website", "status", *ADDRESS,
        "description",
    ),
}  # fmt: skip
OTHERS = {
    "account": {"number_of_employees": "integer", "annual_revenue": "numeric(18, 2)"},
    "contact": {"account_id": "uuid references gptweb.accounts (id) on delete set null"},
    "lead": {},
}
MEASURE_TEXTS = ("engagement_level", "lead_source")
MEASURE_OTHERS = ("total_score", "is_dql", "last_visit_at", "visit_count")


def upgrade() -> None:
    """Create the three tables, their capture triggers and the outbox they write to."""
    op.execute("create schema gptweb")
    op.execute("create schema crm_sync")
    op.execute(_CONNECTION)
    op.execute(_OUTBOX)
    op.execute(_MARK)
    op.execute(_MARK_ALL)
    for name in TEXTS:
        op.execute(_table(name))
        op.execute(_stamp(name))
        op.execute(_triggers(name))
    op.execute("create index on gptweb.contacts (account_id)")


def downgrade() -> None:
    """Remove the ledger's schema; GPTWeb's own records are never dropped by a migration."""
    raise RuntimeError("restore a backup instead: the ledger can't be made anew from the records")


def _table(name: str) -> str:
    columns = [f"{column} {kind}" for column, kind in OTHERS[name].items()]
    columns += [f"{column} text" for column in TEXTS[name]]
    return f"create table gptweb.{name}s (id uuid primary key default gen_random_uuid(), {', '.join(columns)}, {MEASURES})"


def _stamp(name: str) -> str:
    """Version and time per column, as a chain of IFs: ten times cheaper than a loop over to_jsonb (hotpath.md 6)."""
    texts = (*TEXTS[name], *MEASURE_TEXTS)
    columns = (*OTHERS[name], *texts, *MEASURE_OTHERS, "deleted_at")
    blank = "\n".join(f"  if new.{column} = '' then new.{column} := null; end if;" for column in texts)
    moved = "\n".join(
        f"  if new.{column} is distinct from old.{column} then moved := moved || jsonb_build_object('{column}', at); end if;"
        for column in columns
    )
    return f"""
create function gptweb.stamp_{name}() returns trigger language plpgsql as $$
declare moved jsonb := '{{}}'; at timestamptz := clock_timestamp();
begin
{blank}
  new.is_dql := coalesce(new.is_dql, false);
  if tg_op = 'INSERT' then
    new.version := 1;
    new.created_at := coalesce(new.created_at, at);
    new.updated_at := at;
    if coalesce(current_setting('crm_sync.engine', true), '') <> 'on' then new.changed_at := '{{}}'; end if;
    return new;
  end if;
  if new.id <> old.id then raise exception 'gptweb.{name}s: id % is a key and never changes', old.id; end if;
{moved}
  new.version := old.version;
  new.created_at := old.created_at;
  new.updated_at := old.updated_at;
  if moved = '{{}}' then new.changed_at := old.changed_at; return new; end if;
  new.version := old.version + 1;
  new.updated_at := at;
  -- The engine hands over the times of the edits in the CRM; everybody else edits now.
  if coalesce(current_setting('crm_sync.engine', true), '') <> 'on' then new.changed_at := old.changed_at || moved; end if;
  return new;
end $$"""


def _triggers(name: str) -> str:
    table = f"gptweb.{name}s"
    return f"""
create trigger stamp before insert or update on {table} for each row execute function gptweb.stamp_{name}();
create trigger mark_inserted after insert on {table} referencing new table as moved
  for each statement execute function crm_sync.mark('{name}');
create trigger mark_updated after update on {table} referencing new table as moved
  for each statement execute function crm_sync.mark('{name}');
create trigger mark_deleted after delete on {table} referencing old table as moved
  for each statement execute function crm_sync.mark('{name}');
create trigger mark_truncated before truncate on {table}
  for each statement execute function crm_sync.mark_all('{name}')"""


_CONNECTION = """
create table crm_sync.connection (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,49}$'),
  vendor text not null,
  settings jsonb not null default '{}',
  settings_digest text,
  organization_id text,
  provisioned_at timestamptz,
  active boolean not null default true,
  created_at timestamptz not null default now())"""

_OUTBOX = """
create table crm_sync.outbox (
  connection text not null references crm_sync.connection (name) on delete cascade,
  object text not null,
  our_id uuid not null,
  version bigint not null,
  primary key (connection, object, our_id))
with (autovacuum_vacuum_scale_factor = 0.02)"""

# One row per connection, the one included from which the engine took the value: the next plan finds "equal to base"
# and removes it at no cost, and a repair must be able to travel back (algorithm.md 1.2).  Security definer, so that
# a client needs rights on gptweb only.  Ordered, so that everybody locks in one order.
_MARK = """
create function crm_sync.mark() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into crm_sync.outbox as o (connection, object, our_id, version)
  select c.name, tg_argv[0], m.id, m.version + case when tg_op = 'DELETE' then 1 else 0 end
  from moved m cross join crm_sync.connection c
  order by 3, 1
  on conflict (connection, object, our_id) do update set version = greatest(o.version, excluded.version);
  return null;
end $$"""

# A truncated table has no transition table: its rows are marked before they go.
_MARK_ALL = """
create function crm_sync.mark_all() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  execute format(
    'insert into crm_sync.outbox as o (connection, object, our_id, version)
    select c.name, $1, t.id, t.version + 1 from %I.%I t cross join crm_sync.connection c
    order by 3, 1
    on conflict (connection, object, our_id) do update set version = greatest(o.version, excluded.version)',
    tg_table_schema, tg_table_name) using tg_argv[0];
  return null;
end $$"""
