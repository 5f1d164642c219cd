"""What a refusal of the token endpoint means: a pure translation into one of our errors, each with what helps.

The codes and wordings are those of facts/salesforce.md 2.3.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from crm_sync.access.app import GrantName
from crm_sync.errors import Misconfigured, NotSent, ReconnectNeeded, SyncError

__all__ = ["REMEDIES", "grant_error"]

TOO_MANY: Final = timedelta(minutes=10)
REMEDIES: Final = {
    "invalid_client_id": "the consumer key is not known there: copy it again from the external client app",
    "invalid_client": "the consumer key or secret is wrong, or the app was deleted: copy both again from the external "
    "client app",
    "invalid_client_credentials": "the consumer secret is wrong: copy it again from the external client app",
    "inactive_user": "the integration user is inactive: activate it, or choose another, and connect again",
    "inactive_org": "the org is locked or suspended: ask its administrator, and connect again",
    "invalid_app_access": "the integration user may not use the app: assign its profile or a permission set to the "
    "app, and connect again",
    "unsupported_grant_type": "the app does not allow this grant: switch it on in the app's OAuth settings, and connect "
    "again",
    "unsupported_response_type": "the app does not allow the authorization code flow: switch it on in its settings",
    "invalid_scope": "the app lacks a scope: add 'Manage user data via APIs (api)' and 'Perform requests at any time "
    "(refresh_token)' to it, and connect again",
    "invalid_request": "the grant is refused: use the org's My Domain address, and connect again",
    "redirect_uri_mismatch": "the callback address is not the app's: enter exactly the one that docs/connect-salesforce.md "
    "names in the app's OAuth settings",
    "access_denied": "consent was not given: connect again and choose Allow",
    "login_required": "nobody logged in: connect again and log in as the integration user",
}
"""What helps, by the error of the authorize and the token endpoint."""

GRANT_REMEDIES: Final[dict[GrantName, str]] = {
    "client_credentials": "the app has no run-as user: choose one under 'Client Credentials Flow' of the app's policies",
    "authorization_code": "the grant is dead (revoked, expired, used before, or it made room for a sixth log-in of the "
    "same user): connect again",
    "jwt_bearer": "the signed log-in was not accepted: compare user name, certificate and this machine's clock, and give "
    "the app 'Admin approved users are pre-authorized' with a permission set of the user",
}
"""What helps against invalid_grant, by the grant."""

WORDED: Final[tuple[tuple[str, str, GrantName], ...]] = (
    ("authorization code", "the code came too late or a second time: connect again", "authorization_code"),
    ("code verifier", "the log-in was finished by another one than began it: connect again", "authorization_code"),
    ("approved this consumer", "let the app pre-authorize its users, and give the integration user a permission set of it",
     "jwt_bearer"),
)  # fmt: skip
"""What helps against invalid_grant and invalid_request where the description says more than the code."""


def grant_error(code: str, description: str, grant: GrantName, address: str) -> SyncError:
    """The error that a refusal stands for; ReconnectNeeded when asking again without a person is useless."""
    words = " ".join(description.split())[:200]
    said = f"log-in at {address} was refused: {code} ({words})"
    if code == "rate_limit_exceeded":
        return NotSent(f"log-in at {address}: too many log-ins in the last hour; it is tried again", TOO_MANY)
    lower = words.lower()
    if code == "invalid_grant" and ("ip restricted" in lower or "login hours" in lower):
        # Login hours pass by themselves: the next run may ask again, this one may not.
        return Misconfigured(
            f"{said}; this machine's address is outside the IP ranges, or it is outside the login hours, of the "
            "integration user: allow both in its profile or in the app's policies"
        )
    for part, remedy, of in WORDED:
        if part in lower and grant == of:
            return ReconnectNeeded(f"{said}; {remedy}")
    if code == "invalid_grant":
        return ReconnectNeeded(f"{said}; {GRANT_REMEDIES[grant]}")
    return ReconnectNeeded(
        f"{said}; {REMEDIES.get(code, 'check the policies of the app, and connect again')}"
    )
