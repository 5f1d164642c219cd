"""SOAP login(), the way in of older clients: user name, and password with the security token behind it."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from salesforce_standin import xml_text
from salesforce_standin.http_call import Reply
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LAST_WITH_LOGIN = 64
_CONTENT_TYPE = "text/xml; charset=utf-8"


def serve(org: Org, content: bytes, version: int, base: str, kind: str = "u") -> Reply:
    """Answer a SOAP request; login() is the only call that is known."""
    call = _call_of(content)
    if call is None:
        return _fault("soapenv:Client", "UNKNOWN_EXCEPTION", "Unable to parse the request", kind)
    if version < 31:
        return _fault(
            "sf:UNSUPPORTED_API_VERSION",
            "UNSUPPORTED_API_VERSION",
            f"API version {version}.0 has been retired",
            kind,
        )
    if xml_text.local(call.tag) != "login" or version > _LAST_WITH_LOGIN:
        message = f"No operation available for request {call.tag}"
        return _fault("soapenv:Client", "UNKNOWN_EXCEPTION", message, kind)
    texts = {xml_text.local(child.tag): child.text or "" for child in call}
    user = _user_of(org, texts.get("username", ""), texts.get("password", ""))
    if user is None:
        message = "Invalid username, password, security token; or user locked out."
        return _fault("sf:INVALID_LOGIN", "INVALID_LOGIN", message, kind)
    session = org.sessions.open(user["Id"], scope="full")
    org.remember("sessions", org.sessions.dump())
    return Reply(
        200, _welcome(org, user, session.token, version, base, kind).encode(), content_type=_CONTENT_TYPE
    )


def _call_of(content: bytes) -> Element | None:
    envelope = xml_text.read(content)
    body = None if envelope is None else xml_text.child(envelope, "Body")
    return body[0] if body is not None and len(body) else None


def _user_of(org: Org, username: str, password: str) -> Row | None:
    """Return the user, whose password may have the security token behind it."""
    settings = org.settings
    right = (settings.password + settings.security_token, settings.password)
    if not any(hmac.compare_digest(password.encode(), one.encode()) for one in right):
        return None
    return next(
        (u for u in org.users() if u["Username"].lower() == username.lower() and u.get("IsActive")), None
    )


def _welcome(org: Org, user: Row, token: str, version: int, base: str, kind: str) -> str:
    org_id = org.settings.org_id
    organization = org.tables["Organization"].rows[org_id]
    nil: None = None
    info = {
        "accessibilityMode": "false",
        "chatterExternal": "false",
        "currencySymbol": "$",
        "orgAttachmentFileSizeLimit": "26214400",
        "orgDefaultCurrencyIsoCode": "USD",
        "orgDefaultCurrencyLocale": "en_US",
        "orgDisallowHtmlAttachments": "false",
        "orgHasPersonAccounts": "false",
        "organizationId": org_id,
        "organizationMultiCurrency": "false",
        "organizationName": organization["Name"],
        "profileId": user["ProfileId"],
        "roleId": nil,
        "sessionSecondsValid": str(org.settings.session_seconds),
        "userDefaultCurrencyIsoCode": nil,
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
    result = {
        "metadataServerUrl": f"{base}/services/Soap/m/{version}.0/{org_id[:15]}",
        "passwordExpired": "false",
        "sandbox": "false",
        "serverUrl": f"{base}/services/Soap/{kind}/{version}.0/{org_id[:15]}",
        "sessionId": token,
        "userId": user["Id"],
    }
    inside = _elements(result) + f"<userInfo>{_elements(info)}</userInfo>"
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


def _fault(code: str, exception: str, message: str, kind: str) -> Reply:
    """Return a SOAP fault; clients look for sf:exceptionCode and sf:exceptionMessage by these very names."""
    space = "urn:fault.partner.soap.sforce.com" if kind == "u" else "urn:fault.enterprise.soap.sforce.com"
    detail = (
        f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{exception}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:LoginFault>"
    )
    body = (
        f"<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{exception}: {escape(message)}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>"
    )
    return Reply(500, _envelope(body, kind, f' xmlns:sf="{space}"').encode(), content_type=_CONTENT_TYPE)
