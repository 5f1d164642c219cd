"""SOAP's way in and out for older clients: login() with user name and password, logout(), and who one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from salesforce_standin import xml_text
from salesforce_standin.config import OLDEST
from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.logins import BAD_PASSWORD, Refused, admit, with_password_and_token
from salesforce_standin.sessions import Session
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LAST_WITH_LOGIN = 64
_CONTENT_TYPE = "text/xml; charset=utf-8"


def serve(org: Org, incoming: Incoming, version: int, kind: str = "u") -> Reply:
    """Answer a SOAP request; only what is about the session itself is known."""
    envelope = xml_text.read(incoming.content)
    call = None if envelope is None else _call_of(envelope)
    if envelope is None or call is None:
        return _fault("soapenv:Client", "UNKNOWN_EXCEPTION", "Unable to parse the request", kind)
    if version < OLDEST:
        message = f"API version {version}.0 has been retired"
        return _fault("sf:UNSUPPORTED_API_VERSION", "UNSUPPORTED_API_VERSION", message, kind)
    name = xml_text.local(call.tag)
    if name == "login" and version <= _LAST_WITH_LOGIN:
        return _login(org, incoming, call, version, kind)
    if name not in _CALLS:
        message = f"No operation available for request {call.tag}"
        return _fault("soapenv:Client", "UNKNOWN_EXCEPTION", message, kind)
    session = org.sessions.find(_token_of(envelope))
    user = org.tables["User"].rows.get(session.user_id) if session else None
    if session is None or user is None or not user.get("IsActive"):
        message = "Invalid Session ID found in SessionHeader: Illegal Session"
        return _fault("sf:INVALID_SESSION_ID", "INVALID_SESSION_ID", message, kind, "UnexpectedErrorFault")
    incoming.user_id = session.user_id
    body = f"<{name}Response>{_CALLS[name](org, user, session)}</{name}Response>"
    return Reply(200, _envelope(body, kind).encode(), content_type=_CONTENT_TYPE)


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


def _token_of(envelope: Element) -> str:
    header = xml_text.child(envelope, "Header")
    session = None if header is None else xml_text.child(header, "SessionHeader")
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


def _envelope(body: str, kind: str, more: str = "") -> str:
    urn = "urn:partner.soap.sforce.com" if kind == "u" else "urn:enterprise.soap.sforce.com"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{xml_text.ENVELOPE}" xmlns="{urn}"{more}'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )


def _fault(code: str, exception: str, message: str, kind: str, name: str = "LoginFault") -> Reply:
    """Return a SOAP fault; clients look for sf:exceptionCode and sf:exceptionMessage by these very names."""
    space = "urn:fault.partner.soap.sforce.com" if kind == "u" else "urn:fault.enterprise.soap.sforce.com"
    detail = (
        f'<sf:{name} xsi:type="sf:{name}"><sf:exceptionCode>{exception}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:{name}>"
    )
    body = (
        f"<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{exception}: {escape(message)}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>"
    )
    return Reply(500, _envelope(body, kind, f' xmlns:sf="{space}"').encode(), content_type=_CONTENT_TYPE)
