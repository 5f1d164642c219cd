"""Promise 8 as a property: whatever is left out, repeated or cut off on the way, a read either brings all its rows or never ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sync.access.reply import Reply
from crm_sync.access.transport import Download
from crm_sync.errors import IncompleteRead, SyncError
from crm_sync.model import ChangedSince
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.stores.wire import MAPPINGS, whole

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MANY = 2_000
"""Rows from which on pages of 200 are dearer than a job."""
TEXTS = ("plain", 'a "b", c', "two\nlines", "#N/A", "é 😀", "")


def record(n: int, title: str) -> dict[str, Any]:
    return whole(Id=f"003{n:015d}", Title=title or None)


@dataclass
class Torn:
    """An org that announces its rows rightly, and of which something gets lost on the way.

    ``part``: where; ``lost``: how many rows or characters of it, from ``place`` on; ``how``: rows, characters, or a part twice.
    """

    count: int
    titles: list[str]
    size: int
    part: int = -1
    place: int = 0
    lost: int = 0
    how: str = "rows"
    connection: str = "salesforce_main"

    def rows(self, first: int, last: int, part: int) -> list[dict[str, Any]]:
        found = [record(n, self.titles[n % len(self.titles)]) for n in range(first, last)]
        if part == self.part and self.how == "rows":
            del found[self.place : self.place + self.lost]
        if part == self.part and self.how == "twice":
            found += found[-self.lost :]
        return found

    def call(self, method: str, path: str, **_: Any) -> Reply:
        return Reply(200, {}, self._body(method, path), NOON, NOON, timedelta(seconds=1))

    def _body(self, method: str, path: str) -> Any:
        if method == "POST" and path.endswith("/composite"):
            return {
                "compositeResponse": [{"referenceId": "r0", "httpStatusCode": 200, "body": self._page(0)}]
            }
        if "/jobs/query" in path:
            return {
                "id": "750",
                "state": "JobComplete",
                "numberRecordsProcessed": self.count,
                "createdDate": NOON.isoformat(),
            }
        return self._page(int(path.rpartition("-")[2]))

    def _page(self, first: int) -> dict[str, Any]:
        last = min(first + self.size, self.count)
        more = {"nextRecordsUrl": f"/services/data/v66.0/query/01g-{last}"} if last < self.count else {}
        return {
            "totalSize": self.count,
            "done": not more,
            "records": self.rows(first, last, first // self.size),
            **more,
        }

    @contextmanager
    def download(self, path: str, *, params: Mapping[str, str], purpose: str) -> Iterator[Download]:
        first = int(params.get("locator", "0"))
        last = min(first + self.size, self.count)
        out = io.StringIO()
        rows = self.rows(first, last, first // self.size)
        names = [name for name in record(0, "") if name != "attributes"]
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([[self._cell(row[name]) for name in names] for row in rows])
        text = out.getvalue()
        if first // self.size == self.part and self.how == "characters":
            text = text[: max(0, len(text) - self.lost)]
        locator = str(last) if last < self.count else "null"
        announced = {"Sforce-NumberOfRecords": str(last - first), "Sforce-Locator": locator}
        yield Download(announced, iter(text.splitlines(keepends=True)))

    @staticmethod
    def _cell(value: Any) -> str:
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def read(org: Torn) -> tuple[list[str], bool, SyncError | None]:
    """The ids that came, whether the read was closed, and the error that ended it."""
    came: list[str] = []
    closed = False
    store = SalesforceStore(org, MAPPINGS, lambda: "005", result_size=org.size, sleep=lambda _: None)
    try:
        for page in store.read([ChangedSince("contact")]):
            came += [image.id for image in page.images]
            closed |= page.last
    except SyncError as error:
        return came, closed, error
    return came, closed, None


@pytest.mark.parametrize("count", [7, MANY], ids=["pages", "a query job"])
@pytest.mark.parametrize("how", ["rows", "twice", "characters"])
@settings(max_examples=30)
@given(data=st.data())
def test_a_read_brings_all_its_rows_or_never_ends(count: int, how: str, data: st.DataObject) -> None:
    size = 200 if count == MANY else data.draw(st.integers(1, 8))
    titles = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3))
    part = data.draw(st.integers(-1, (count - 1) // size))
    held = min(size, count - part * size)
    place = data.draw(st.integers(0, max(0, held - 1)))
    lost = data.draw(st.integers(1, 400 if how == "characters" else max(1, held - place)))
    came, closed, error = read(Torn(count, titles, size, part, place, lost, how))
    whole_read = sorted(came) == [record(n, "")["Id"] for n in range(count)]
    assert closed is (error is None)
    assert whole_read or error is not None, "what is missing is an error, and the cursor stays"
    if part == -1:
        assert (whole_read, error) == (True, None), "nothing is missing, so nothing is an error"
    elif how != "characters":
        assert isinstance(error, IncompleteRead)
