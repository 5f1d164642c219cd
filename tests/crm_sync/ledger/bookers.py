"""A process that starts bookers: each is a process of its own that books calls and sends them, or dies on the way.

One line of JSON in: ``url``, ``other`` (the second clock's time) and ``bookers``, each with ``calls`` and ``dies``
("": never, "booking": inside the transaction of its last call, "booked": between its booking and its sending).  One line
out when all are gone.  The database's clock is what the table ``test.clock`` says, so that a test can step it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from datetime import datetime

from crm_sync.errors import BudgetExhausted, Misconfigured
from crm_sync.ledger.database import Database, Transaction
from crm_sync.ledger.spending import LedgerMeter

NAME = "salesforce_main"
READ_CLOCK = "select database_at from test.clock"
SEND = "insert into test.sent (true_at) select true_at from test.clock"


def book(url: str, other: datetime, calls: int, dies: str) -> None:
    """One booker's life."""
    left = iter(range(calls, 0, -1))
    database = Database(url)
    meter = LedgerMeter(
        database, NAME, None, "agent", clock=lambda tx: _clock(tx, left, dies), worker_clock=lambda: other
    )
    for n in range(calls):
        try:
            meter.book("test")
        except (BudgetExhausted, Misconfigured):
            return
        if dies == "booked" and n == calls - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        with database.transaction() as tx:
            tx.run(SEND)


def _clock(tx: Transaction, left: Iterator[int], dies: str) -> datetime:
    """Read under the connection's lock."""
    if next(left) == 1 and dies == "booking":
        os.kill(os.getpid(), signal.SIGKILL)
    now: datetime = tx.one(READ_CLOCK)
    return now


def main() -> None:
    """Start bookers until there is no more input."""
    for line in sys.stdin:
        asked = json.loads(line)
        children = []
        for booker in asked["bookers"]:
            child = os.fork()
            if child == 0:
                book(asked["url"], datetime.fromisoformat(asked["other"]), **booker)
                os._exit(0)
            children.append(child)
        ends = [os.waitpid(child, 0)[1] for child in children]
        print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main()
