"""The envelope of the Metadata API's SOAP: who asks for what, and how a call is answered or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from salesforce_standin import xml_text
from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org

SPACE = "http://soap.sforce.com/2006/04/metadata"
_CONTENT_TYPE = "text/xml;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Request:
    """A SOAP request: who sends it, what it asks for."""

    token: str
    call: Element
    all_or_none: bool

    @property
    def name(self) -> str:
        """The name of the call."""
        return xml_text.local(self.call.tag)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and of which org."""

    org: Org
    user_id: str


def fault(code: str, message: str, prefix: str = "sf") -> ApiError:
    """Return a request that fails as a whole; clients look for the code in faultcode and in faultstring."""
    space = "" if prefix == "soapenv" else f' xmlns:sf="{SPACE}"'
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{xml_text.ENVELOPE}"{space}>'
        f"<soapenv:Body><soapenv:Fault><faultcode>{prefix}:{code}</faultcode><faultstring>"
        f"{'' if prefix == 'soapenv' else code + ': '}{escape(message)}</faultstring></soapenv:Fault></soapenv:Body>"
        "</soapenv:Envelope>"
    )
    return ApiError(500, body.encode(), {"Content-Type": _CONTENT_TYPE})


def unusable(message: str) -> ApiError:
    """Return the fault of what is no call of this API at all: it has no code and no detail."""
    return fault("Client", message, "soapenv")


def no_operation(call: Element) -> ApiError:
    """Return the reply to a call that the API doesn't have."""
    return unusable(f"No operation available for request {call.tag}, please check the WSDL for the service.")


def no_session(token: str) -> ApiError:
    """Return the reply to a session that is unknown or has run out."""
    text = (
        "Invalid Session ID found in SessionHeader: Illegal Session. Session not found, missing session key: "
    )
    return fault("INVALID_SESSION_ID", text + token[:15])


def over_limit() -> ApiError:
    """Return the reply once the day's calls are used up."""
    return fault("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def read(content: bytes) -> Request:
    """Read a request."""
    envelope = xml_text.read(content)
    body = None if envelope is None else xml_text.child(envelope, "Body")
    if envelope is None or body is None or not len(body):
        raise unusable("Unable to parse the request")
    header = xml_text.child(envelope, "Header")
    parts = {xml_text.local(part.tag): part for part in (header if header is not None else ())}
    session, mode = parts.get("SessionHeader"), parts.get("AllOrNoneHeader")
    return Request(
        token=xml_text.text(session, "sessionId") if session is not None else "",
        call=body[0],
        all_or_none=mode is not None and xml_text.text(mode, "allOrNone") in {"true", "1"},
    )


def answer(name: str, content: str) -> Reply:
    """Return the reply to a call, out of what stands inside of it."""
    instance = f' xmlns:xsi="{xml_text.INSTANCE}"' if "xsi:" in content else ""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{xml_text.ENVELOPE}" xmlns="{SPACE}"'
        f"{instance}><soapenv:Body><{name}Response>{content}</{name}Response></soapenv:Body></soapenv:Envelope>"
    )
    return Reply(200, body.encode(), content_type=_CONTENT_TYPE)
