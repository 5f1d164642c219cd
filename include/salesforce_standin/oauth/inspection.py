"""What becomes of a token, and what it says about itself: revoke and introspect (facts/salesforce.md 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin.http_call import Reply
from salesforce_standin.oauth.errors import refuse
from salesforce_standin.oauth.tokens import Asked, authenticate

if TYPE_CHECKING:
    from salesforce_standin.org import Org


def revoke(org: Org, asked: Asked) -> Reply:
    """End a token of either kind; with the last grant of an app the user's consent is gone, too."""
    grant = org.sessions.grants.find(asked.get("token"))
    if not org.sessions.revoke(asked.get("token")):
        raise refuse("unsupported_token_type", "this token type is not supported")
    org.keep_sessions()
    app = org.apps.find(grant.client_id) if grant else None
    if (
        grant
        and app
        and not any(g.user_id == grant.user_id for g in org.sessions.grants.of_app(app.client_id))
    ):
        app.consents.pop(grant.user_id, None)
        org.remember("apps", org.apps.dump())
    return Reply(200)


def introspect(org: Org, asked: Asked) -> Reply:
    """Say whether a token lives, and until when; an app learns about its own tokens only."""
    app = authenticate(org, asked.form, asked.authorization, without_secret=lambda a: a.public)
    given = asked.get("token")
    session, grant = org.sessions.peek(given), org.sessions.grants.find(given)
    holder = session or grant
    if holder is None or holder.client_id not in {"", app.client_id}:
        return Reply(body={"active": False})
    user = org.tables["User"].rows[holder.user_id]
    issued = int(holder.issued)
    body: dict[str, Any] = {
        "active": bool(user.get("IsActive")),
        "scope": holder.scope,
        "client_id": app.client_id,
        "username": user["Username"],
        "sub": f"{asked.base}/id/{org.settings.org_id}/{user['Id']}",
        "token_type": "access_token" if session else "refresh_token",
    }
    if session:
        body["exp"] = int(org.sessions.expires(session))
    return Reply(body={**body, "iat": issued, "nbf": issued})
