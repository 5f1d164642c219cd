"""The query resources: /query, /queryAll and the pages that follow the first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from salesforce_standin import list_views, query_columns, query_plan
from salesforce_standin.cursors import Cursor
from salesforce_standin.errors import fail
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.soql.evaluate import Reader, Result
from salesforce_standin.soql.parser import parse
from salesforce_standin.soql.tree import Column, FieldsOf, Query

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_BATCH = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
_MOST = 2000


def query(org: Org, call: Call) -> Reply:
    """Run a query and answer its first page."""
    return _run(org, call, deleted=False)


def query_all(org: Org, call: Call) -> Reply:
    """Run a query over deleted rows too."""
    return _run(org, call, deleted=True)


def _run(org: Org, call: Call, *, deleted: bool) -> Reply:
    text = call.query.get("q", call.query.get("explain"))
    if text is None:
        raise fail(400, "MALFORMED_QUERY", "A query string has to be specified")
    if not text.strip():
        raise fail(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    if len(text) > 100_000:
        raise fail(400, "QUERY_TOO_COMPLICATED", "SOQL statements cannot exceed 100000 characters.")
    if "q" not in call.query:
        tree = list_views.query_of(org, call.user_id, text) or parse(text)
        return Reply(body=query_plan.explain(org, call.user_id, tree, tooling=call.tooling))
    tree = parse(text)
    if call.query.get("columns", "").lower() == "true":
        return Reply(body=query_columns.describe(org, call.user_id, tree, tooling=call.tooling))
    reader = Reader(
        org, call.user_id, call.root + ("/tooling" if call.tooling else ""), deleted, call.tooling
    )
    result = reader.run(tree)
    if call.tooling:
        _one_row_of_metadata(tree, result)
    cursor = Cursor(result, call.user_id, org.clock.now(), _batch_size(call))
    if len(result.rows) > cursor.size:
        return Reply(body=_page(call, org.cursors.add(cursor, text, reader), cursor, 0))
    return Reply(body=_page(call, "", cursor, 0))


def more(org: Org, call: Call, locator: str, start: str) -> Reply:
    """Answer a further page."""
    cursor = org.cursors.find(locator)
    if cursor is None or int(start) >= cursor.result.total:
        raise fail(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    if cursor.user_id != call.user_id:
        raise fail(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return Reply(body=_page(call, locator, cursor, int(start)))


def no_locator(_org: Org, _call: Call, _locator: str) -> Reply:
    """Refuse what is no locator at all."""
    raise fail(400, "INVALID_QUERY_LOCATOR", "invalid query locator")


def _page(call: Call, locator: str, cursor: Cursor, start: int) -> dict[str, Any]:
    result = cursor.result
    end = start + cursor.size
    show = result.show
    records = [show(row) for row in result.rows[start:end] if row]
    page: dict[str, Any] = {"totalSize": result.total, "done": end >= len(result.rows)}
    if not page["done"]:
        page["nextRecordsUrl"] = f"{call.root}{'/tooling' if call.tooling else ''}/query/{locator}-{end}"
    if call.tooling:  # in the order of CumulusCI's cassettes, which name no type where nothing was found
        kind = result.entity if records else None
        page = {"size": len(records), **page, "queryLocator": None, "entityTypeName": kind}
    page["records"] = records
    return page


def _batch_size(call: Call) -> int:
    found = _BATCH.search(call.headers.get("sforce-query-options", ""))
    return min(max(int(found.group(1)), 200), _MOST) if found else _MOST


def _one_row_of_metadata(tree: Query, result: Result) -> None:
    """Refuse Metadata and FullName of several rows at once, as the Tooling API does."""
    names = {str(item.path).lower() for item in tree.select if isinstance(item, Column)}
    if (
        names & {"metadata", "fullname"} or any(isinstance(i, FieldsOf) for i in tree.select)
    ) and result.total > 1:
        raise fail(
            400,
            "MALFORMED_QUERY",
            "When retrieving results with Metadata or FullName fields, the query qualifications must specify no more"
            f" than one row for retrieval. Result size: {result.total}",
        )
