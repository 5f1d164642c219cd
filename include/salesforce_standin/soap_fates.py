"""SOAP's calls that REST has no resource for: undelete, the end of the recycle bin, merge, lead conversion, passwords."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from salesforce_standin import lifecycle, soap_records, user_passwords, xml_text
from salesforce_standin.soap_request import Request, attempt, each, id_of


def _undelete(request: Request) -> str:
    return each(request, lambda id18: _nothing(lifecycle.undelete(request.org, request.rest.user_id, [id18])))


def _empty_recycle_bin(request: Request) -> str:
    return each(request, lambda id18: lifecycle.purge(request.org, id18))


def _nothing(_result: object) -> None:
    return


def _merge(request: Request) -> str:
    return "".join(
        f"<result>{attempt(request, lambda one=one: _merged(request, one))}</result>"  # type: ignore[misc]
        for one in request.element
        # The WSDL says "request"; jsforce writes "mergeRequests", and the platform takes it.
        if xml_text.local(one.tag) in {"request", "mergeRequests"}
    )


def _merged(request: Request, element: Element) -> str:
    master = xml_text.child(element, "masterRecord")
    values = {} if master is None else soap_records.read(master)
    losers = [id_of(one) for one in xml_text.texts(element, "recordToMergeIds")]
    kept = {name: value for name, value in values.items() if name not in {"attributes", "id"}}
    id18 = lifecycle.merge(request.org, request.rest.user_id, id_of(str(values.get("id", ""))), losers, kept)
    return xml_text.elements({"id": id18, "mergedRecordIds": losers, "success": True})


def _convert(request: Request) -> str:
    return "".join(
        f"<result>{attempt(request, lambda one=one: _converted(request, one))}</result>"  # type: ignore[misc]
        for one in request.element
        if xml_text.local(one.tag) == "leadConverts"
    )


def _converted(request: Request, element: Element) -> str:
    options = {name: xml_text.text(element, name) for name in ("accountId", "contactId", "convertedStatus")}
    lead_id = id_of(xml_text.text(element, "leadId"))
    made = lifecycle.convert(request.org, request.rest.user_id, lead_id, options)
    head = xml_text.elements(
        {"accountId": made["accountId"], "contactId": made["contactId"], "leadId": lead_id}
    )
    return f'{head}<opportunityId xsi:nil="true"/><success>true</success>'


def _set_password(request: Request) -> str:
    call = request.inner(body={"NewPassword": request.text("password")})
    user_passwords.change(request.org, call, request.text("userId"))
    return "<result/>"


def _reset_password(request: Request) -> str:
    body = user_passwords.reset(request.org, request.inner(), request.text("userId")).body
    return xml_text.spell("result", {"password": body["NewPassword"]})


CALLS: dict[str, Callable[[Request], str]] = {
    "convertLead": _convert,
    "emptyRecycleBin": _empty_recycle_bin,
    "merge": _merge,
    "resetPassword": _reset_password,
    "setPassword": _set_password,
    "undelete": _undelete,
}
