"""The token endpoint: every grant, from what it brings to a session, or the reason for none (facts/salesforce.md 2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from salesforce_standin.http_call import Reply
from salesforce_standin.logins import Refused, admit, user_named, with_password_and_token
from salesforce_standin.oauth import assertion, openid
from salesforce_standin.oauth.apps import App, in_order
from salesforce_standin.oauth.codes import Code
from salesforce_standin.oauth.errors import NOT_APPROVED, app_unknown, refuse, refuse_login
from salesforce_standin.sessions import Session
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a token."""

    form: Mapping[str, str]
    authorization: str
    base: str
    remote: str

    def get(self, name: str) -> str:
        """Return a parameter, empty if it is not there."""
        return self.form.get(name, "")


def token(org: Org, asked: Asked) -> Reply:
    """Exchange a grant for an access token."""
    give = _GRANTS.get(asked.get("grant_type"))
    if give is None:
        raise refuse("unsupported_grant_type", "grant type not supported")
    try:
        return Reply(body=give(org, asked))
    except Refused as why:
        raise refuse_login(why) from None


def authenticate(
    org: Org, form: Mapping[str, str], authorization: str, *, without_secret: Callable[[App], bool]
) -> App:
    """Return the app whose key and secret came along; some apps may do without the secret."""
    client, secret = _credentials(form, authorization)
    app = org.apps.find(client)
    if app is None:
        raise app_unknown()
    if app.blocked:
        raise refuse("invalid_app_access", "this app is blocked by admin")
    if (secret or not without_secret(app)) and not app.is_secret(secret):
        raise refuse("invalid_client", "invalid client credentials")
    return app


def _credentials(form: Mapping[str, str], authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return client, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _by_code(org: Org, asked: Asked) -> dict[str, Any]:
    """Exchange an authorization code, which is then used up; a refusal leaves it as it is."""
    app = authenticate(org, asked.form, asked.authorization, without_secret=lambda a: a.public)
    code = org.codes.find(asked.get("code"))
    if code is None or code.client_id != app.client_id:
        raise refuse("invalid_grant", "invalid authorization code")
    if org.codes.is_over(code):
        raise refuse("invalid_grant", "expired authorization code")
    if asked.get("redirect_uri") != code.redirect_uri:
        raise refuse("redirect_uri_mismatch", "redirect_uri must match configuration")
    _check_verifier(code, asked.get("code_verifier"))
    user = org.tables["User"].rows[code.user_id]
    admit(org, user, asked.remote)
    code.spent = True
    org.remember("codes", org.codes.dump())
    scopes = code.scope.split()
    refreshes = "refresh_token" in scopes
    grant = org.sessions.grant(user["Id"], app.client_id, code.scope) if refreshes else None
    session = _open(org, asked, user, app, code.scope, grant.id if grant else "")
    return _success(org, app, session, asked.base, grant.token if grant else None, nonce=code.nonce)


def _check_verifier(code: Code, verifier: str) -> None:
    """Compare the PKCE verifier with the challenge (facts/salesforce.md 2.2)."""
    if bool(verifier) != bool(code.challenge):
        raise refuse("invalid_grant", "invalid code verifier")
    if code.challenge and not code.is_verifier(verifier):
        raise refuse("invalid_request", "invalid code verifier")


def _by_refresh_token(org: Org, asked: Asked) -> dict[str, Any]:
    """Give a grant a new access token, and with rotation a new refresh token too."""
    app = authenticate(
        org, asked.form, asked.authorization, without_secret=lambda a: a.public or not a.secret_to_refresh
    )
    given = asked.get("refresh_token")
    stolen = org.sessions.grants.find_spent(given)
    if stolen is not None:
        # Two hold the grant's tokens, and one of them should not: nobody keeps it.
        org.sessions.end_grant(stolen)
        org.keep_sessions()
        org.commit()
    grant = org.sessions.grants.find(given)
    if grant is None or grant.client_id != app.client_id:
        raise refuse("invalid_grant", "expired access/refresh token")
    user = org.tables["User"].rows[grant.user_id]
    _check_app(app, user)
    admit(org, user, asked.remote)
    if app.rotation:
        org.sessions.grants.rotate(grant)
    session = _open(org, asked, user, app, grant.scope, grant.id)
    return _success(org, app, session, asked.base, grant.token if app.rotation else None)


def _by_client_credentials(org: Org, asked: Asked) -> dict[str, Any]:
    """Log in as the app's own user."""
    app = authenticate(org, asked.form, asked.authorization, without_secret=lambda _: False)
    user = user_named(org, app.run_as)
    if user is None:
        raise refuse("invalid_grant", "no client credentials user enabled")
    admit(org, user, asked.remote)
    return _success(org, app, _open(org, asked, user, app, _without_refresh(app)), asked.base)


def _by_assertion(org: Org, asked: Asked) -> dict[str, Any]:
    """Log in as the user whom a signed assertion names."""
    app, user = assertion.read(org, asked.get("assertion"), asked.base)
    if app.blocked:
        raise refuse("invalid_app_access", "this app is blocked by admin")
    admit(org, user, asked.remote)
    return _success(org, app, _open(org, asked, user, app, _without_refresh(app)), asked.base)


def _by_password(org: Org, asked: Asked) -> dict[str, Any]:
    """Log in with user name and password, as far as the org still allows it (facts/salesforce.md 2.4)."""
    app = authenticate(org, asked.form, asked.authorization, without_secret=lambda _: False)
    if not org.policy.password_flow:
        raise refuse("invalid_grant", "authentication failure")
    user = with_password_and_token(org, asked.get("username"), asked.get("password"))
    _check_app(app, user)
    admit(org, user, asked.remote)
    return _success(org, app, _open(org, asked, user, app, _without_refresh(app)), asked.base)


_GRANTS: dict[str, Callable[[Org, Asked], dict[str, Any]]] = {
    "authorization_code": _by_code,
    "refresh_token": _by_refresh_token,
    "client_credentials": _by_client_credentials,
    assertion.GRANT_TYPE: _by_assertion,
    "password": _by_password,
}


def _check_app(app: App, user: Row) -> None:
    if not app.admits(user["Username"]):
        raise refuse(*NOT_APPROVED)


def _without_refresh(app: App) -> str:
    return " ".join(in_order(set(app.scopes) - {"refresh_token", "offline_access", "openid"}))


def _open(org: Org, asked: Asked, user: Row, app: App, scope: str, grant: str = "") -> Session:
    session = org.sessions.open(
        user["Id"], scope=scope, client_id=app.client_id, grant=grant, address=asked.remote
    )
    org.keep_sessions()
    return session


def _success(
    org: Org, app: App, session: Session, base: str, refresh_token: str | None = None, nonce: str = ""
) -> dict[str, Any]:
    """Return the reply of every grant: no expires_in, issued_at in milliseconds as text (facts 2.2)."""
    issued, scopes = str(int(session.issued * 1000)), session.scope.split()
    identity = f"{base}/id/{org.settings.org_id}/{session.user_id}"
    secret, text = app.client_secret.encode(), (identity + issued).encode()
    return {
        "access_token": session.token,
        **({"refresh_token": refresh_token} if refresh_token else {}),
        "signature": base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode(),
        "scope": session.scope,
        **({"id_token": openid.id_token(org, session, base, nonce)} if "openid" in scopes else {}),
        "instance_url": base,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued,
    }
