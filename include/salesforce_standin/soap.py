"""SOAP for older clients: login() with user name and password, logout(), who one is, and the door to the data calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from salesforce_standin import metadata_envelope, rights, soap_calls, xml_text
from salesforce_standin.config import LATEST, OLDEST
from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Call, Incoming, Reply
from salesforce_standin.logins import BAD_PASSWORD, Refused, admit, with_password_and_token
from salesforce_standin.sessions import Session
from salesforce_standin.soap_request import Request
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LAST_WITH_LOGIN = 64
_CONTENT_TYPE = "text/xml; charset=utf-8"
_RECORDS = {"u": "urn:sobject.partner.soap.sforce.com", "c": "urn:sobject.enterprise.soap.sforce.com"}
_QUERY_FAULTS = frozenset({"InvalidFieldFault", "InvalidSObjectFault", "MalformedQueryFault"})
_FAULTS = {
    "INVALID_FIELD": "InvalidFieldFault",
    "INVALID_QUERY_LOCATOR": "InvalidQueryLocatorFault",
    "INVALID_TYPE": "InvalidSObjectFault",
    "MALFORMED_ID": "InvalidIdFault",
    "MALFORMED_QUERY": "MalformedQueryFault",
}
_PLACE = re.compile(r"ERROR at Row:(\d+):Column:(\d+)")


def serve(org: Org, incoming: Incoming, version: int, kind: str = "u") -> Reply:
    """Answer a SOAP request; what is about records is done in soap_calls.py."""
    envelope = xml_text.read(incoming.content)
    call = None if envelope is None else _call_of(envelope)
    if envelope is None or call is None:
        raise metadata_envelope.unusable("Unable to parse the request")
    if version < OLDEST:
        message = f"API version {version}.0 has been retired"
        return _fault("sf:UNSUPPORTED_API_VERSION", "UNSUPPORTED_API_VERSION", message, kind)
    name = xml_text.local(call.tag)
    if name == "login" and version <= _LAST_WITH_LOGIN:
        return _login(org, incoming, call, version, kind)
    if name not in _CALLS and name not in soap_calls.CALLS:
        raise metadata_envelope.no_operation(call)
    header = xml_text.child(envelope, "Header")
    headers = {xml_text.local(part.tag): part for part in (header if header is not None else ())}
    session = org.sessions.find(_token_of(headers))
    user = org.tables["User"].rows.get(session.user_id) if session else None
    if session is None or user is None or not user.get("IsActive"):
        message = "Invalid Session ID found in SessionHeader: Illegal Session"
        return _fault("sf:INVALID_SESSION_ID", "INVALID_SESSION_ID", message, kind, "UnexpectedErrorFault")
    incoming.user_id = session.user_id
    if name in _CALLS:
        body = f"<{name}Response>{_CALLS[name](org, user, session)}</{name}Response>"
        return Reply(200, _envelope(body, kind).encode(), content_type=_CONTENT_TYPE)
    org.current_token = session.token
    rest = Call("GET", "", min(version, LATEST), session.user_id, incoming.base)
    return _data(org, incoming, Request(org, rest, call, headers, kind == "u"), kind)


def _data(org: Org, incoming: Incoming, request: Request, kind: str) -> Reply:
    """Answer a call about data: it counts as one to the REST API does, and says how many there were."""
    name = xml_text.local(request.element.tag)
    if not rights.may_use_api(org, incoming.user_id):
        return _fault(f"sf:{rights.API_DISABLED[0]}", *rights.API_DISABLED, kind, "UnexpectedErrorFault")
    if not org.meter.allows():
        message = "TotalRequests Limit exceeded."
        return _fault(
            "sf:REQUEST_LIMIT_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", message, kind, "UnexpectedErrorFault"
        )
    org.meter.count()
    incoming.counted += 1
    try:
        inside = soap_calls.CALLS[name](request)
    except ApiError as error:
        org.abandon()
        return _refused(error, kind)
    limit = {"current": org.meter.known(), "limit": org.meter.allowance, "type": "API REQUESTS"}
    told = xml_text.spell("LimitInfoHeader", {"limitInfo": limit})
    space = f' xmlns:sf="{_RECORDS[kind]}" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    body = f"<{name}Response>{inside}</{name}Response>"
    return Reply(200, _envelope(body, kind, space, told).encode(), content_type=_CONTENT_TYPE)


def _refused(error: ApiError, kind: str) -> Reply:
    """Say in SOAP what the REST API would have said; faults of queries tell the place in elements of their own."""
    first = error.body[0]
    code, message = str(first["errorCode"]), str(first["message"])
    name = _FAULTS.get(code, "UnexpectedErrorFault")
    place = _PLACE.search(message)
    where = ""
    if name in _QUERY_FAULTS:
        row, column = place.groups() if place else ("-1", "-1")
        where = f"<sf:row>{row}</sf:row><sf:column>{column}</sf:column>"
    return _fault(f"sf:{code}", code, message, kind, name, where)


def _login(org: Org, incoming: Incoming, call: Element, version: int, kind: str) -> Reply:
    if not org.policy.soap_login:
        message = "SOAP API login() is disabled by default in this org."
        return _fault("sf:INVALID_OPERATION", "INVALID_OPERATION", message, kind)
    try:
        user = with_password_and_token(org, xml_text.text(call, "username"), xml_text.text(call, "password"))
        admit(org, user, incoming.remote)
    except Refused as why:
        message = "Invalid username, password, security token; or user locked out."
        if why.soap != BAD_PASSWORD.soap:
            message = why.description
        return _fault(f"sf:{why.soap}", why.soap, message, kind)
    session = org.sessions.open(
        user["Id"], scope="full", address=incoming.remote, login_type="Other Apex API"
    )
    org.keep_sessions()
    welcome = _welcome(org, user, session.token, version, incoming.base, kind)
    return Reply(200, welcome.encode(), content_type=_CONTENT_TYPE)


def _logout(org: Org, _user: Row, session: Session) -> str:
    if not session.forever:
        org.sessions.revoke(session.token)
        org.keep_sessions()
    return ""


def _user_info(org: Org, user: Row, _session: Session) -> str:
    return f"<result>{_elements(_info(org, user))}</result>"


def _timestamp(org: Org, _user: Row, _session: Session) -> str:
    return f"<result><timestamp>{org.clock.stamp()[:-5]}Z</timestamp></result>"


_CALLS: dict[str, Callable[[Org, Row, Session], str]] = {
    "logout": _logout,
    "getUserInfo": _user_info,
    "getServerTimestamp": _timestamp,
}


def _call_of(envelope: Element) -> Element | None:
    body = xml_text.child(envelope, "Body")
    return body[0] if body is not None and len(body) else None


def _token_of(headers: Mapping[str, Element]) -> str:
    session = headers.get("SessionHeader")
    return "" if session is None else xml_text.text(session, "sessionId")


def _info(org: Org, user: Row) -> dict[str, str | None]:
    """Return what the platform says of a user and the org."""
    org_id = org.settings.org_id
    organization = org.tables["Organization"].rows[org_id]
    return {
        "accessibilityMode": "false",
        "chatterExternal": "false",
        "currencySymbol": "$",
        "orgAttachmentFileSizeLimit": "26214400",
        "orgDefaultCurrencyIsoCode": "USD",
        "orgDefaultCurrencyLocale": "en_US",
        "orgDisallowHtmlAttachments": "false",
        "orgHasPersonAccounts": _said(org.features.get("personAccounts")),
        "organizationId": org_id,
        "organizationMultiCurrency": _said(org.features.get("multiCurrency")),
        "organizationName": organization["Name"],
        "profileId": user["ProfileId"],
        "roleId": None,
        "sessionSecondsValid": str(int(org.session_seconds(user["Id"]))),
        "userDefaultCurrencyIsoCode": None,
        "userEmail": user["Email"],
        "userFullName": user["Name"],
        "userId": user["Id"],
        "userLanguage": user["LanguageLocaleKey"],
        "userLocale": user["LocaleSidKey"],
        "userName": user["Username"],
        "userTimeZone": user["TimeZoneSidKey"],
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }


def _said(value: object) -> str:
    return "true" if value else "false"


def _welcome(org: Org, user: Row, token: str, version: int, base: str, kind: str) -> str:
    org_id = org.settings.org_id
    organization = org.tables["Organization"].rows[org_id]
    result = {
        "metadataServerUrl": f"{base}/services/Soap/m/{version}.0/{org_id[:15]}",
        "passwordExpired": "false",
        "sandbox": _said(organization.get("IsSandbox")),
        "serverUrl": f"{base}/services/Soap/{kind}/{version}.0/{org_id[:15]}",
        "sessionId": token,
        "userId": user["Id"],
    }
    inside = _elements(result) + f"<userInfo>{_elements(_info(org, user))}</userInfo>"
    return _envelope(f"<loginResponse><result>{inside}</result></loginResponse>", kind)


def _elements(values: dict[str, str] | dict[str, str | None]) -> str:
    return "".join(
        f'<{name} xsi:nil="true"/>' if value is None else f"<{name}>{escape(value)}</{name}>"
        for name, value in values.items()
    )


def _envelope(body: str, kind: str, more: str = "", header: str = "") -> str:
    urn = "urn:partner.soap.sforce.com" if kind == "u" else "urn:enterprise.soap.sforce.com"
    return _around(body, f' xmlns="{urn}"{more}', header)


def _around(body: str, spaces: str, header: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{xml_text.ENVELOPE}"{spaces}'
        f' xmlns:xsi="{xml_text.INSTANCE}">{f"<soapenv:Header>{header}</soapenv:Header>" if header else ""}'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )


def _fault(
    code: str, exception: str, message: str, kind: str, name: str = "LoginFault", more: str = ""
) -> Reply:
    """Return a SOAP fault; clients look for sf:exceptionCode and sf:exceptionMessage by these very names."""
    space = "urn:fault.partner.soap.sforce.com" if kind == "u" else "urn:fault.enterprise.soap.sforce.com"
    detail = (
        f'<sf:{name} xsi:type="sf:{name}"><sf:exceptionCode>{exception}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage>{more}</sf:{name}>"
    )
    body = (
        f"<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{exception}: {escape(message)}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>"
    )
    return Reply(500, _around(body, f' xmlns:sf="{space}"').encode(), content_type=_CONTENT_TYPE)
