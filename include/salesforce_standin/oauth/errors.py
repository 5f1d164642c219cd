"""How the authorization server says no."""

from __future__ import annotations

from salesforce_standin.errors import ApiError
from salesforce_standin.logins import Refused


def refuse(code: str, description: str, status: int = 400) -> ApiError:
    """Return the reply of the token endpoint and its neighbours to what they refuse (facts/salesforce.md 2.3)."""
    return ApiError(status, {"error": code, "error_description": description})


def refuse_login(why: Refused) -> ApiError:
    """Return the token endpoint's reply to a user who may not log in."""
    return refuse(why.code, why.description)


def app_unknown() -> ApiError:
    """Return the reply to a consumer key that no app has, or none any more."""
    return refuse("invalid_client_id", "client identifier invalid")


NOT_APPROVED = ("invalid_app_access", "user is not admin approved to access this app")
