"""What goes into an array of Postgres comes out of it again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import LiteralString

import psycopg
import pytest

from crm_sync.ledger.database import Database

AWKWARD = ["", "a,b", '"', "\\", '\\"', "{x}", "NULL", "null", " ", "line\nend", "ü😀", "'"]
MOMENT = datetime(2026, 11, 22, 10, 0, 0, 123456, UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The ledger's own connection."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("select %s::text[]", AWKWARD),
        ("select %s::text[]", ["003A", "003B", ""]),
        ("select %s::text[]", ['a"', "b"]),
        ("select %s::text[]", ["a", None]),
        ("select %s::text[]", [None]),
        ("select %s::text[]", []),
        ("select %s::bigint[]", [0, -1, 2**62]),
        ("select %s::boolean[]", [True, False, None]),
        ("select %s::float[]", [0.5, -1e300]),
        ("select %s::bytea[]", [b"", b"\x00\x5c\x22"]),
        ("select %s::timestamptz[]", [MOMENT, MOMENT.astimezone(timezone(timedelta(hours=9))), None]),
    ],
)
def test_lists_come_back_as_they_were(database: Database, query: LiteralString, values: list[object]) -> None:
    with database.transaction() as tx:
        assert tx.one(query, (values,)) == values


def test_a_text_that_postgres_cannot_hold_is_refused_and_not_cut(database: Database) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"), database.transaction() as tx:
        tx.one("select %s::text[]", (["a\x00b"],))


def test_what_is_not_provided_for_is_refused(database: Database) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="array of list"), database.transaction() as tx:
        tx.one("select %s::int[]", ([[1], [2]],))
