"""OAuth: token, revoke, introspect, userinfo and the identity URL (facts/salesforce.md 2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Reply
from salesforce_standin.sessions import Session
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LATER_GRANTS = {
    "password": "authentication failure",
}


def _refuse(code: str, description: str, status: int = 400) -> ApiError:
    return ApiError(status, {"error": code, "error_description": description})


def token(org: Org, form: Mapping[str, str], authorization: str, base: str) -> Reply:
    """Exchange a grant for an access token."""
    grant = form.get("grant_type")
    if not grant:
        raise _refuse("unsupported_grant_type", "grant type not supported")
    if grant == "client_credentials":
        _check_client(org, form, authorization)
        user = user_named(org, org.settings.integration_username)
        _check_active(user)
        session = org.sessions.open(user["Id"], client_id=org.settings.client_id)
    elif grant == "refresh_token":
        _check_client(org, form, authorization, secret_needed=False)
        session = _refresh(org, form.get("refresh_token", ""))
    elif grant in _LATER_GRANTS:
        raise _refuse("invalid_grant", _LATER_GRANTS[grant])
    else:
        raise _refuse("unsupported_grant_type", "grant type not supported")
    org.remember("sessions", org.sessions.dump())
    return Reply(body=_success(org, session, base))


def _check_client(
    org: Org, form: Mapping[str, str], authorization: str, *, secret_needed: bool = True
) -> None:
    client, secret = _credentials(form, authorization)
    if not client or not hmac.compare_digest(client, org.settings.client_id):
        raise _refuse("invalid_client_id", "client identifier invalid")
    if (secret or secret_needed) and not hmac.compare_digest(secret, org.settings.client_secret):
        raise _refuse("invalid_client", "invalid client credentials")


def _credentials(form: Mapping[str, str], authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return client, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _refresh(org: Org, refresh_token: str) -> Session:
    grant = org.sessions.find_grant(refresh_token)
    if grant is None:
        raise _refuse("invalid_grant", "expired access/refresh token")
    _check_active(org.tables["User"].rows[grant.user_id])
    return org.sessions.open(grant.user_id, scope=grant.scope, client_id=grant.client_id, grant=grant.token)


def _check_active(user: Row) -> None:
    if not user.get("IsActive"):
        raise _refuse("inactive_user", "user is inactive")


def user_named(org: Org, username: str) -> Row:
    """Return a user by name."""
    for user in org.users():
        if user["Username"].lower() == username.lower():
            return user
    raise _refuse("invalid_grant", "authentication failure")


def _success(org: Org, session: Session, base: str) -> dict[str, Any]:
    """Return the reply of every grant: no expires_in, issued_at in milliseconds as text (facts 2.2)."""
    issued = str(int(session.issued * 1000))
    identity = f"{base}/id/{org.settings.org_id}/{session.user_id}"
    secret, text = org.settings.client_secret.encode(), (identity + issued).encode()
    return {
        "access_token": session.token,
        "signature": base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode(),
        "scope": session.scope,
        "instance_url": base,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued,
    }


def revoke(org: Org, form: Mapping[str, str]) -> Reply:
    """End a token of either kind."""
    if not org.sessions.revoke(form.get("token", "")):
        raise _refuse("unsupported_token_type", "this token type is not supported")
    org.remember("sessions", org.sessions.dump())
    return Reply(200)


def introspect(org: Org, form: Mapping[str, str], authorization: str, base: str) -> Reply:
    """Say whether a token lives, and until when."""
    _check_client(org, form, authorization)
    given = form.get("token", "")
    grant = org.sessions.find_grant(given)
    session = org.sessions.peek(given)
    if grant is None and session is None:
        return Reply(body={"active": False})
    holder = session or grant
    if holder is None:
        raise TypeError(given)
    user = org.tables["User"].rows[holder.user_id]
    issued = int(holder.issued)
    body: dict[str, Any] = {
        "active": True,
        "scope": holder.scope,
        "client_id": holder.client_id or org.settings.client_id,
        "username": user["Username"],
        "sub": f"{base}/id/{org.settings.org_id}/{user['Id']}",
        "token_type": "access_token" if session else "refresh_token",
    }
    if session:
        body["exp"] = int(org.sessions.expires(session))
    return Reply(body={**body, "iat": issued, "nbf": issued})


def userinfo(org: Org, user_id: str, base: str) -> Reply:
    """Describe the token's user with OpenID claims."""
    user = org.tables["User"].rows[user_id]
    org_id = org.settings.org_id
    body = {
        "sub": f"{base}/id/{org_id}/{user_id}",
        "user_id": user_id,
        "organization_id": org_id,
        "preferred_username": user["Username"],
        "nickname": user["Alias"],
        "name": user["Name"],
        "email": user["Email"],
        "email_verified": True,
        "given_name": user.get("FirstName"),
        "family_name": user["LastName"],
        "zoneinfo": user["TimeZoneSidKey"],
        "photos": {"picture": f"{base}/profilephoto/005/F", "thumbnail": f"{base}/profilephoto/005/T"},
        "profile": f"{base}/{user_id}",
        "picture": f"{base}/profilephoto/005/F",
        "address": {},
        "urls": _urls(base, org_id, user_id),
        "active": bool(user.get("IsActive")),
        "user_type": "STANDARD",
        "language": user["LanguageLocaleKey"],
        "locale": user["LocaleSidKey"],
        "utcOffset": 0,
        "updated_at": user["LastModifiedDate"].replace(".000+0000", "Z"),
    }
    return Reply(body=body)


def identity(org: Org, user_id: str, base: str) -> Reply:
    """Describe the token's user as the identity URL does."""
    user = org.tables["User"].rows[user_id]
    org_id = org.settings.org_id
    body = {
        "id": f"{base}/id/{org_id}/{user_id}",
        "asserted_user": True,
        "user_id": user_id,
        "organization_id": org_id,
        "username": user["Username"],
        "nick_name": user["Alias"],
        "display_name": user["Name"],
        "email": user["Email"],
        "email_verified": True,
        "first_name": user.get("FirstName"),
        "last_name": user["LastName"],
        "timezone": user["TimeZoneSidKey"],
        "photos": {"picture": f"{base}/profilephoto/005/F", "thumbnail": f"{base}/profilephoto/005/T"},
        "addr_street": None,
        "addr_city": None,
        "addr_state": None,
        "addr_country": None,
        "addr_zip": None,
        "mobile_phone": None,
        "mobile_phone_verified": False,
        "is_lightning_login_user": False,
        "status": {"created_date": None, "body": None},
        "urls": _urls(base, org_id, user_id),
        "active": bool(user.get("IsActive")),
        "user_type": "STANDARD",
        "language": user["LanguageLocaleKey"],
        "locale": user["LocaleSidKey"],
        "utcOffset": 0,
        "last_modified_date": user["LastModifiedDate"],
        "is_app_installed": True,
    }
    return Reply(body=body)


def _urls(base: str, org_id: str, user_id: str) -> dict[str, str]:
    rest = f"{base}/services/data/v{{version}}/"
    return {
        "enterprise": f"{base}/services/Soap/c/{{version}}/{org_id[:15]}",
        "metadata": f"{base}/services/Soap/m/{{version}}/{org_id[:15]}",
        "partner": f"{base}/services/Soap/u/{{version}}/{org_id[:15]}",
        "rest": rest,
        "sobjects": f"{rest}sobjects/",
        "search": f"{rest}search/",
        "query": f"{rest}query/",
        "recent": f"{rest}recent/",
        "tooling_soap": f"{base}/services/Soap/T/{{version}}/{org_id[:15]}",
        "tooling_rest": f"{rest}tooling/",
        "profile": f"{base}/{user_id}",
        "custom_domain": base,
    }
