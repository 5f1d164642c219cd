"""The addresses of the authorization server and of a person's browser session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from salesforce_standin.errors import ApiError, not_found
from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.oauth import authorize, browser, claims, formats, inspection, openid, tokens
from salesforce_standin.oauth.errors import refuse
from salesforce_standin.sessions import Session

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_PREFIX = "/services/oauth2/"
_PAGES: dict[str, Callable[[Org, Incoming], Reply]] = {
    "/login": browser.serve_login,
    "/secur/logout.jsp": browser.serve_logout,
    "/services/oauth2/authorize": authorize.serve,
    "/.well-known/openid-configuration": openid.configuration,
    "/id/keys": openid.keys,
}
_TOKENS: dict[str, Callable[[Org, tokens.Asked], Reply]] = {
    "token": tokens.token,
    "revoke": inspection.revoke,
    "introspect": inspection.introspect,
}


def is_ours(path: str) -> bool:
    """Whether a path belongs here."""
    return path.startswith((_PREFIX, "/id/")) or path.rstrip("/") in _PAGES


def serve(org: Org, incoming: Incoming) -> Reply:
    """Answer a request to one of these addresses."""
    path = incoming.path.rstrip("/")
    if path in _PAGES:
        return _PAGES[path](org, incoming)
    if path.startswith("/id/"):
        viewer = _viewer(org, incoming)
        return claims.identity(org, path, viewer.user_id, incoming.base)
    name = path.removeprefix(_PREFIX).rstrip("/")
    if name == "userinfo":
        return claims.userinfo(org, _viewer(org, incoming).user_id, incoming.base)
    if name not in _TOKENS:
        raise not_found()
    try:
        return formats.spelled(incoming, _answer(org, incoming, name))
    except ApiError as error:
        said = formats.spelled(incoming, Reply(error.status, error.body, error.headers))
        raise ApiError(said.status, said.body, {"Content-Type": said.content_type, **said.headers}) from None


def _answer(org: Org, incoming: Incoming, name: str) -> Reply:
    """Answer a request about tokens."""
    if incoming.method != "POST" and not (name == "revoke" and incoming.method == "GET"):
        raise refuse("invalid_request", "must use HTTP POST")
    asked = tokens.Asked(
        browser.form_of(incoming), incoming.headers.get("authorization", ""), incoming.base, incoming.remote
    )
    return _TOKENS[name](org, asked)


def _viewer(org: Org, incoming: Incoming) -> Session:
    """Return the session whose token came along, which here may also come as a parameter."""
    scheme, _, token = incoming.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() in {"bearer", "oauth"} else ""
    given = given or browser.form_of(incoming).get("access_token") or incoming.query.get("oauth_token", "")
    if not given:
        raise claims.refused(403, "Missing_OAuth_Token")
    session = org.sessions.find(given)
    user = org.tables["User"].rows.get(session.user_id) if session else None
    if session is None or user is None or not user.get("IsActive"):
        raise claims.refused(403, "Bad_OAuth_Token")
    incoming.user_id = session.user_id
    return session
