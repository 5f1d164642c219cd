"""Set-up that a person would do in the browser, under /standin: org settings, apps, passwords, ended sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from salesforce_standin.errors import ApiError, fail, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.logins import set_password, user_named
from salesforce_standin.oauth.apps import App
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org


def show_settings(org: Org, _call: Call) -> Reply:
    """Show the org's settings."""
    return Reply(body=org.policy.show())


def change_settings(org: Org, call: Call) -> Reply:
    """Change some of the org's settings, all or none of those given."""
    try:
        org.policy.change(call.document())
    except ValueError as error:
        raise _invalid(error) from None
    org.remember("policy", org.policy.changed)
    return show_settings(org, call)


def list_apps(org: Org, _call: Call) -> Reply:
    """Show the apps, secrets and all: this is no API of the platform."""
    return Reply(body={"apps": org.apps.dump()})


def add_app(org: Org, call: Call) -> Reply:
    """Register another app."""
    try:
        app = org.apps.add(call.document())
    except ValueError as error:
        raise _invalid(error) from None
    org.remember("apps", org.apps.dump())
    return Reply(201, asdict(app))


def change_app(org: Org, call: Call) -> Reply:
    """Change some settings of an app."""
    app = _app(org, call)
    try:
        app.change(call.document())
    except ValueError as error:
        raise _invalid(error) from None
    org.remember("apps", org.apps.dump())
    return Reply(body=asdict(app))


def remove_app(org: Org, call: Call) -> Reply:
    """Delete an app with every token that it holds."""
    app = _app(org, call)
    org.apps.remove(app.client_id)
    org.sessions.end_app(app.client_id)
    org.remember("apps", org.apps.dump())
    org.keep_sessions()
    return Reply(204)


def give_password(org: Org, call: Call) -> Reply:
    """Give a user a password: ``{"username", "password"}``."""
    document = call.document()
    set_password(org, _user(org, document)["Id"], str(document["password"]))
    return Reply(204)


def expire_sessions(org: Org, call: Call) -> Reply:
    """End the access tokens of ``username``, or everybody's; the refresh tokens live on."""
    document = call.body or {}
    user_id = _user(org, document)["Id"] if "username" in document else None
    ended = org.sessions.expire(user_id)
    org.keep_sessions()
    return Reply(body={"ended": ended})


def _app(org: Org, call: Call) -> App:
    app = org.apps.find(unquote(call.path.rpartition("/")[2]))
    if app is None:
        raise not_found()
    return app


def _user(org: Org, document: dict[str, Any]) -> Row:
    user = user_named(org, str(document.get("username", "")))
    if user is None:
        raise fail(400, "INVALID_INPUT", f"there is no user {document.get('username')!r}")
    return user


def _invalid(error: ValueError) -> ApiError:
    return fail(400, "INVALID_INPUT", str(error))


# What is served, "/*" for one more part of the path.
RESOURCES: dict[str, Callable[[Org, Call], Reply]] = {
    "GET /settings": show_settings,
    "POST /settings": change_settings,
    "GET /apps": list_apps,
    "POST /apps": add_app,
    "PATCH /apps/*": change_app,
    "DELETE /apps/*": remove_app,
    "POST /passwords": give_password,
    "POST /sessions/expire": expire_sessions,
}
