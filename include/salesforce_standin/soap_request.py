"""A data call of SOAP: what came with it, and how outcomes are spelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from salesforce_standin import ids, soap_records, xml_text
from salesforce_standin.errors import Fault, RowError, fail
from salesforce_standin.http_call import Call

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_ROWS = 200


@dataclass(frozen=True, slots=True)
class Request:
    """A call of a user who is logged in; ``rest`` is what a request to the REST API would look like."""

    org: Org
    rest: Call
    element: Element
    headers: Mapping[str, Element]
    partner: bool

    def header(self, name: str, part: str) -> str:
        """Return a part of a SOAP header, empty if it is not there."""
        found = self.headers.get(name)
        return "" if found is None else xml_text.text(found, part)

    def text(self, name: str) -> str:
        """Return an argument."""
        return xml_text.text(self.element, name)

    def texts(self, name: str) -> list[str]:
        """Return every argument of a name; no call takes more than 200."""
        found = xml_text.texts(self.element, name)
        if len(found) > _ROWS:
            raise fail(
                400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {_ROWS} records"
            )
        return found

    def inner(self, **changes: Any) -> Call:
        """Return the request to the REST API."""
        duplicates = self.header("DuplicateRuleHeader", "allowSave")
        size = self.header("QueryOptions", "batchSize")
        headers = {
            "sforce-duplicate-rule-header": f"allowSave={duplicates}",
            "sforce-query-options": f"batchSize={size}",
        }
        return self.rest.inner(headers=headers, **changes)

    def records(self) -> dict[str, Any]:
        """Return the body of a request that writes records."""
        found = [soap_records.read(one) for one in self.element if xml_text.local(one.tag) == "sObjects"]
        whole = self.header("AllOrNoneHeader", "allOrNone") in {"true", "1"}
        return {"allOrNone": whole, "records": found}


def saved(items: list[dict[str, Any]]) -> str:
    """Spell outcomes, their parts in the order of the WSDL."""
    return "".join(
        "<result>"
        + xml_text.spell("created", item.get("created"))
        + xml_text.spell("errors", [_error(one) for one in item["errors"]])
        + (xml_text.spell("id", item["id"]) if item.get("id") else '<id xsi:nil="true"/>')
        + xml_text.spell("success", item["success"])
        + "</result>"
        for item in items
    )


def _error(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: error[name] for name in ("fields", "message", "statusCode")}


def each(request: Request, act: Callable[[str], None]) -> str:
    """Do something with every id; one that is refused leaves the others as they are."""
    items: list[dict[str, Any]] = []
    for given in request.texts("ids"):
        mark = request.org.work.mark()
        try:
            id18 = id_of(given)
            act(id18)
            items.append({"id": id18, "success": True, "errors": []})
        except RowError as refused:
            request.org.roll_back(mark)
            items.append({"success": False, "errors": [fault.as_item() for fault in refused.faults]})
    return saved(items)


def id_of(given: str) -> str:
    """Return the 18-character id."""
    id18 = ids.normalise(given)
    if id18 is None:
        raise RowError(Fault("MALFORMED_ID", f"malformed id {given}", ()))
    return id18


def attempt(request: Request, act: Callable[[], str]) -> str:
    """Do something, and spell how it went; what is refused leaves everything as it was."""
    mark = request.org.work.mark()
    try:
        return act()
    except RowError as refused:
        request.org.roll_back(mark)
        errors = [_error(fault.as_item()) for fault in refused.faults]
        return xml_text.elements({"errors": errors, "success": False})
