"""List views: those that every org begins with, each a query that the API describes and runs (REST:list-view-describe)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.errors import ApiError, fail, not_found
from salesforce_standin.fields import Field
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import Access
from salesforce_standin.rows import access_to
from salesforce_standin.soql.binding import Scope
from salesforce_standin.soql.evaluate import Reader
from salesforce_standin.soql.parser import parse
from salesforce_standin.soql.tokens import Source
from salesforce_standin.soql.tree import Path, Query

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_OBJECT = "ListView"
_PREFIX = "00B"
_USUAL, _MOST = 25, 2000
_SHOWN = {
    "Account": ("Name", "Site", "BillingState", "Phone", "Type", "Owner.Alias"),
    "Contact": ("Name", "Account.Name", "Title", "Phone", "Email", "Owner.Alias"),
    "Lead": ("Name", "Title", "Company", "Phone", "Email", "Status", "Owner.Alias"),
}
# Every list has these, though nobody sees them.
_HIDDEN = ("Id", "CreatedDate", "LastModifiedDate", "SystemModstamp")
# What a heading offers to sort by, up and down.
_SORTED = {"picklist": ("Low to High", "High to Low"), "phone": ("9-0", "0-9")}
_OPERATORS = {"=": "equals"}


@dataclass(frozen=True, slots=True)
class View:
    """One list view: which records, by ``scope``, and a condition on one field."""

    id: str
    kind: str
    name: str
    label: str
    scope: str | None = None
    where: tuple[str, str, str] | None = None


def _views() -> dict[str, View]:
    found: dict[str, View] = {}

    def add(kind: str, name: str, label: str, **more: Any) -> None:
        id18 = ids.to18(f"{_PREFIX}5g0{ids.base62(62**5 + len(found), 9)}")
        found[id18] = View(id18, kind, name, label, **more)

    for kind in ("Account", "Contact"):
        add(kind, f"All{kind}s", f"All {kind}s")
        add(kind, f"My{kind}s", f"My {kind}s", scope="mine")
        add(kind, f"NewThisWeek{kind}s", "New This Week", where=("CreatedDate", "=", "THIS_WEEK"))
    add("Lead", "AllOpenLeads", "All Open Leads", where=("IsConverted", "=", "false"))
    add("Lead", "MyLeads", "My Leads", scope="mine")
    add("Lead", "TodaysLeads", "Today's Leads", where=("CreatedDate", "=", "TODAY"))
    return found


_VIEWS = _views()


def define(org: Org) -> None:
    """Fill the object ListView."""
    table = org.tables[_OBJECT]
    for view in _VIEWS.values():
        row = {
            "Id": view.id,
            "Name": view.label,
            "DeveloperName": view.name,
            "SobjectType": view.kind,
            "IsSoqlCompatible": True,
        }
        table.put(view.id, row)


def listing(org: Org, call: Call, kind: str) -> Reply:
    """List the list views of an object; also those that were seen last, of which nothing is noted here."""
    name = access_to(org, call, kind).sobject.name
    shown = [_brief(call, view) for view in _VIEWS.values() if view.kind == name]
    return Reply(
        body={
            "done": True,
            "listviews": shown,
            "nextRecordsUrl": None,
            "size": len(shown),
            "sobjectType": name,
        }
    )


def show(org: Org, call: Call, kind: str, id_text: str) -> Reply:
    """Say what a list view is called."""
    access_to(org, call, kind)
    return Reply(body=_brief(call, _find(id_text, kind)))


def describe(org: Org, call: Call, kind: str, id_text: str) -> Reply:
    """Describe a list view: its columns, its order and its query."""
    view = _find(id_text, kind)
    fields = _fields(org, call.user_id, view)
    order = [
        {"fieldNameOrPath": name, "nullsPosition": "first", "sortDirection": "ascending"}
        for name in ("Name", "Id")
    ]
    where: dict[str, Any] = {"conditions": [], "conjunction": "and"}
    if view.where is not None:
        field, sign, value = view.where
        where = {"field": field, "operator": _OPERATORS[sign], "values": [value]}
    return Reply(
        body={
            "columns": [_column(path, field) for path, field in fields.items()],
            "id": view.id[:15],
            "orderBy": order,
            "query": _soql(view, fields),
            "scope": view.scope,
            "sobjectType": view.kind,
            "whereCondition": where,
        }
    )


def results(org: Org, call: Call, kind: str, id_text: str) -> Reply:
    """Run a list view's query and show a page of what it finds."""
    view = _find(id_text, kind)
    most, first = _number(call, "limit", _USUAL), _number(call, "offset", 0)
    if not 1 <= most <= _MOST:
        raise fail(400, "INVALID_QUERY_VALUE", f"limit must be between 1 and {_MOST}")
    fields = _fields(org, call.user_id, view)
    found = Reader(org, call.user_id, call.root).run(parse(_soql(view, fields)))
    page = [found.show(row) for row in found.rows[first : first + most]]
    return Reply(
        body={
            "columns": [_column(path, field) for path, field in fields.items()],
            "developerName": view.name,
            "done": first + most >= found.total,
            "id": view.id[:15],
            "label": view.label,
            "records": [{"columns": [_cell(record, path) for path in fields]} for record in page],
            "size": found.total,
        }
    )


def query_of(org: Org, user_id: str, id_text: str) -> Query | None:
    """Return the query of a list view, if an id is one's: ``query?explain=`` takes it in the place of a query."""
    view = _VIEWS.get(ids.normalise(id_text) or "")
    return parse(_soql(view, _fields(org, user_id, view))) if view else None


def _find(id_text: str, kind: str) -> View:
    view = _VIEWS.get(ids.normalise(id_text) or "")
    if view is None or view.kind.lower() != kind.lower():
        raise not_found()
    return view


def _brief(call: Call, view: View) -> dict[str, Any]:
    url = f"{call.root}/sobjects/{view.kind}/listviews/{view.id}"
    return {
        "describeUrl": f"{url}/describe",
        "developerName": view.name,
        "id": view.id,
        "label": view.label,
        "resultsUrl": f"{url}/results",
        "soqlCompatible": True,
        "url": url,
    }


def _fields(org: Org, user_id: str, view: View) -> dict[str, Field]:
    """Return the fields of the columns that a user sees."""
    access: Access = org.access(user_id, view.kind)
    scope = Scope(org, user_id, Query((), view.kind, 0, source=Source(view.kind)), access)
    found = {}
    for path in (*_SHOWN[view.kind], *_HIDDEN):
        try:
            found[path] = scope.bind(Path(tuple(path.split(".")), 0)).field
        except ApiError:  # hidden from this user
            continue
    return found


def _soql(view: View, fields: dict[str, Field]) -> str:
    parts = [
        "SELECT",
        ", ".join(_selected(path, field).lower() for path, field in fields.items()),
        "FROM",
        view.kind,
    ]
    if view.scope:
        parts += ["USING SCOPE", view.scope]
    if view.where:
        parts += ["WHERE", *view.where]
    return " ".join([*parts, "ORDER BY Name ASC NULLS FIRST, Id ASC NULLS FIRST"])


def _selected(path: str, field: Field) -> str:
    return f"toLabel({path})" if field.type == "picklist" else path


def _column(path: str, field: Field) -> dict[str, Any]:
    hidden = path in _HIDDEN
    up, down = (None, None) if hidden else _SORTED.get(field.type, ("Z-A", "A-Z"))
    return {
        "ascendingLabel": up,
        "descendingLabel": down,
        "fieldNameOrPath": path,
        "hidden": hidden,
        "label": field.label,
        "selectListItem": _selected(path, field),
        "sortDirection": "ascending" if path == "Name" else None,
        "sortIndex": 0 if path == "Name" else None,
        "sortable": not hidden,
        "type": field.type,
    }


def _cell(record: dict[str, Any], path: str) -> dict[str, Any]:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if value else None
    if path.endswith(("Date", "Modstamp")) and value:
        value = f"{datetime.fromisoformat(value):%a %b %d %H:%M:%S GMT %Y}"
    return {"fieldNameOrPath": path, "value": None if value is None else str(value)}


def _number(call: Call, name: str, usual: int) -> int:
    text = call.query.get(name, str(usual))
    if not text.isdigit():
        raise fail(400, "INVALID_QUERY_VALUE", f'For input string: "{text}"')
    return int(text)
