"""What the system permissions of a user open, beyond rows and fields (facts/salesforce.md 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salesforce_standin.errors import ApiError, fail
from salesforce_standin.permissions import holds

if TYPE_CHECKING:
    from salesforce_standin.org import Org

API_DISABLED = ("API_CURRENTLY_DISABLED", "API is disabled for this User")
_NO_LEVEL = "You do not have the level of access necessary to perform the operation you requested."


def may_use_api(org: Org, user_id: str) -> bool:
    """Whether any API at all is open to a user."""
    return holds(org, user_id, "ApiEnabled")


def require(org: Org, user_id: str, *rights: str) -> None:
    """Refuse a request of a user who has none of some permissions."""
    if not holds(org, user_id, *rights):
        raise no_access()


def no_access() -> ApiError:
    """Return the reply to a request that the user may not make."""
    return fail(403, "INSUFFICIENT_ACCESS", _NO_LEVEL)
