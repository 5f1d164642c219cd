"""Housekeeping of the ledger: a month of the trail begins, old ones go, and work that is long done is cleared away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from crm_sync.ledger.database import Database
from crm_sync.ledger.seal import Seal, seal_connection

__all__ = ["Housekeeping", "keep_house"]

CHUNK = 10_000
DONE: dict[str, LiteralString] = {
    "closed intents": """delete from crm_sync.intent where intent_id = any(array(
      select i.intent_id from crm_sync.intent i where i.closed_at < clock_timestamp() - interval '35 days'
        and not exists (select 1 from crm_sync.link l where l.link_id = i.link_id and l.spelling_of = i.intent_id) and i.job_id is null
        limit %s))""",
    "lifted parked lines": """delete from crm_sync.parked where parked_id = any(array(
      select parked_id from crm_sync.parked where lifted_at < clock_timestamp() - interval '90 days' limit %s))""",
    "samples of reconciliations": """delete from crm_sync.reconciliation_sample where (run_id, object, cause, place) in (
      select s.run_id, s.object, s.cause, s.place from crm_sync.reconciliation_sample s
      join crm_sync.reconciliation r using (run_id) where r.at < clock_timestamp() - interval '90 days' limit %s)""",
    "query jobs that nobody took up": """delete from crm_sync.query_job where run_id = any(array(
      select run_id from crm_sync.query_job where began < clock_timestamp() - interval '7 days' limit %s))""",
    "alerts that were told": """delete from crm_sync.alert where alert_id = any(array(
      select alert_id from crm_sync.alert where closed_at < clock_timestamp() - interval '90 days' limit %s))""",
    "log-ins that nobody finished": """delete from crm_sync.authorization where state_digest = any(array(
      select state_digest from crm_sync.authorization where expires_at < clock_timestamp() - interval '1 day' limit %s))""",
}
"""Work state that nothing asks for any more, and after how long it goes; the trail has what it says."""


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """What was done.  ``months``: what became of months that are older than the trail is kept, in words."""

    month: int
    months: list[str]
    cleared: dict[str, int]
    seals: list[Seal]

    def lines(self) -> list[str]:
        """The report, a line each."""
        cleared = ", ".join(f"{count:,} {what}" for what, count in self.cleared.items() if count)
        return [
            f"month {self.month} of the audit trail is under way; the next two have their place",
            *self.months,
            f"cleared away: {cleared or 'nothing'}",
            *map(str, self.seals),
        ]


def keep_house(database: Database) -> Housekeeping:
    """Begin a month if one has begun, drop those past retention, seal what belongs to no run, clear away what is done."""
    with database.transaction() as tx:
        month = int(tx.one("select crm_sync.begin_month()"))
    with database.transaction() as tx:
        dropped = [row[0] for row in tx.rows("select crm_sync.drop_months()")]
        names = [row[0] for row in tx.rows("select name from crm_sync.connection order by 1")]
    seals = []
    for name in names:
        with database.transaction() as tx:
            seals.append(seal_connection(tx, name))
    cleared = {what: _clear(database, query) for what, query in DONE.items()}
    return Housekeeping(month, dropped, cleared, [seal for seal in seals if seal])


def _clear(database: Database, query: LiteralString) -> int:
    """Some thousands a transaction, so that nobody waits for long."""
    total = 0
    while True:
        with database.transaction() as tx:
            count = tx.run(query, (CHUNK,))
        total += count
        if count < CHUNK:
            return total
