"""Erasure of one person, retention of the trail, and who did what in the view of it.

Revision ID: 0021
"""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the two functions that take something out of the trail, with what they need."""
    for statement in (*_ERASURE, *_RETENTION, _AUDIT_TRAIL):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: an erased person would be read again."""
    raise RuntimeError("restore a backup instead: an erased person would be read again")


_ERASURE = (
    # What has to be known of an erased person, so that the next read doesn't bring them back: the CRM's id.
    """
create table crm_sync.erased (
  connection text not null references crm_sync.connection (name) on delete cascade,
  their_object text not null,
  their_id text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (their_id, their_object, connection))""",
    # The salt of a sealed row, taken for the last time; null while no seal covers the row.
    """
create function crm_sync.take_salt(of_kind text, id bigint, of_run bigint, of_connection text) returns bytea
language plpgsql set search_path = pg_catalog as $$
declare salt bytea; lot record;
begin
  select k.seal_id, k.place, (array_position(k.ids, id) - 1) * 16 + 1 as at into lot
  from crm_sync.seal s join crm_sync.sealed k using (seal_id)
  where s.run_id is not distinct from of_run and s.connection = of_connection and k.kind = of_kind and k.ids @> array[id];
  if lot is null then return null; end if;
  select substr(k.salts, lot.at, 16) into salt from crm_sync.sealed k where k.seal_id = lot.seal_id and k.place = lot.place;
  update crm_sync.sealed k set salts = overlay(k.salts placing decode(repeat('00', 16), 'hex') from lot.at)
  where k.seal_id = lot.seal_id and k.place = lot.place;
  return salt;
end $$""",
    # Everybody whom links say to be this person: what a lead was converted into, what a record was merged into.
    """
create function crm_sync.same_person(id uuid) returns uuid[] language sql stable set search_path = pg_catalog as $$
  with recursive person (id) as (
    select same_person.id
    union
    select x.id from person p cross join lateral (
      select l.successor as id from crm_sync.link l where l.our_id = p.id and l.successor is not null
      union all
      select l.our_id from crm_sync.link l where l.successor = p.id) x)
  select array_agg(person.id) from person
$$""",
    # The inner hash of a row that no seal covers yet is empty: it has nothing to match.
    """
create function crm_sync.erase_from_trail(ids uuid[], their_ids text[]) returns bigint
language plpgsql set search_path = pg_catalog set client_encoding = 'UTF8' as $$
declare c record; rows bigint := 0;
begin
  perform set_config('crm_sync.rewrite', 'on', true);
  for c in select t.*, crm_sync.take_salt('change', t.change_id, t.run_id, t.connection) as salt
      from crm_sync.change t where t.our_id = any(ids) and t.erased is null loop
    update crm_sync.change t set their_id = null, before = '{}', base = '{}',
      after = (select coalesce(jsonb_object_agg(key, null), '{}') from jsonb_object_keys(c.after) key),
      erased = coalesce(sha256(c.salt || record_send(row(c.their_id, c.before, c.after, c.base))), '')
    where t.change_id = c.change_id;
    rows := rows + 1;
  end loop;
  for c in select o.*, crm_sync.take_salt('outcome', o.outcome_id, o.run_id, t.connection) as salt
      from crm_sync.change t join crm_sync.outcome o using (change_id) where t.our_id = any(ids) and o.erased is null loop
    update crm_sync.outcome o set their_id = null, detail = null,
      erased = coalesce(sha256(c.salt || record_send(row(c.their_id, c.detail))), '')
    where o.change_id = c.change_id and o.outcome_id = c.outcome_id;
    rows := rows + 1;
  end loop;
  for c in select d.*, crm_sync.take_salt('decision', d.decision_id, d.run_id, d.connection) as salt
      from crm_sync.decision d where d.erased is null and (d.our_id = any(ids) or d.their_id = any(their_ids)) loop
    update crm_sync.decision d set their_id = null, before = null, after = null, base = null, detail = null,
      erased = coalesce(sha256(c.salt || record_send(row(c.their_id, c.before, c.after, c.base, c.detail))), '')
    where d.decision_id = c.decision_id;
    rows := rows + 1;
  end loop;
  perform set_config('crm_sync.rewrite', '', true);
  return rows;
end $$""",
    # GPTWeb's other tables may refer to the record, so the row stays, archived, with nothing in it.
    """
create function crm_sync.blank_records(ids uuid[]) returns bigint language plpgsql set search_path = pg_catalog as $$
declare kind text; blanks text; touched bigint; rows bigint := 0;
begin
  foreach kind in array array['contacts', 'leads'] loop
    select string_agg(format('%I = %s', a.attname, case when a.attnotnull then 'default' else 'null' end), ', ') into blanks
    from pg_attribute a where a.attrelid = format('gptweb.%I', kind)::regclass and a.attnum > 0 and not a.attisdropped
      and a.attname not in ('id', 'created_at', 'updated_at', 'deleted_at', 'archived_by', 'version', 'changed_at');
    execute format('update gptweb.%I set %s, deleted_at = coalesce(deleted_at, clock_timestamp()) where id = any($1)', kind, blanks)
      using ids;
    get diagnostics touched = row_count;
    rows := rows + touched;
  end loop;
  delete from crm_sync.outbox b where b.our_id = any(ids);
  return rows;
end $$""",
    """
create function crm_sync.erase_person(id uuid, who text, why text) returns setof text
language plpgsql security definer set search_path = pg_catalog as $$
declare ids uuid[]; theirs text[]; links bigint[]; lines bigint; busy text; there record;
begin
  if coalesce(btrim(who), '') = '' or coalesce(btrim(why), '') = '' then
    raise exception 'say who erases, and why: both go into the audit trail';
  end if;
  ids := crm_sync.same_person(id);
  perform 1 from crm_sync.link l where l.our_id = any(ids) order by l.link_id for update;
  -- No run takes longer; one that was killed on a connection that is off would stand there for ever.
  select r.connection into busy from crm_sync.run r where r.state = 'running' and r.ended_at is null
    and r.started_at > clock_timestamp() - interval '36 hours' limit 1;
  if busy is null then
    select l.connection into busy from crm_sync.link l where l.our_id = any(ids)
      and exists (select 1 from crm_sync.intent i where i.link_id = l.link_id and i.closed_by is null) limit 1;
  end if;
  if busy is not null then
    raise exception using errcode = 'object_in_use', message = format(
      'a run of %s is under way, or a write of its to this person has no answer yet: erase once it has ended', busy);
  end if;
  select coalesce(array_agg(l.link_id), '{}') into links from crm_sync.link l where l.our_id = any(ids);
  for there in
    insert into crm_sync.erased as e (connection, their_object, their_id)
    select l.connection, l.their_object, l.their_id from crm_sync.link l where l.link_id = any(links) and l.their_id is not null
    union select f.connection, f.their_object, f.their_id from crm_sync.former f where f.link_id = any(links)
    union select s.connection, s.their_object, s.their_id from crm_sync.stray s where s.our_id = any(ids)
    on conflict (connection, their_object, their_id) do update set at = e.at
    returning e.connection, e.their_object, e.their_id loop
    theirs := theirs || there.their_id;
    return next format('still there: %s %s in %s; the CRM''s own record is its users'' to delete, from the recycle bin too',
      there.their_object, there.their_id, there.connection);
  end loop;
  -- What was planned and waits for calls or for a person's yes is not carried out any more.
  insert into crm_sync.outcome (change_id, run_id, outcome, fields, detail)
  select c.change_id, c.run_id, 'superseded', array(select jsonb_object_keys(c.after)), 'the person was erased'
  from crm_sync.change c join crm_sync.run r using (run_id)
  where c.our_id = any(ids) and r.ended_at is null
    and not exists (select 1 from crm_sync.outcome o where o.change_id = c.change_id);
  lines := crm_sync.erase_from_trail(ids, coalesce(theirs, '{}'));
  delete from crm_sync.parked p where p.our_id = any(ids) or p.link_id = any(links) or p.their_id = any(theirs);
  delete from crm_sync.stray s where s.our_id = any(ids) or s.their_id = any(theirs);
  delete from crm_sync.reconciliation_sample s where s.our_id = any(ids) or s.their_id = any(theirs);
  delete from crm_sync.job_row j using crm_sync.intent i where i.intent_id = j.intent_id and i.link_id = any(links);
  delete from crm_sync.intent i where i.link_id = any(links);
  delete from crm_sync.former f where f.link_id = any(links);
  delete from crm_sync.pace p where p.link_id = any(links);
  delete from crm_sync.image i where i.link_id = any(links);
  delete from crm_sync.link l where l.link_id = any(links);
  return next format('erased: %s records of GPTWeb, %s lines of the audit trail', crm_sync.blank_records(ids), lines);
  insert into crm_sync.decision (connection, object, our_id, rule, outcome, detail, actor)
  select c.name, '', e.id, 'erasure', 'noted', why, who from crm_sync.connection c cross join unnest(ids) e (id);
end $$""",
)

_RETENTION = (
    "create table crm_sync.retention (one boolean primary key default true check (one), keep interval not null)",
    "insert into crm_sync.retention (keep) values ('25 months')",
    """
create function crm_sync.month_holds(of_month integer) returns text language plpgsql set search_path = pg_catalog as $$
declare whole text; rows bigint; covered bigint; step constant bigint := 1000000000;
begin
  foreach whole in array array['change', 'outcome', 'decision', 'spending'] loop
    execute format('select count(*) from crm_sync.%I', whole || '_' || of_month) into rows;
    select coalesce(sum(cardinality(k.ids)), 0) into covered from crm_sync.sealed k
      where k.month = of_month and k.kind = whole;
    if rows <> covered then return format('%s of its rows of %s are under no seal', rows - covered, whole); end if;
  end loop;
  if exists (select 1 from crm_sync.intent i where i.closed_by is null
      and i.change_id >= of_month * step and i.change_id < (of_month + 1) * step) then
    return 'a write of it has no answer yet';
  end if;
  return null;
end $$""",
    """
create function crm_sync.drop_months() returns setof text
language plpgsql security definer set search_path = pg_catalog set lock_timeout = '20s' as $$
declare m record; held text; kind text;
begin
  for m in select a.number, b.began_at as ended_at from crm_sync.month a
      cross join lateral (select n.began_at from crm_sync.month n where n.number > a.number order by n.number limit 1) b
      where a.dropped_at is null
        and b.began_at < clock_timestamp() - coalesce((select r.keep from crm_sync.retention r), interval '25 months')
      order by a.number loop
    held := crm_sync.month_holds(m.number);
    if held is not null then
      return next format('month %s, which ended %s, is kept: %s', m.number, m.ended_at::date, held);
      continue;
    end if;
    perform set_config('crm_sync.rewrite', 'on', true);
    delete from crm_sync.sealed k where k.month = m.number;
    perform set_config('crm_sync.rewrite', '', true);
    foreach kind in array array['outcome', 'change', 'decision', 'spending'] loop
      execute format('drop table crm_sync.%I', kind || '_' || m.number);
    end loop;
    update crm_sync.month set dropped_at = clock_timestamp() where number = m.number;
    insert into crm_sync.decision (connection, object, rule, outcome, detail, actor)
    select c.name, '', 'retention', 'noted', format('month %s of the trail, which ended %s, was dropped', m.number, m.ended_at::date),
      session_user from crm_sync.connection c;
    return next format('month %s, which ended %s, was dropped', m.number, m.ended_at::date);
  end loop;
end $$""",
    """
revoke execute on function crm_sync.take_salt(text, bigint, bigint, text), crm_sync.same_person(uuid),
  crm_sync.erase_from_trail(uuid[], text[]), crm_sync.blank_records(uuid[]), crm_sync.erase_person(uuid, text, text),
  crm_sync.month_holds(integer), crm_sync.drop_months() from public""",
)

# A person of the CRM is not known by name: reading that would cost a call for each record.
_AUDIT_TRAIL = """
create or replace view crm_sync.audit_trail as
select o.at, o.run_id, c.connection, c.object, c.our_id, coalesce(o.their_id, c.their_id) as their_id, c.side,
  f.field, case when c.op = 'create' and c.erased is null then 'null'::jsonb else c.before -> f.field end as before,
  case when c.erased is null then c.after -> f.field end as after,
  c.base -> f.field as base, coalesce(c.rules ->> f.field, c.rules ->> '*') as rule, o.outcome, o.detail,
  case c.side when 'ours' then 'somebody in the CRM' else 'somebody in GPTWeb' end as who, o.batch,
  o.calls as api_call_share, c.change_id, c.erased is not null as erased
from crm_sync.outcome o join crm_sync.change c using (change_id)
  cross join lateral unnest(case when o.fields = '{*}' then array(select jsonb_object_keys(c.after)) else o.fields end) as f (field)
union all
select d.at, d.run_id, d.connection, d.object, d.our_id, d.their_id, d.side, d.field, d.before, d.after, d.base,
  d.rule, d.outcome, d.detail, coalesce(d.actor, 'the sync'), null, null, null, d.erased is not null
from crm_sync.decision d"""
