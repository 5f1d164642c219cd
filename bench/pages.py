"""Figure 7: how long the server takes for each page and each answer of the API, over a ledger that is a year old."""

from __future__ import annotations

from typing import Final

from bench.figures import Figure, Report
from bench.world import World, world

__all__ = ["measure"]

CHANGES: Final = 100
"""How many times the contacts of a first sync."""
PARKED: Final = 10
MOST: Final = 300.0
"""Milliseconds."""
RUNS: Final = 20_000
NAME: Final = "salesforce_main"
CARDS: Final = 50
"""Connections in the list of all."""


def measure(count: int) -> Report:
    """Fill the ledger, then ask for everything that the tab shows of one connection, and for the list of all."""
    changes, parked = count * CHANGES, count * PARKED
    with world() as made:
        _fill(made, changes, parked)
        said = made.measure("pages").child.said
    slow = sorted(said["pages"].items(), key=lambda page: -page[1]["median"])
    figures = [
        Figure(path, f"< {MOST:.0f} ms", f"{took['median']:.0f} ms, at most {took['most']:.0f} ms, {took['bytes']:,} bytes",
               took["median"] < MOST, took["median"])
        for path, took in slow
    ]  # fmt: skip
    found = f"{changes:,} changes with their outcomes in {RUNS:,} runs, {parked:,} parked rows, {parked:,} records that wait, {CARDS} connections"
    return Report(f"Pages over {found}", figures, [
        "Asked one after the other through Airflow's own application, log-in and rights included; the first of each is left out.",
    ])  # fmt: skip


def _fill(made: World, changes: int, parked: int) -> None:
    """What years of syncing leave behind, made inside Postgres; the newest run is under way."""
    made.execute("update crm_sync.connection set provisioned_at = now()")
    made.execute(
        """insert into crm_sync.run (connection, kind, state, started_at, ended_at, planned, acknowledged, parked, superseded,
          in_doubt, conflicts, dag_run_id)
        select %s, 'sync', case when n = %s then 'running' else 'succeeded' end, now() - (%s - n) * interval '5 minutes',
          case when n < %s then now() - (%s - n) * interval '5 minutes' end, 50, 50, 0, 0, 0, 1, 'bench ' || n
        from generate_series(1, %s) n""",
        (NAME, RUNS, RUNS, RUNS, RUNS, RUNS),
    )
    made.execute(_CONTACTS, (parked,))
    made.execute(_LINKS, (NAME,))
    made.execute(_OTHERS, (CARDS - 1,))
    for statement in (_OTHER_RUNS, _OTHER_CALLS, _OTHER_PARKED):
        made.execute(statement, (NAME,))
    for statement in (_CHANGES, _OUTCOMES, _PARKED, _DECISIONS):
        made.execute(statement, {"changes": changes, "parked": parked, "runs": RUNS, "name": NAME})
    made.execute("vacuum analyze")


_CONTACTS = """insert into gptweb.contacts (first_name, last_name, email)
  select 'Ann', 'No ' || n, 'ann' || n || '@bench.example' from generate_series(1, %s) n"""
_LINKS = """insert into crm_sync.link (connection, object, their_object, our_id, their_id, state, dirty, seen_stamp)
  select %s, 'contact', 'Contact', id, '003' || lpad(row_number() over ()::text, 15, '0'), 'live', true, now() from gptweb.contacts"""
# Their names come after the one that is asked for by its pages.
_OTHERS = """insert into crm_sync.connection (name, vendor, settings, provisioned_at)
  select 'team_' || lpad(n::text, 2, '0'), 'salesforce', '{}', now() from generate_series(1, %s) n"""
_OTHER_RUNS = """insert into crm_sync.run (connection, kind, state, started_at, ended_at, planned, acknowledged, parked, superseded,
    in_doubt, conflicts)
  select c.name, 'sync', 'succeeded', now() - (288 - n) * interval '5 minutes', now(), 50, 50, 0, 0, 0, 1
  from crm_sync.connection c cross join generate_series(1, 288) n where c.name <> %s"""
_OTHER_CALLS = """insert into crm_sync.spending (connection, lane, purpose, booked_at, run_id)
  select r.connection, 'sync', 'sync', r.started_at, r.run_id from crm_sync.run r cross join generate_series(1, 4)
  where r.connection <> %s"""
_OTHER_PARKED = """insert into crm_sync.parked (connection, object, our_id, side, field, value, cause, code, remedy)
  select c.name, 'contact', gen_random_uuid(), 'theirs', 'email', '"not an address"', 'Salesforce refused the value',
    'INVALID_EMAIL_ADDRESS', 'Correct the address' from crm_sync.connection c cross join generate_series(1, 200) where c.name <> %s"""
# Each run of the past has its share; the one under way has the last hundredth.
_CHANGES = """insert into crm_sync.change (run_id, connection, object, link_id, our_id, their_id, side, op, before, after, base, rules,
    conflicts)
  select case when n > %(changes)s * 0.99 then %(runs)s else 1 + n %% (%(runs)s - 1) end, %(name)s, 'contact', l.link_id, l.our_id,
    l.their_id, case when n %% 2 = 0 then 'ours' else 'theirs' end, 'update', '{"title": "Clerk"}', '{"title": "Head"}',
    '{"title": "Clerk"}', '{"title": "only_theirs_changed"}', case when n %% 50 = 0 then array['title'] else '{}' end
  from generate_series(1, %(changes)s) n
  cross join lateral (select * from crm_sync.link l where l.link_id = 1 + n %% %(parked)s offset 0) l"""
_OUTCOMES = """insert into crm_sync.outcome (change_id, run_id, outcome, fields, their_id)
  select change_id, run_id, 'acknowledged', '{title}', their_id from crm_sync.change"""
_PARKED = """insert into crm_sync.parked (connection, object, link_id, our_id, their_id, side, field, value, cause, code, remedy, run_id)
  select %(name)s, 'contact', link_id, our_id, their_id, 'theirs', 'email', '"not an address"', 'Salesforce refused the value',
    'INVALID_EMAIL_ADDRESS', 'Correct the address', 1 from crm_sync.link limit %(parked)s"""
_DECISIONS = """insert into crm_sync.decision (run_id, connection, object, our_id, their_id, side, field, before, after, base, rule,
    outcome, detail)
  select 1 + row_number() over () %% %(runs)s, %(name)s, 'contact', our_id, their_id, 'ours', 'title', '"Clerk"', '"Head"', '"Clerk"',
    'most_recent', 'overruled', 'theirs was newer' from crm_sync.link limit %(parked)s"""
