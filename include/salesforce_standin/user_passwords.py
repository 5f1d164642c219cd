"""The password of a user: whether it has run out, setting it, resetting it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from salesforce_standin import ids, rights
from salesforce_standin.errors import fail, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.logins import set_password

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_SHORTEST = 8


def show(org: Org, call: Call, user_id: str) -> Reply:
    """Say whether the password has run out; none ever does here."""
    _user(org, call, user_id)
    return Reply(body={"isExpired": False})


def change(org: Org, call: Call, user_id: str) -> Reply:
    """Set the password."""
    found = _user(org, call, user_id)
    wanted = call.document().get("NewPassword")
    if not isinstance(wanted, str) or len(wanted) < _SHORTEST:
        message = f"Your password must be at least {_SHORTEST} characters long."
        raise fail(400, "INVALID_NEW_PASSWORD", message)
    set_password(org, found, wanted)
    return Reply(204)


def reset(org: Org, call: Call, user_id: str) -> Reply:
    """Replace the password by one that is made up, and tell it."""
    found = _user(org, call, user_id)
    made = secrets.token_urlsafe(9)
    set_password(org, found, made)
    return Reply(body={"NewPassword": made})


def _user(org: Org, call: Call, user_id: str) -> str:
    id18 = ids.normalise(user_id)
    if id18 is None or id18 not in org.tables["User"].rows:
        raise not_found()
    if id18 != call.user_id:
        rights.require(org, call.user_id, "ManageUsers")
    return id18
