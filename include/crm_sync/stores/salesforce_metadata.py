"""Salesforce's Metadata API: list, read, update and delete components, in SOAP by zeep over the metered session.

A component stays the XML tree that it came as: the API replaces it as a whole, so what we don't know must survive.
Facts: facts/salesforce.md 7.3; at most ten components a call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import zeep
from lxml import etree
from requests import Response
from zeep.exceptions import Fault, TransportError
from zeep.transports import Transport

from crm_sync.access.login import trusted_address
from crm_sync.access.replies import call_error
from crm_sync.errors import Misconfigured, RetryLater, SyncError, Unanswered
from crm_sync.stores.salesforce_schema_calls import Session

__all__ = ["MOST", "SPACE", "TYPE", "MetadataApi", "Result", "text_of"]

MOST = 10
SPACE = "{http://soap.sforce.com/2006/04/metadata}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_VERSION = "66.0"
_WSDL = Path(__file__).with_name("salesforce_metadata.wsdl")
_NAMES = {"met": SPACE[1:-1], "xsi": TYPE[1:-5], "xsd": "http://www.w3.org/2001/XMLSchema"}
_PREFIXES = {namespace: prefix for prefix, namespace in _NAMES.items()}
_FORBIDDEN = {"INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY"}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one component; no errors means done."""

    full_name: str
    errors: tuple[tuple[str, str], ...]


class MetadataApi:
    """The four calls; ``made`` counts them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._way = _Way(session)

    @property
    def made(self) -> int:
        """How many calls were made."""
        return self._way.made

    def names(self, type_: str) -> list[str]:
        """The full names of all components of a type, those that a managed package brought apart."""
        found = self._ask("listMetadata", queries=[{"type": type_}], asOfVersion=_VERSION)
        return [text_of(each, "fullName") for each in found if not _is_packaged(each)]

    def read(self, type_: str, full_names: Sequence[str]) -> dict[str, Any]:
        """Components by full name, each as its XML tree; one that is gone is not among them."""
        found: dict[str, Any] = {}
        for start in range(0, len(full_names), MOST):
            (result,) = self._ask(
                "readMetadata", type=type_, fullNames=list(full_names[start : start + MOST])
            )
            found |= {name: record for record in result if (name := text_of(record, "fullName"))}
        return found

    def update(self, components: Sequence[Any]) -> list[Result]:
        """Replace at most ten components by these trees, each for itself."""
        return self._results("updateMetadata", [_outgoing(component) for component in components])

    def delete(self, type_: str, full_names: Sequence[str]) -> list[Result]:
        """Delete at most ten components, each for itself."""
        return self._results("deleteMetadata", type=type_, fullNames=list(full_names))

    def _results(self, operation: str, *parts: Any, **named: Any) -> list[Result]:
        return [
            Result(text_of(each, "fullName"), tuple(_errors(each)))
            for each in self._ask(operation, *parts, writes=True, **named)
        ]

    def _ask(self, operation: str, *parts: Any, writes: bool = False, **named: Any) -> list[Any]:
        """One call; faults and lost replies become errors that say what to do."""
        call: Callable[..., Any] = getattr(self._service, operation)
        header = {"SessionHeader": {"sessionId": ""}}  # filled in where the message leaves
        what = f"Metadata {operation}"
        try:
            return call(*parts, **named, _soapheaders=header) or []
        except Fault as fault:
            raise self._error(fault, what, writes=writes) from None
        except Unanswered as error:
            raise (
                error if writes else RetryLater(f"{what}: no answer came; it is asked again later")
            ) from None
        except TransportError as error:
            lost = Unanswered if writes else RetryLater
            raise lost(f"{what}: the reply (HTTP {error.status_code}) is cut off or no XML") from None

    def _error(self, fault: Fault, what: str, *, writes: bool) -> SyncError:
        code = str(fault.code).rpartition(":")[2]
        message = str(fault.message).removeprefix(f"{code}: ")
        if code in _FORBIDDEN:
            return Misconfigured(
                f"{what}: Salesforce answered {code}: {message}. Grant 'Modify Metadata Through Metadata API Functions' "
                "or 'Modify All Data' to the integration user (Setup → Profiles → its profile → System Permissions), "
                "then run provisioning again; or leave page layouts alone with the setting layouts: false"
            )
        status = 500 if code == "UNKNOWN_EXCEPTION" else 400
        body = [{"errorCode": code, "message": message}]
        return call_error(status, body, writes=writes, what=what, connection=self._session.connection)

    @cached_property
    def _service(self) -> Any:
        client = zeep.Client(str(_WSDL), transport=self._way)
        for prefix, namespace in _NAMES.items():
            client.set_ns_prefix(prefix, namespace)
        address = trusted_address(self._session.login.token().instance_url)
        return client.create_service(f"{SPACE}MetadataBinding", f"{address}/services/Soap/m/{_VERSION}")


class _Way(Transport):
    """zeep's way out: through our session, with the token put in at the last moment and no message in any log."""

    def __init__(self, session: Session) -> None:  # the base would make and change a session
        self._session = session
        self._close_session = False
        self.logger = logging.getLogger(__name__)
        self.made = 0

    def post_xml(self, address: str, envelope: Any, headers: Mapping[str, str]) -> Response:
        """Send the message; a session that has run out is renewed once, which here no HTTP status tells."""
        session = self._session.login.token()
        response = self._post(address, envelope, headers, session.access_token)
        if response.status_code == 500 and b"INVALID_SESSION_ID" in response.content:
            token = self._session.login.renew(session).access_token
            response = self._post(address, envelope, headers, token)
        return response

    def _post(self, address: str, envelope: Any, headers: Mapping[str, str], token: str) -> Response:
        self.made += 1
        next(envelope.iter(f"{SPACE}sessionId")).text = token
        return self._session.post(address, etree.tostring(envelope, encoding="utf-8"), headers=headers)


def text_of(element: Any, name: str) -> str:
    """The text of a child element, blank if there is none."""
    return str(element.findtext(f"{SPACE}{name}") or "")


def _is_packaged(properties: Any) -> bool:
    return bool(text_of(properties, "namespacePrefix")) and text_of(properties, "manageableState").startswith(
        "installed"
    )


def _errors(result: Any) -> Iterator[tuple[str, str]]:
    for error in result.findall(f"{SPACE}errors"):
        yield text_of(error, "statusCode"), text_of(error, "message")
    if text_of(result, "success") != "true" and result.find(f"{SPACE}errors") is None:
        yield "UNKNOWN", "Salesforce refused it without a reason"


def _outgoing(component: Any) -> Any:
    """The tree as an update carries it; types are spelled with our prefixes, for the reply's are not in force there."""
    metadata = etree.Element(f"{SPACE}metadata", component.attrib)
    metadata.extend(deepcopy(list(component)))
    for element in (component, *metadata.iterdescendants("*")):
        if spelled := element.get(TYPE):
            prefix, _, name = spelled.rpartition(":")
            namespace = component.nsmap.get(prefix or None, SPACE[1:-1])
            target = metadata if element is component else element
            target.set(TYPE, f"{_PREFIXES[namespace]}:{name}")
    return metadata
