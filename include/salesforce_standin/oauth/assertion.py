"""The JWT bearer grant: an assertion that the app signed for a user (facts/salesforce.md 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from salesforce_standin.logins import user_named
from salesforce_standin.oauth.apps import App
from salesforce_standin.oauth.errors import NOT_APPROVED, app_unknown, refuse
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Clocks may differ a little. There is no upper bound: the Salesforce CLI has always sent milliseconds for seconds
# (@salesforce/core, authInfo), which real orgs take, whatever the guide says of five minutes.
_LEEWAY = 30
_HOSTS = ("login.salesforce.com", "test.salesforce.com")


def read(org: Org, assertion: str, base: str) -> tuple[App, Row]:
    """Return the app and the user of an assertion in which everything is right."""
    app = org.apps.find(str(_claims(assertion, None).get("iss", "")))
    if app is None:
        raise app_unknown()
    if not app.certificate:
        raise refuse("invalid_client", "invalid client credentials")
    claims = _claims(assertion, app.certificate)
    if not _is_for_us(claims.get("aud"), base):
        raise refuse("invalid_grant", "audience is invalid")
    if _seconds(claims.get("exp")) - org.clock.now() <= -_LEEWAY:
        raise refuse("invalid_grant", "expired authorization code")
    return app, _user(org, app, str(claims.get("sub", "")))


def _user(org: Org, app: App, username: str) -> Row:
    """Return the assertion's user, who must have let the app in beforehand."""
    user = user_named(org, username)
    if user is None:
        raise refuse("invalid_grant", "user hasn't approved this consumer")
    if not app.admits(user["Username"]):
        raise refuse(*NOT_APPROVED)
    if not app.trusts(user["Id"], user["Username"]):
        raise refuse("invalid_grant", "user hasn't approved this consumer")
    return user


def _claims(assertion: str, certificate: str | None) -> dict[str, Any]:
    """Return the claims, with a certificate only if its key signed them."""
    try:
        if certificate is None:
            claims = orjson.loads(jws.extract_compact(assertion.encode()).payload)
        else:
            claims = jwt.decode(assertion, RSAKey.import_key(certificate), algorithms=["RS256"]).claims
    except (JoseError, ValueError):
        claims = None
    if not isinstance(claims, dict):
        raise refuse("invalid_grant", "invalid assertion")
    return claims


def _seconds(given: Any) -> float:
    """Return an instant, which some clients (simple-salesforce) spell as text."""
    try:
        return float(given)
    except (TypeError, ValueError):
        return 0.0


def _is_for_us(audience: Any, base: str) -> bool:
    """Whether an audience names one of the log-in hosts or the org's own; what follows the host is all the same."""
    named = audience if isinstance(audience, list) else [audience]
    return any(urlsplit(str(one)).netloc in {*_HOSTS, urlsplit(base).netloc} for one in named)
