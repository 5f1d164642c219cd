"""The ledger: runs, links with their images, intents, changes, outcomes, decisions, spendings, and the two views.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the ledger's tables, make the audit trail append-only, and add the two views for people and tools."""
    for statement in (*_TABLES, *_APPEND_ONLY, *_MATCHING, *_VIEWS):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: without links and bases the next sync would treat every difference as new."""
    raise RuntimeError("restore a backup instead: links and bases can't be made anew")


# Indexes begin with the column that tells most: without statistics the planner can't know that connection and object
# tell next to nothing (adr/0004).
_TABLES = (
    # Orders requests without any clock: one number before a request leaves, one when its reply is stored.
    "create sequence crm_sync.request_seq",
    """
create table crm_sync.run (
  run_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  kind text not null,
  dag_run_id text,
  options jsonb not null default '{}',
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  state text not null default 'running',
  message text,
  clock_offset interval not null default '0',
  clock_error interval not null default '1 second',
  planned bigint, acknowledged bigint, parked bigint, superseded bigint, in_doubt bigint, conflicts bigint)""",
    "create index on crm_sync.run (connection, run_id)",
    """
create table crm_sync.cursor (
  connection text not null references crm_sync.connection (name),
  object text not null,
  position timestamptz not null,
  moved_at timestamptz not null default now(),
  primary key (connection, object))""",
    """
create table crm_sync.link (
  link_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  object text not null,
  their_object text not null,
  our_id uuid not null,
  their_id text,
  state text not null check (state in ('creating', 'live', 'gone', 'merged', 'converted', 'lost')),
  keyed boolean not null default false,
  their_alive boolean not null default true,
  dirty boolean not null default true,
  reread boolean not null default false,
  claim_run bigint references crm_sync.run (run_id),
  claim_until timestamptz,
  seen_stamp timestamptz,
  seen_recv bigint not null default 0,
  seen_digest bytea,
  spelling_of uuid,
  match_key text,
  unique (connection, object, our_id),
  unique (connection, their_object, their_id))
with (fillfactor = 80)""",
    "create index link_dirty on crm_sync.link (connection, object, link_id) where dirty",
    "create index link_reread on crm_sync.link (connection, object) where reread",
    "create index link_match on crm_sync.link (match_key, connection, object)",
    "create index link_creating on crm_sync.link (connection, object) where their_id is null",
    """
create table crm_sync.image (
  link_id bigint primary key references crm_sync.link (link_id),
  base_ours jsonb not null default '{}',
  base_theirs jsonb not null default '{}',
  seen jsonb not null default '{}',
  seen_lo jsonb not null default '{}',
  seen_hi jsonb not null default '{}')
with (fillfactor = 80)""",
    """
create table crm_sync.stray (
  connection text not null references crm_sync.connection (name),
  object text not null,
  their_object text not null,
  their_id text not null,
  values jsonb not null,
  digest bytea not null,
  match_first text,
  match_second text,
  our_id uuid,
  stamp timestamptz not null,
  recv bigint not null,
  deleted boolean not null default false,
  merged_into text,
  reread boolean not null default false,
  primary key (connection, their_object, their_id))""",
    "create index stray_first on crm_sync.stray (match_first, connection, object)",
    "create index stray_second on crm_sync.stray (match_second, connection, object)",
    """
create table crm_sync.change (
  change_id bigint generated always as identity primary key,
  run_id bigint not null references crm_sync.run (run_id),
  connection text not null,
  object text not null,
  link_id bigint,
  our_id uuid not null,
  their_id text,
  side text not null check (side in ('ours', 'theirs')),
  op text not null check (op in ('create', 'update')),
  before jsonb not null,
  after jsonb not null,
  base jsonb not null,
  rules jsonb not null,
  conflicts text[] not null default '{}')""",
    "create index on crm_sync.change (run_id, side, object, change_id)",
    "create index on crm_sync.change (our_id, change_id)",
    """
create table crm_sync.outcome (
  outcome_id bigint generated always as identity primary key,
  change_id bigint not null references crm_sync.change (change_id),
  run_id bigint not null references crm_sync.run (run_id),
  at timestamptz not null default clock_timestamp(),
  outcome text not null,
  fields text[] not null,
  their_id text,
  detail text)""",
    "create index on crm_sync.outcome (change_id)",
    "create index on crm_sync.outcome (run_id)",
    """
create table crm_sync.decision (
  decision_id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  run_id bigint references crm_sync.run (run_id),
  connection text not null,
  object text not null,
  our_id uuid,
  their_id text,
  side text,
  field text,
  before jsonb,
  after jsonb,
  base jsonb,
  rule text not null,
  outcome text not null,
  detail text)""",
    "create index on crm_sync.decision (run_id)",
    "create index on crm_sync.decision (our_id, decision_id)",
    """
create table crm_sync.intent (
  intent_id uuid primary key,
  change_id bigint not null references crm_sync.change (change_id),
  run_id bigint not null references crm_sync.run (run_id),
  link_id bigint not null references crm_sync.link (link_id),
  creates boolean not null,
  values jsonb not null,
  times jsonb not null,
  expected jsonb not null,
  sent_at timestamptz not null,
  read_at timestamptz,
  claim_until timestamptz not null,
  expires_at timestamptz not null,
  settled text[] not null default '{}',
  closed_by text check (closed_by in ('reply', 'observation', 'expiry')),
  closed_at timestamptz)""",
    "create index intent_open on crm_sync.intent (link_id) where closed_by is null",
    "create index on crm_sync.intent (change_id)",
    "create index intent_unanswered on crm_sync.intent (run_id) where closed_by is distinct from 'reply'",
    """
create table crm_sync.parked (
  parked_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  object text not null,
  link_id bigint,
  our_id uuid,
  their_id text,
  side text not null,
  field text,
  value jsonb,
  our_version bigint,
  cause text not null,
  code text not null,
  remedy text not null,
  run_id bigint references crm_sync.run (run_id),
  first_at timestamptz not null default now(),
  last_at timestamptz not null default now(),
  tries integer not null default 1,
  lifted_at timestamptz,
  lifted_because text)""",
    "create index parked_link on crm_sync.parked (link_id) where lifted_at is null",
    "create index parked_our on crm_sync.parked (connection, object, our_id) where lifted_at is null",
    "create index parked_their on crm_sync.parked (connection, object, their_id) where lifted_at is null",
    """
create table crm_sync.spending (
  spending_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  run_id bigint references crm_sync.run (run_id),
  lane text not null,
  purpose text not null,
  booked_at timestamptz not null)""",
    "create index on crm_sync.spending (connection, booked_at)",
    "create index on crm_sync.spending (run_id)",
)

_APPEND_ONLY = (
    """
create function crm_sync.refuse_rewrite() returns trigger language plpgsql as $$
begin
  raise exception 'crm_sync.% is part of the audit trail: rows are only ever added', tg_table_name;
end $$""",
    *(
        f"create trigger append_only before update or delete on crm_sync.{table} "
        "for each row execute function crm_sync.refuse_rewrite()"
        for table in ("change", "outcome", "decision", "spending")
    ),
)

# One spelling of a match key for both sides, so that an index can serve it.
_MATCHING = (
    """
create function crm_sync.match_text(value text) returns text language sql immutable parallel safe
return nullif(lower(btrim(value, E' \\t\\r\\n')), '')""",
    """
create function crm_sync.match_domain(value text) returns text language sql immutable parallel safe
return nullif(regexp_replace(regexp_replace(lower(btrim(value)), '^([a-z]+://)?(www\\.)?', ''), '[/:?#].*$', ''), '')""",
    "create index contacts_email on gptweb.contacts (crm_sync.match_text(email)) where deleted_at is null",
    "create index leads_email on gptweb.leads (crm_sync.match_text(email)) where deleted_at is null",
    "create index accounts_domain on gptweb.accounts (crm_sync.match_domain(website)) where deleted_at is null",
    "create index accounts_name on gptweb.accounts (crm_sync.match_text(name)) where deleted_at is null",
)

_VIEWS = (
    """
create view crm_sync.run_summary as
select r.run_id, r.connection, r.kind, r.dag_run_id, r.started_at, r.ended_at, r.state,
  r.planned, r.acknowledged, r.parked, r.superseded, r.in_doubt, r.conflicts,
  (select count(*) from crm_sync.spending s where s.run_id = r.run_id) as api_calls,
  r.message
from crm_sync.run r""",
    """
create view crm_sync.audit_trail as
select o.at, o.run_id, c.connection, c.object, c.our_id, coalesce(o.their_id, c.their_id) as their_id, c.side,
  f.field, c.before -> f.field as before, c.after -> f.field as after, c.base -> f.field as base,
  c.rules ->> f.field as rule, o.outcome, o.detail
from crm_sync.outcome o join crm_sync.change c using (change_id) cross join lateral unnest(o.fields) as f (field)
union all
select d.at, d.run_id, d.connection, d.object, d.our_id, d.their_id, d.side, d.field, d.before, d.after, d.base,
  d.rule, d.outcome, d.detail
from crm_sync.decision d""",
)
