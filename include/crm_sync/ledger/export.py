"""The audit trail as a file: CSV for people, Parquet for tools; by connection, record and period, in flat memory.

Values are JSON in both (``"Anna"``, ``12``, ``null`` for blank; nothing where a value was not known), so that absent, empty
and cleared stay three things.  In a CSV no text is taken for a formula: one that begins like it gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from io import RawIOBase, StringIO
from itertools import islice
from typing import IO, Any

from psycopg import sql

from crm_sync.ledger.database import Database

__all__ = ["COLUMNS", "Selection", "csv_pieces", "parquet_pieces", "rows", "write_csv", "write_parquet"]

COLUMNS = (
    "at", "run_id", "connection", "object", "our_id", "their_id", "side", "field", "before", "after", "base", "rule", "outcome",
    "detail", "who", "batch", "api_call_share", "change_id", "erased",
)  # fmt: skip
PIECE = 1 << 16
"""Characters of CSV that are handed on at once, about."""
GROUP = 20_000
"""Rows of a Parquet row group: what is held in memory at once."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|")
"""What spreadsheets take for the beginning of a formula or a command."""
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
TYPED = {
    "at": "timestamp",
    "run_id": "int64",
    "change_id": "int64",
    "api_call_share": "float32",
    "erased": "bool_",
}
JSON = ("before", "after", "base")


@dataclass(frozen=True, slots=True)
class Selection:
    """What of the trail is wanted: everything that is not None has to fit.  ``record``: our id or theirs."""

    connection: str | None = None
    record: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def rows(database: Database, selection: Selection) -> Iterator[tuple[Any, ...]]:
    """The lines selected, oldest first, a column each of ``COLUMNS``."""
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier(name))
        if name in (*JSON, "our_id")
        else sql.Identifier(name)
        for name in COLUMNS
    )
    with database.transaction() as tx:
        yield from tx.stream("trail", _SELECT.format(columns=columns), asdict(selection))


_SELECT = sql.SQL("""select {columns} from crm_sync.audit_trail
  where (%(connection)s::text is null or connection = %(connection)s)
    and (%(record)s::text is null or our_id::text = lower(%(record)s) or their_id = %(record)s)
    and (%(since)s::timestamptz is null or at >= %(since)s) and (%(until)s::timestamptz is null or at < %(until)s)
  order by at, change_id, field""")


def csv_pieces(lines: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Lines as CSV, a line of names first, in pieces of some kilobytes."""
    buffer = StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    yield _taken(buffer)
    for line in lines:
        writer.writerow([_cell(value) for value in line])
        if buffer.tell() >= PIECE:
            yield _taken(buffer)
    yield _taken(buffer)


def parquet_pieces(lines: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Lines as Parquet, compressed, a row group at a time."""
    import pyarrow as pa  # noqa: PLC0415  heavy, and for nothing else
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = {
        name: pa.timestamp("us", "UTC") if kind == "timestamp" else getattr(pa, kind)()
        for name, kind in TYPED.items()
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        rest = iter(lines)
        while group := list(islice(rest, GROUP)):
            columns = [
                pa.array(column, field.type)
                for column, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            yield sink.taken()
    yield sink.taken()


def write_csv(lines: Iterable[Sequence[Any]], file: IO[str]) -> int:
    """Write lines as CSV (UTF-8); returns how many."""
    counted = _Counted(lines)
    for piece in csv_pieces(counted):
        file.write(piece)
    return counted.count


def write_parquet(lines: Iterable[Sequence[Any]], file: IO[bytes]) -> int:
    """Write lines as Parquet; returns how many."""
    counted = _Counted(lines)
    for piece in parquet_pieces(counted):
        file.write(piece)
    return counted.count


class _Counted:
    def __init__(self, lines: Iterable[Sequence[Any]]) -> None:
        self._lines = lines
        self.count = 0

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for line in self._lines:
            self.count += 1
            yield line


class _Sink(RawIOBase):
    """A file that is taken away piece by piece while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()
        self._place = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def write(self, content: Any) -> int:
        self._written += content
        self._place += len(content)
        return len(content)

    def taken(self) -> bytes:
        piece = bytes(self._written)
        self._written.clear()
        return piece


def _taken(buffer: StringIO) -> str:
    piece = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return piece


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(FORMULA) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value
