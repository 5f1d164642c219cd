"""The ledger as a request reads it: one transaction that can't write, and gives up before a browser would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

from fastapi import Depends

from crm_sync.ledger.database import Database, Transaction, database_url

__all__ = ["Reading", "reading", "writing"]


@contextmanager
def writing() -> Iterator[Transaction]:
    """One transaction that commits on leaving."""
    with closing(Database(database_url())) as database, database.transaction() as tx:
        yield tx


def reading() -> Iterator[Transaction]:
    """One transaction for the whole request: what a page shows is of one moment."""
    with writing() as tx:
        tx.run("set transaction isolation level repeatable read, read only")
        tx.run("set local statement_timeout = '10s'")
        yield tx


Reading = Annotated[Transaction, Depends(reading)]
"""A parameter of this type gives a route the ledger."""
