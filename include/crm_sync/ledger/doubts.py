"""How the doubt about a write without an answer ends: a read found it written, or it can no longer arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_sync.decide.merge import KEY
from crm_sync.decide.observe import Closed
from crm_sync.ledger import intents
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.trail import Line, note, outcomes
from crm_sync.model import Intent, Link

__all__ = ["close"]


def close(
    tx: Transaction, run_id: int, connection: str, object: str, closed: Sequence[Closed], owners: Mapping[int, Link]
) -> None:  # fmt: skip
    """Each doubt ends with a line of its own; a reply that was lost also names the window in which an edit may be.

    Also while the lease still runs: whether its holder waits for the reply or is dead, nobody knows.
    """
    if not closed:
        return
    intents.settle(tx, closed)
    outcomes(tx, run_id, [
        (c.intent.change_id, "acknowledged", c.landed, None, "its answer was lost; a later read found it written")
        for c in closed if c.landed
    ] + [
        (c.intent.change_id, "superseded", tuple(f for f in c.intent.values if f not in c.intent.settled), None,
         "it never arrived; what is still wanted is planned again")
        for c in closed if c.expired
    ])  # fmt: skip
    note(tx, run_id, connection, object, [
        Line("reply_lost", "unseen_window", our_id=owners[c.intent.link_id].our_id,
             their_id=owners[c.intent.link_id].their_id, side="theirs", field=column, before=..., detail=_window(c.intent),
             after=c.intent.values[column])
        for c in closed if not c.intent.creates
        for column in c.landed if column != KEY
    ])  # fmt: skip


def _window(intent: Intent) -> str:
    since = f"{intent.read_at:%Y-%m-%d %H:%M:%S}" if intent.read_at else "the last read"
    return (
        f"reply lost: a value typed between {since} (last read) and {intent.sent_at:%Y-%m-%d %H:%M:%S} UTC (write) may "
        "have been overwritten unseen; field history tracking, if on, shows it"
    )
