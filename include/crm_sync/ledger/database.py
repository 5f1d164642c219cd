"""The one database: transactions on Postgres, JSON as orjson, and every failure to reach it as a clear message."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, LiteralString

import orjson
import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads

from crm_sync.errors import Misconfigured, RetryLater
from crm_sync.ledger.arrays import ArrayDumper

__all__ = ["OPTIONS", "Database", "Jsonb", "Transaction", "database_url"]

set_json_loads(orjson.loads)
set_json_dumps(orjson.dumps)

# Every statement starts from one chunk and reaches other tables by key.  A fresh run has no statistics, and a planner
# that expects one row meets thousands: without these it chose joins that took fifty times as long (hotpath.md 7).
OPTIONS = (
    "-c timezone=UTC -c client_encoding=UTF8 -c jit=off -c client_min_messages=warning "
    "-c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off"
)
STREAMED = 2_000
"""Rows that a stream holds at once."""
URL_VARIABLE = "CRM_SYNC_DATABASE_URL"


def database_url() -> str:
    """The address of the database from the environment; Misconfigured says what to set."""
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise Misconfigured(
            f"{URL_VARIABLE} is not set: give the address of GPTWeb's database, postgresql://…"
        )
    return url


class Transaction:
    """One transaction: parameters only, never values in the text of a statement."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self.connection = connection

    def run(self, query: LiteralString | sql.Composed, parameters: Any = None) -> int:
        """Execute a statement and return how many rows it touched."""
        return self.connection.execute(query, parameters).rowcount

    def rows(self, query: LiteralString | sql.Composed, parameters: Any = None) -> list[TupleRow]:
        """All rows of a statement whose result is one chunk at most."""
        return self.connection.execute(query, parameters).fetchall()

    def one(self, query: LiteralString | sql.Composed, parameters: Any = None) -> Any:
        """The first column of the first row, or None."""
        row = self.connection.execute(query, parameters).fetchone()
        return row[0] if row else None

    def stream(
        self, name: str, query: LiteralString | sql.Composed, parameters: Any = None
    ) -> Iterator[TupleRow]:
        """The rows of a statement over whole tables, some thousands at a time; ``name`` tells open streams apart."""
        with self.connection.cursor(name) as cursor:
            cursor.itersize = STREAMED
            self._plan_for_whole_tables("on")
            cursor.execute(query, parameters)
            self._plan_for_whole_tables("off")
            yield from cursor

    def _plan_for_whole_tables(self, switch: Literal["on", "off"]) -> None:
        """What ``OPTIONS`` takes from the planner for statements of one chunk, and more memory for sorting."""
        for setting in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan"):
            self.run("select set_config(%s, %s, true)", (setting, switch))
        self.run("select set_config('work_mem', %s, true)", ("64MB" if switch == "on" else "4MB",))
        self.run("select set_config('cursor_tuple_fraction', '1', true)")

    def copy(self, table: LiteralString, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """COPY rows in: the cheapest way into Postgres (hotpath.md 3)."""
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("copy {} ({}) from stdin").format(sql.SQL(table), names)
        with self.connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row(row)


class Database:
    """A connection to the database, opened on first use; each ``transaction`` commits on leaving or rolls back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._twins: list[Database] = []

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One transaction on this connection."""
        connection = self._open()
        try:
            with connection.transaction():
                yield Transaction(connection)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
            raise RetryLater(
                f"the database gave up a deadlock, the step is repeated: {error.diag.message_primary}"
            ) from error

    def now(self) -> datetime:
        """The database's clock: the one clock that all workers share."""
        with self.transaction() as tx:
            now: datetime = tx.one("select clock_timestamp()")
        return now

    def twins(self, count: int) -> list[Database]:
        """So many further connections to the same database, which are closed with this one."""
        self._twins.extend(Database(self._url) for _ in range(count - len(self._twins)))
        return self._twins[:count]

    def close(self) -> None:
        """Close the connection; the next transaction opens a new one."""
        for twin in self._twins:
            twin.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = psycopg.connect(
                    self._url, autocommit=True, prepare_threshold=None, connect_timeout=10,
                    options=OPTIONS,
                )  # fmt: skip
                self._connection.adapters.register_dumper(list, ArrayDumper)
            except psycopg.OperationalError as error:
                # The driver's words name host, port and user, never the password.
                words = str(error).strip().splitlines()[-1]
                raise RetryLater(
                    f"GPTWeb's database can't be reached ({words}); start it, or correct {URL_VARIABLE}"
                ) from None
        return self._connection
