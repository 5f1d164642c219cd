"""SOAP login(), the way in of older clients: user name, and password with the security token behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from salesforce_standin import xml_text
from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.logins import BAD_PASSWORD, Refused, admit, with_password
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LAST_WITH_LOGIN = 64
_CONTENT_TYPE = "text/xml; charset=utf-8"


def serve(org: Org, incoming: Incoming, version: int, kind: str = "u") -> Reply:
    """Answer a SOAP request; login() is the only call that is known."""
    call = _call_of(incoming.content)
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
    if not org.policy.soap_login:
        message = "SOAP API login() is disabled by default in this org."
        return _fault("sf:INVALID_OPERATION", "INVALID_OPERATION", message, kind)
    texts = {xml_text.local(child.tag): child.text or "" for child in call}
    try:
        user = _user_of(org, texts.get("username", ""), texts.get("password", ""))
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


def _call_of(content: bytes) -> Element | None:
    envelope = xml_text.read(content)
    body = None if envelope is None else xml_text.child(envelope, "Body")
    return body[0] if body is not None and len(body) else None


def _user_of(org: Org, username: str, password: str) -> Row:
    """Return the user, whose password may have the security token behind it."""
    token = org.settings.security_token
    if token and password.endswith(token):
        return with_password(org, username, password.removesuffix(token))
    return with_password(org, username, password)


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
        "sessionSecondsValid": str(org.policy.session_seconds),
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
