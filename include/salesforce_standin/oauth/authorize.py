"""The authorize endpoint: from an app's request over log-in and consent to a code at its callback (facts 2.1)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from salesforce_standin.http_call import Incoming, Reply
from salesforce_standin.oauth import browser, pages
from salesforce_standin.oauth.apps import App
from salesforce_standin.oauth.errors import NOT_APPROVED
from salesforce_standin.sessions import Session

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_PATH = "/services/oauth2/authorize"
# A challenge without a method is a hash: it was so before the parameter came (jsforce leaves it out).
_METHODS = {"": "S256", "plain": "plain", "S256": "S256"}
_OWN = {"decision", "proof"}


class _ToPage(Exception):
    """A request that names no app or a foreign address: nothing goes back to that address."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.reply = pages.stopped(code, description)


class _ToCallback(Exception):
    """A refusal that the app learns of."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a code that names a known app and one of its addresses."""

    app: App
    form: dict[str, str]
    redirect_uri: str

    def get(self, name: str) -> str:
        return self.form.get(name, "")

    @property
    def prompts(self) -> set[str]:
        return set(self.get("prompt").lower().split())

    @property
    def silent(self) -> bool:
        return "none" in self.prompts or self.get("immediate").lower() == "true"

    def address(self, **changes: str) -> str:
        """Return this very request as an address, some of its parameters changed."""
        merged = {**self.form, **changes}
        return f"{_PATH}?{urlencode({k: v for k, v in merged.items() if k not in _OWN and v})}"

    def back(self, **parameters: str) -> Reply:
        """Send the browser to the app's callback."""
        if self.get("state"):
            parameters["state"] = self.get("state")
        parts = urlsplit(self.redirect_uri)
        query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
        return pages.redirect(urlunsplit(parts._replace(query=query)))


def serve(org: Org, incoming: Incoming) -> Reply:
    """Answer the authorize address, whether the app, the log-in page or the consent form sent the browser."""
    try:
        asked = _read(org, browser.form_of(incoming))
    except _ToPage as stop:
        return stop.reply
    try:
        return _decide(org, incoming, asked)
    except _ToCallback as no:
        return asked.back(error=no.code, error_description=no.description)


def _read(org: Org, form: dict[str, str]) -> _Asked:
    app = org.apps.find(form.get("client_id", ""))
    if app is None:
        raise _ToPage("invalid_client_id", "client identifier invalid")
    if app.blocked:
        raise _ToPage("OAUTH_APP_BLOCKED", "this app is blocked by admin")
    if form.get("redirect_uri") not in app.redirect_uris:
        raise _ToPage("redirect_uri_mismatch", "redirect_uri must match configuration")
    return _Asked(app, form, form["redirect_uri"])


def _decide(org: Org, incoming: Incoming, asked: _Asked) -> Reply:
    scopes = _check(asked)
    session = browser.session_of(org, incoming)
    user = org.tables["User"].rows[session.user_id] if session else None
    hint = asked.get("login_hint")
    known = user is not None and (not hint or hint.lower() == user["Username"].lower())
    if session is None or user is None or not known or "login" in asked.prompts:
        if asked.silent:
            raise _ToCallback(*_unsuccessful(asked, "login_required", "user must log in"))
        rest = " ".join(sorted(asked.prompts - {"login"}))
        return browser.to_login(asked.address(prompt=rest), hint)
    incoming.user_id = session.user_id
    if not asked.app.admits(user["Username"]):
        raise _ToCallback(*NOT_APPROVED)
    decision = _decision(asked, session)
    if decision == "deny":
        raise _ToCallback("access_denied", "end-user denied authorization")
    if decision == "approve" or _is_agreed(asked, session.user_id, user["Username"], scopes):
        return _give(org, asked, session, scopes)
    if asked.silent:
        raise _ToCallback(*_unsuccessful(asked, "consent_required", "user must approve the app"))
    action = asked.address()
    return pages.consent(asked.app.name, user["Username"], scopes, action, _proof(session, action))


def _check(asked: _Asked) -> list[str]:
    """Return the scopes asked for, once the request is seen to be in order."""
    if asked.get("response_type") != "code":
        raise _ToCallback("unsupported_response_type", "response type not supported")
    if asked.get("code_challenge_method") not in _METHODS:
        raise _ToCallback("invalid_request", "code challenge method not supported")
    if asked.app.pkce_required and not asked.get("code_challenge"):
        raise _ToCallback("invalid_request", "missing required code challenge")
    scopes = asked.app.granted(asked.get("scope"))
    if scopes is None:
        raise _ToCallback("invalid_scope", "the requested scope is not allowed")
    return scopes


def _unsuccessful(asked: _Asked, code: str, description: str) -> tuple[str, str]:
    """Return the refusal of a request that may show nothing to the user."""
    if "none" in asked.prompts:
        return code, description
    return "immediate_unsuccessful", description


def _proof(session: Session, action: str) -> str:
    """Return what only our own form for this session and request can carry."""
    return hmac.new(session.token.encode(), action.encode(), hashlib.sha256).hexdigest()


def _decision(asked: _Asked, session: Session) -> str:
    """Return what the person clicked; a form that came from elsewhere decides nothing."""
    proof = _proof(session, asked.address())
    return asked.get("decision") if hmac.compare_digest(asked.get("proof").encode(), proof.encode()) else ""


def _is_agreed(asked: _Asked, user_id: str, username: str, scopes: list[str]) -> bool:
    """Whether nobody needs to be asked: an administrator approved the user, or the user agreed before."""
    app = asked.app
    if app.permitted_users == "approved" and app.admits(username):
        return True
    return "consent" not in asked.prompts and set(scopes) <= set(app.consents.get(user_id, ()))


def _give(org: Org, asked: _Asked, session: Session, scopes: list[str]) -> Reply:
    """Send a code to the callback, and remember that the user agreed."""
    before = asked.app.consents.get(session.user_id, [])
    asked.app.consents[session.user_id] = sorted({*before, *scopes})
    challenge = asked.get("code_challenge")
    code = org.codes.issue(
        client_id=asked.app.client_id,
        user_id=session.user_id,
        redirect_uri=asked.redirect_uri,
        scope=" ".join(scopes),
        challenge=challenge,
        method=_METHODS[asked.get("code_challenge_method")] if challenge else "",
        nonce=asked.get("nonce"),
    )
    org.remember("apps", org.apps.dump())
    org.remember("codes", org.codes.dump())
    return asked.back(code=code.code)
