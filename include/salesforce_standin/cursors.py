"""Query cursors: the rows of a query as they were when it ran, for as long as a client may ask for more of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from salesforce_standin.soql.evaluate import Reader, Result
from salesforce_standin.soql.parser import parse

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LIFETIME = 2 * 86_400
_PREFIX, _KEY_PREFIX = "cursor/", "01g"


@dataclass(slots=True)
class Cursor:
    """One query's rows, and how many of them make a page."""

    result: Result
    user_id: str
    born: float
    size: int


class Cursors:
    """The cursors of an org. Their rows' ids are stored, so that a restart ends none of them.

    After a restart a cursor shows the rows as they then are; one that is gone for good leaves its place empty.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._open: dict[str, Cursor] = {}
        for name in org.storage.names(_PREFIX):
            org.sequence.saw(name.removeprefix(_PREFIX))

    def add(self, cursor: Cursor, text: str, reader: Reader) -> str:
        """Keep a cursor and return its locator."""
        locator = self._org.sequence.next(_KEY_PREFIX)
        self._open[locator] = cursor
        if self._org.storage.lasting and cursor.result.entity in self._org.tables:
            document = {
                "query": text,
                "user_id": cursor.user_id,
                "root": reader.root,
                "deleted": reader.deleted,
                "tooling": reader.tooling,
                "born": cursor.born,
                "size": cursor.size,
                "ids": [row["Id"] for row in cursor.result.rows],
            }
            self._org.remember(_PREFIX + locator, document)
        return locator

    def find(self, locator: str) -> Cursor | None:
        """Return a cursor that may still be used."""
        cursor = self._open.get(locator) or self._reopened(locator)
        if cursor is None or self._org.clock.now() - cursor.born > _LIFETIME:
            return None
        return cursor

    def _reopened(self, locator: str) -> Cursor | None:
        kept: dict[str, Any] | None = self._org.storage.setting(_PREFIX + locator)
        if kept is None:
            return None
        reader = Reader(self._org, kept["user_id"], kept["root"], kept["deleted"], kept["tooling"])
        again = reader.run(parse(kept["query"]))
        table = self._org.tables[again.entity]
        rows = [table.rows.get(id18, {}) for id18 in kept["ids"]]
        result = Result(len(rows), rows, again.show, again.entity)
        cursor = self._open[locator] = Cursor(result, kept["user_id"], kept["born"], kept["size"])
        return cursor

    def forget_old(self) -> None:
        """Let go of cursors that nobody may use any more."""
        oldest = self._org.clock.now() - _LIFETIME
        stale = [locator for locator, cursor in self._open.items() if cursor.born < oldest]
        for locator in stale:
            del self._open[locator]
            self._org.remember(_PREFIX + locator, None)
        if stale:
            self._org.commit()
