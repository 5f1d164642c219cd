"""Writing by ingest jobs of Bulk API 2.0 (facts/salesforce.md 5.1): creates by upsert on our key, updates by Id.

Each row carries our marker, the id of its intent, and every kind of result gives the row's own cells back: so a result is
matched by the marker, whatever the order.  No assignment rule is named, so none runs.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
from tempfile import TemporaryFile
from typing import IO, Any, Literal

from crm_sync.access.refusals import row_failures
from crm_sync.access.replies import call_error
from crm_sync.decide.volume import RETRIEVED
from crm_sync.errors import IncompleteRead
from crm_sync.model import Failure, Image, Row, Write, Written
from crm_sync.ports import Sheet
from crm_sync.stores.salesforce_bulk import Job, job_of, rows_of, wait_for
from crm_sync.stores.salesforce_composite import SUBREQUESTS, Composite, SubRequest
from crm_sync.stores.salesforce_csv import CLEAR, cell
from crm_sync.stores.salesforce_records import Records

__all__ = ["IngestJobs"]

FULL = 80_000_000
"""Bytes at which a sheet takes no more chunks; a job takes 100 MB (facts/salesforce.md 5.3)."""
RESULTS = {"successful": "successfulResults", "failed": "failedResults", "unprocessed": "unprocessedrecords"}
NEXT_ERROR = re.compile(r"(?<=--);(?=[A-Z_]+:)")
NOT_REACHED = Failure(
    "transient", "UNPROCESSED", "the bulk job ended before it came to this row", (), "It is sent again."
)


class CsvSheet:
    """Rows for one job as CSV in a file without a name; the columns of a row that it lacks stay empty and so untouched."""

    def __init__(self, file: IO[bytes], records: Records, columns: Sequence[str], *, creates: bool) -> None:
        self.file = file
        self.columns = tuple(columns)
        self._record = records.create if creates else records.update
        mapping = records.mapping
        names = [] if creates else ["Id"]
        names += [mapping.key.theirs, mapping.marker.theirs, *(mapping.by_ours[c].theirs for c in columns)]
        owner = {name: id for name, id in records.owner.items() if creates and name not in names}
        names += owner
        self.tail = tuple(owner.values())
        self._names = names
        self._text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(names)

    @property
    def full(self) -> bool:
        """Whether a job should not take more."""
        return self.file.tell() >= FULL

    def add(self, writes: Sequence[Write]) -> None:
        """Append rows."""
        names = self._names
        for write in writes:
            record: dict[str, Any] = self._record(write)
            if "id" in record:
                record["Id"] = record.pop("id")
            cells = [record.get(name, "") for name in names]
            self._writer.writerow([c if c.__class__ is str else cell(c) for c in cells])
        self._text.flush()

    def paste(self, csv: Sequence[bytes]) -> None:
        """Append creates that are CSV already."""
        self.file.writelines(csv)


@dataclass(frozen=True, slots=True)
class CsvResult:
    """One row of a result."""

    records: Records
    marker: str
    kind: str
    id: str
    created: bool
    error: str

    @property
    def made(self) -> str | None:
        """The id of the record that it made new."""
        return self.id or None if self.created and self.kind == "successful" else None

    def answer(self, write: Write, done_by: datetime) -> Written:
        """The same as an answer to the Write that the row was made from."""
        if self.kind == "successful":
            return Written(write.our_id, self.id or write.id, created=self.created, done_by=done_by)
        if self.kind == "unprocessed":
            return Written(write.our_id, write.id, failures=(NOT_REACHED,))
        errors = list(map(_error, NEXT_ERROR.split(self.error)))
        return Written(write.our_id, write.id, failures=row_failures(errors, self.records.mapping, write))


class IngestJobs:
    """The Jobs Protocol over one object of one org."""

    reserved = CLEAR

    def __init__(self, composite: Composite, records: Records, sleep: Callable[[float], None]) -> None:
        self._composite = composite
        self._records = records
        self._sleep = sleep
        self._address = f"{composite.base}/jobs/ingest"
        self._purpose = f"{composite.purpose} {records.mapping.object}"

    def takes(self, values: Row) -> bool:
        """Whether no text of these reads as what clears a field."""
        texts = [v for v in values.values() if v.__class__ is str and CLEAR in v]
        return not any(str(text).strip() == CLEAR for text in texts)

    @contextmanager
    def sheet(self, columns: Sequence[str], *, creates: bool) -> Iterator[CsvSheet]:
        """An empty sheet, gone on leaving."""
        with TemporaryFile("w+b") as file:
            yield CsvSheet(file, self._records, columns, creates=creates)

    def shown(self, ids: Sequence[str]) -> Iterator[tuple[datetime, list[Image]]]:
        """What these records hold now, by retrieves, five a call."""
        records, what = self._records, f"looking at {self._records.mapping.theirs} before a bulk job"
        url = f"{self._composite.base}/composite/sobjects/{records.mapping.theirs}"
        parts = [ids[first : first + RETRIEVED] for first in range(0, len(ids), RETRIEVED)]
        for first in range(0, len(parts), SUBREQUESTS):
            asked = parts[first : first + SUBREQUESTS]
            requests = [SubRequest("POST", url, records.retrieve(part)) for part in asked]
            reply, answers = self._composite.send(requests, writes=False, about=records.mapping.object)
            answers.reverse()
            for part in asked:
                answer = answers.pop()  # each is let go once it is read: five are some 40 MB of JSON
                if answer.failed:
                    connection = self._composite.transport.connection
                    raise call_error(
                        answer.status, answer.body, writes=False, what=what, connection=connection
                    )
                if not isinstance(answer.body, list) or len(answer.body) != len(part):
                    raise self._composite.garbled(f"{what}: an answer does not fit its rows", writes=False)
                yield reply.server_date - reply.took, [records.image(r) for r in answer.body if r]

    def open(self, *, creates: bool) -> str:
        """Open a job and return its id."""
        mapping = self._records.mapping
        body = {"object": mapping.theirs, "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
        if creates:
            body |= {"operation": "upsert", "externalIdFieldName": mapping.key.theirs}
        return self._job(self._call("POST", self._address, body)).id

    def fill(self, job: str, sheet: Sheet) -> None:
        """Hand it its data."""
        if not isinstance(sheet, CsvSheet):
            raise TypeError("the sheet is none of these jobs'")
        self._composite.transport.call(
            "PUT", f"{self._address}/{job}/batches", csv=sheet.file, purpose=self._purpose, writes=True
        )

    def begin(self, job: str) -> None:
        """Let it work."""
        self._call("PATCH", f"{self._address}/{job}", {"state": "UploadComplete"})

    def abort(self, job: str) -> None:
        """End it."""
        self._call("PATCH", f"{self._address}/{job}", {"state": "Aborted"})

    def look(self, job: str) -> Job:
        """How it is."""
        return self._job(
            self._composite.transport.call("GET", f"{self._address}/{job}", purpose=self._purpose)
        )

    def wait(self, job: str, rows: int, patience: float, since: float = 0) -> Job:
        """Look until it has ended, for ``patience`` seconds at most."""
        return wait_for(lambda: self.look(job), rows, self._sleep, patience, since)

    def results(self, job: str, kind: Literal["successful", "failed", "unprocessed"]) -> Iterator[CsvResult]:
        """Its rows of one kind as they arrive."""
        path = f"{self._address}/{job}/{RESULTS[kind]}"
        with rows_of(self._composite, path, self._records.mapping.object, {}) as (_, names, rows):
            places = {name.lower(): place for place, name in enumerate(names)}
            marker = places.get(self._records.mapping.marker.theirs.lower())
            id, created, error = (places.get(f"sf__{name}") for name in ("id", "created", "error"))
            for row in rows:
                if marker is None:
                    raise IncompleteRead(
                        f"{path}: the rows came without our marker; they are asked for again"
                    )
                yield CsvResult(
                    self._records, row[marker], kind, "" if id is None else row[id],
                    created is not None and row[created] == "true", "" if error is None else row[error],
                )  # fmt: skip

    def _call(self, method: str, path: str, body: object) -> Any:
        return self._composite.transport.call(method, path, json=body, purpose=self._purpose, writes=True)

    def _job(self, reply: Any) -> Job:
        return job_of(reply, f"a bulk job of {self._records.mapping.theirs}")


def _error(text: str) -> dict[str, object]:
    """``CODE:message:Field --`` as the error of a collection's row."""
    code, _, rest = text.partition(":")
    message, _, fields = rest.rpartition(":")
    return {
        "statusCode": code,
        "message": message or rest,
        "fields": [f for f in fields.split() if f != "--"],
    }
