"""A person's session in a browser: the log-in page, the cookie, the way out."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from salesforce_standin import logins
from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.oauth import pages
from salesforce_standin.sessions import Session

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_COOKIE = "sid"
_AUTHORIZE = "/services/oauth2/authorize?"
_SCOPE = "full api web"


def session_of(org: Org, incoming: Incoming) -> Session | None:
    """Return the session that the browser's cookie stands for, if its user may still be here."""
    try:
        cookie = SimpleCookie(incoming.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    session = org.sessions.find(cookie.value) if cookie else None
    user = org.tables["User"].rows.get(session.user_id) if session else None
    return session if user is not None and user.get("IsActive") else None


def to_login(start: str, username: str) -> Reply:
    """Send the browser to the log-in page, and from there on to ``start``."""
    return pages.redirect(
        "/login?" + urlencode({"startURL": start, **({"un": username} if username else {})})
    )


def serve_login(org: Org, incoming: Incoming) -> Reply:
    """Show the log-in page, or log the person in and go where they were going."""
    if incoming.method != "POST":
        return pages.login(incoming.query.get("startURL", ""), incoming.query.get("un", ""))
    form = form_of(incoming)
    start, username = form.get("startURL", ""), form.get("username") or form.get("un", "")
    try:
        user = logins.with_password(org, username, form.get("pw", ""))
        logins.admit(org, user, incoming.remote)
    except logins.Refused as why:
        return pages.login(start, username, _explain(why))
    incoming.user_id = user["Id"]
    session = org.sessions.open(user["Id"], scope=_SCOPE, address=incoming.remote, login_type="Application")
    org.keep_sessions()
    # Only back to the page that sent the person here: an address from outside could lead anywhere.
    reply = pages.redirect(start) if start.startswith(_AUTHORIZE) else pages.page("You are logged in", "")
    reply.headers["Set-Cookie"] = f"{_COOKIE}={session.token}; Path=/; HttpOnly; SameSite=Lax" + (
        "; Secure" if incoming.base.startswith("https:") else ""
    )
    return reply


def serve_logout(org: Org, incoming: Incoming) -> Reply:
    """End the browser's session."""
    session = session_of(org, incoming)
    if session is not None:
        org.sessions.revoke(session.token)
        org.keep_sessions()
    reply = pages.redirect("/login")
    reply.headers["Set-Cookie"] = f"{_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    return reply


def form_of(incoming: Incoming) -> dict[str, str]:
    """Return the parameters of a request, those of the body before those of the address."""
    sent = parse_qsl(incoming.content.decode("utf-8", "replace"), keep_blank_values=True)
    return {**incoming.query, **dict(sent)}


def _explain(why: logins.Refused) -> str:
    if why is logins.BAD_PASSWORD:
        return "Please check your username and password."
    return f"You can't log in: {why.description}."
