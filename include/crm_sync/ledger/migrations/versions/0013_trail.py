"""The trail in months: partitions of change, outcome, decision and spending; seals over their rows; who, batch and calls.

Revision ID: 0013
"""

from alembic import op

revision = "0013"
down_revision = "0012"

STEP = 1_000_000_000
"""Ids of month 7 begin at 7,000,000,000: a month begins by moving the sequences on, and no row is ever moved."""


def upgrade() -> None:
    """Make each table of the trail partitioned, the rows it has being its month 0; add what seals and months need."""
    summary = op.get_bind().exec_driver_sql("select pg_get_viewdef('crm_sync.run_summary'::regclass)")
    run_summary = str(summary.scalar_one())
    op.execute("drop view crm_sync.run_summary, crm_sync.audit_trail")
    op.execute(_REFUSE_REWRITE)
    for table, key in PARTITIONED.items():
        _set_aside(table)
        op.execute(_TABLES[table])
        _number_on(table)
        for statement in (*_INDEXES[table], *_attach(table, key)):
            op.execute(statement)
    for statement in (*_SEALS, *_MONTHS):
        op.execute(statement)
    op.execute(f"create view crm_sync.run_summary as {run_summary}")
    op.execute(_AUDIT_TRAIL)


def downgrade() -> None:
    """Refuse: seals can't be made anew."""
    raise RuntimeError("restore a backup instead: the seals of the trail can't be made anew")


PARTITIONED = {
    "change": "change_id",
    "outcome": "change_id",
    "decision": "decision_id",
    "spending": "spending_id",
}
"""By what each table is cut: an outcome lies in the month of its change, so that both are found, and dropped, together."""
NUMBERED = {**PARTITIONED, "outcome": "outcome_id"}

# The erased column is what is left of a person's values: their salted hash, so that the seal still fits.
_TABLES = {
    "change": """
create table crm_sync.change (
  change_id bigint not null,
  run_id bigint not null,
  connection text not null,
  object text not null,
  link_id bigint,
  our_id uuid not null,
  their_id text,
  side text not null constraint change_side_check check (side in ('ours', 'theirs')),
  op text not null constraint change_op_check
    check (op in ('create', 'update', 'archive', 'unarchive', 'delete', 'convert')),
  before jsonb not null,
  after jsonb not null,
  base jsonb not null,
  rules jsonb not null,
  conflicts text[] not null default '{}',
  erased bytea) partition by range (change_id)""",
    # batch: which call or job carried it; calls: the record's share of what that cost.
    "outcome": """
create table crm_sync.outcome (
  outcome_id bigint not null,
  change_id bigint not null,
  run_id bigint not null,
  at timestamptz not null default clock_timestamp(),
  outcome text not null,
  fields text[] not null,
  their_id text,
  detail text,
  batch text,
  calls real,
  erased bytea) partition by range (change_id)""",
    "decision": """
create table crm_sync.decision (
  decision_id bigint not null,
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
  detail text,
  actor text,
  erased bytea) partition by range (decision_id)""",
    "spending": """
create table crm_sync.spending (
  spending_id bigint not null,
  connection text not null references crm_sync.connection (name),
  run_id bigint references crm_sync.run (run_id),
  lane text not null,
  purpose text not null,
  booked_at timestamptz not null) partition by range (spending_id)""",
}
_ADDED = {
    "change": "alter table crm_sync.change_0 add column erased bytea",
    "outcome": (
        "alter table crm_sync.outcome_0 add column batch text, add column calls real, add column erased bytea, "
        "drop constraint outcome_0_pkey"
    ),
    "decision": "alter table crm_sync.decision_0 add column actor text, add column erased bytea",
}
_CONSTRAINTS = {
    "change": ("pkey",),
    "outcome": ("pkey",),
    "decision": ("pkey", "run_id_fkey"),
    "spending": ("pkey", "run_id_fkey", "connection_fkey"),
}

# An outcome is nearly always looked up by its change: the primary key serves that, and one index less is written.
_INDEXES = {
    "change": (
        "alter table crm_sync.change add primary key (change_id)",
        "create index change_of_run on crm_sync.change (run_id, side, object, change_id)",
        "create index change_of_record on crm_sync.change (our_id, change_id)",
    ),
    "outcome": (
        "drop index crm_sync.outcome_change_id_idx",
        "alter table crm_sync.outcome add primary key (change_id, outcome_id)",
        "create index outcome_of_run on crm_sync.outcome (run_id)",
    ),
    "decision": (
        "alter table crm_sync.decision add primary key (decision_id)",
        "create index decision_of_run on crm_sync.decision (run_id)",
        "create index decision_of_record on crm_sync.decision (our_id, decision_id)",
        "create index decision_of_no_run on crm_sync.decision (connection) where run_id is null",
    ),
    "spending": (
        "alter table crm_sync.spending add primary key (spending_id)",
        "create index spending_of_window on crm_sync.spending (connection, booked_at)",
        "create index spending_of_run on crm_sync.spending (run_id)",
        "create index spending_of_no_run on crm_sync.spending (connection) where run_id is null",
    ),
}


def _set_aside(table: str) -> None:
    """The table becomes its own month 0; identity and trigger are the new table's."""
    op.execute(f"alter table crm_sync.{table} rename to {table}_0")
    op.execute(f"drop trigger append_only on crm_sync.{table}_0")
    for name in _CONSTRAINTS[table]:
        op.execute(f"alter table crm_sync.{table}_0 rename constraint {table}_{name} to {table}_0_{name}")
    if table in _ADDED:
        op.execute(_ADDED[table])


def _number_on(table: str) -> None:
    """The new table goes on counting where the old one was."""
    column = NUMBERED[table]
    highest = op.get_bind().exec_driver_sql(f"select coalesce(max({column}), 0) + 1 from crm_sync.{table}_0")  # noqa: S608  # constants
    op.execute(f"alter table crm_sync.{table}_0 alter {column} drop identity")
    op.execute(
        f"alter table crm_sync.{table} alter {column} add generated always as identity "
        f"(sequence name crm_sync.{table}_{column}_seq start with {highest.scalar_one()})"
    )


def _attach(table: str, key: str) -> tuple[str, ...]:
    """Month 0 with its rows, and the rules that keep the trail append-only; a truncate fires on the partition alone."""
    return (
        f"alter table crm_sync.{table} attach partition crm_sync.{table}_0 for values from (minvalue) to ({STEP})",
        (
            f"create trigger append_only before update or delete on crm_sync.{table} "
            "for each row execute function crm_sync.refuse_rewrite()"
        ),
        *(
            f"create trigger never_emptied before truncate on crm_sync.{name} "
            "for each statement execute function crm_sync.refuse_rewrite()"
            for name in (table, f"{table}_0")
        ),
        f"comment on column crm_sync.{table}.{key} is 'month n of the trail begins at n * {STEP}'",
    )


# The two ways to take something out of the trail, each a function of the owner's, open the lock for themselves.
_REFUSE_REWRITE = """
create or replace function crm_sync.refuse_rewrite() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if tg_op <> 'TRUNCATE' and coalesce(current_setting('crm_sync.rewrite', true), '') = 'on' then
    return case tg_op when 'DELETE' then old else new end;
  end if;
  raise exception 'crm_sync.% is part of the audit trail: rows are only ever added', regexp_replace(tg_table_name, '_[0-9]+$', '');
end $$"""

_SEALS = (
    # A link of a connection's chain: head = sha256(previous, what the seal says of itself, digests).  Of each lot of
    # rows: its month, and its digest; both stay when the month is dropped.
    """
create table crm_sync.seal (
  seal_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  number bigint not null,
  run_id bigint references crm_sync.run (run_id),
  at timestamptz not null default clock_timestamp(),
  run jsonb,
  months integer[] not null,
  digests bytea not null,
  previous bytea not null,
  head bytea not null,
  unique (connection, number))""",
    "create index seal_of_run on crm_sync.seal (run_id)",
    # Up to a thousand rows of one table: each one's id, leaf (32 bytes) and salt (16 bytes), in this order.
    """
create table crm_sync.sealed (
  seal_id bigint not null references crm_sync.seal (seal_id) deferrable initially deferred,
  place integer not null,
  kind text not null check (kind in ('change', 'outcome', 'decision', 'spending')),
  month integer not null,
  ids bigint[] not null,
  leaves bytea not null,
  salts bytea not null,
  primary key (seal_id, place))""",
    # Random bytes: trying to compress them is in vain.
    "alter table crm_sync.sealed alter leaves set storage external, alter salts set storage external",
    "create index sealed_of_month on crm_sync.sealed (month)",
    *(
        f"create trigger {name} before {what} on crm_sync.{table} for each {each} execute function crm_sync.refuse_rewrite()"
        for table in ("seal", "sealed")
        for name, what, each in (
            ("append_only", "update or delete", "row"),
            ("never_emptied", "truncate", "statement"),
        )
    ),
)

_MONTHS = (
    """
create table crm_sync.month (
  number integer primary key,
  began_at timestamptz not null default clock_timestamp(),
  dropped_at timestamptz)""",
    "insert into crm_sync.month (number) values (0)",
    """
create function crm_sync.make_month(number integer) returns void language plpgsql set search_path = pg_catalog as $$
declare whole text; part text; step constant bigint := 1000000000;
begin
  foreach whole in array array['change', 'outcome', 'decision', 'spending'] loop
    part := whole || '_' || number;
    if to_regclass('crm_sync.' || part) is null then
      -- Attaching locks out no reader and no writer, as making it a partition at once would.
      execute format('create table crm_sync.%I (like crm_sync.%I including all excluding identity)', part, whole);
      execute format('alter table crm_sync.%I attach partition crm_sync.%I for values from (%s) to (%s)',
        whole, part, number * step, (number + 1) * step);
      execute format('create trigger never_emptied before truncate on crm_sync.%I '
        'for each statement execute function crm_sync.refuse_rewrite()', part);
    end if;
  end loop;
end $$""",
    # Two ahead: should nobody ever come to begin a month, rows overflow into the next one, a thousand million later.
    "select crm_sync.make_month(1), crm_sync.make_month(2)",
    """
create function crm_sync.begin_month() returns integer language plpgsql security definer set search_path = pg_catalog as $$
declare present integer; since timestamptz; reached integer; counter text; step constant bigint := 1000000000;
  counters constant text[] := array['change_change_id_seq', 'decision_decision_id_seq', 'spending_spending_id_seq'];
begin
  perform pg_advisory_xact_lock(7272027);
  select m.number, m.began_at into present, since from crm_sync.month m order by m.number desc limit 1;
  select coalesce(max(s.last_value), 0) / step into reached from pg_sequences s
    where s.schemaname = 'crm_sync' and s.sequencename = any(counters);
  present := coalesce(present, reached);
  if reached > present or date_trunc('month', clock_timestamp()) > date_trunc('month', since) then
    present := greatest(present + 1, reached);
    perform crm_sync.make_month(present);
    foreach counter in array counters loop
      -- Only ever forwards: a sequence that has come further by itself is left alone.
      perform setval(format('crm_sync.%I', counter), present * step - 1) from pg_sequences s
        where s.schemaname = 'crm_sync' and s.sequencename = counter and coalesce(s.last_value, 0) < present * step - 1;
    end loop;
  end if;
  insert into crm_sync.month (number)
    select n from generate_series(coalesce((select max(m.number) + 1 from crm_sync.month m), present), present) n;
  perform crm_sync.make_month(present + 1), crm_sync.make_month(present + 2);
  return present;
end $$""",
    # Of the present month only, and by whoever may add to it; the values in it tell the planner nothing.
    """
create function crm_sync.analyze_changes() returns void language plpgsql security definer set search_path = pg_catalog as $$
begin
  execute format('analyze crm_sync.%I (change_id, run_id, side, object, our_id)',
    'change_' || (select s.last_value / 1000000000 from crm_sync.change_change_id_seq s));
end $$""",
    "revoke execute on function crm_sync.make_month(integer), crm_sync.begin_month(), crm_sync.analyze_changes() from public",
)

_AUDIT_TRAIL = """
create view crm_sync.audit_trail as
select o.at, o.run_id, c.connection, c.object, c.our_id, coalesce(o.their_id, c.their_id) as their_id, c.side,
  f.field, case when c.op = 'create' then 'null'::jsonb else c.before -> f.field end as before, c.after -> f.field as after,
  c.base -> f.field as base, coalesce(c.rules ->> f.field, c.rules ->> '*') as rule, o.outcome, o.detail,
  case c.side when 'ours' then 'somebody in the CRM' else 'somebody in GPTWeb' end as who, o.batch,
  o.calls as api_call_share, c.change_id
from crm_sync.outcome o join crm_sync.change c using (change_id) cross join lateral unnest(o.fields) as f (field)
union all
select d.at, d.run_id, d.connection, d.object, d.our_id, d.their_id, d.side, d.field, d.before, d.after, d.base,
  d.rule, d.outcome, d.detail, coalesce(d.actor, 'the sync'), null, null, null
from crm_sync.decision d"""
