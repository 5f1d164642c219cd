"""Who a token stands for: OpenID claims and the identity URL (facts/salesforce.md 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salesforce_standin import ids
from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org


def refused(status: int, text: str) -> ApiError:
    """Return how these two addresses say no: one word of plain text, and 403 for a token that does not live."""
    return ApiError(status, text.encode(), {"Content-Type": "text/plain;charset=UTF-8"})


def userinfo(org: Org, user_id: str, base: str) -> Reply:
    """Describe the token's user with OpenID claims."""
    user = org.tables["User"].rows[user_id]
    org_id = org.settings.org_id
    body = {
        "sub": f"{base}/id/{org_id}/{user_id}",
        "user_id": user_id,
        "organization_id": org_id,
        "preferred_username": user["Username"],
        "nickname": user["Alias"],
        "name": user["Name"],
        "email": user["Email"],
        "email_verified": True,
        "given_name": user.get("FirstName"),
        "family_name": user["LastName"],
        "zoneinfo": user["TimeZoneSidKey"],
        "photos": {"picture": f"{base}/profilephoto/005/F", "thumbnail": f"{base}/profilephoto/005/T"},
        "profile": f"{base}/{user_id}",
        "picture": f"{base}/profilephoto/005/F",
        "address": {},
        "urls": _urls(base, org_id, user_id),
        "active": bool(user.get("IsActive")),
        "user_type": "STANDARD",
        "language": user["LanguageLocaleKey"],
        "locale": user["LocaleSidKey"],
        "utcOffset": 0,
        "updated_at": user["LastModifiedDate"].replace(".000+0000", "Z"),
    }
    return Reply(body=body)


def identity(org: Org, path: str, viewer_id: str, base: str) -> Reply:
    """Describe the user of an identity URL, ``/id/<org>/<user>``."""
    org_id = org.settings.org_id
    named_org, _, named_user = path.removeprefix("/id/").partition("/")
    if ids.normalise(named_org) != org_id:
        raise refused(403, "Wrong_Org")
    user = org.tables["User"].rows.get(ids.normalise(named_user.rstrip("/")) or "")
    if user is None:
        raise refused(404, "Bad_Id")
    user_id = user["Id"]
    body = {
        "id": f"{base}/id/{org_id}/{user_id}",
        "asserted_user": user_id == viewer_id,
        "user_id": user_id,
        "organization_id": org_id,
        "username": user["Username"],
        "nick_name": user["Alias"],
        "display_name": user["Name"],
        "email": user["Email"],
        "email_verified": True,
        "first_name": user.get("FirstName"),
        "last_name": user["LastName"],
        "timezone": user["TimeZoneSidKey"],
        "photos": {"picture": f"{base}/profilephoto/005/F", "thumbnail": f"{base}/profilephoto/005/T"},
        "addr_street": None,
        "addr_city": None,
        "addr_state": None,
        "addr_country": None,
        "addr_zip": None,
        "mobile_phone": None,
        "mobile_phone_verified": False,
        "is_lightning_login_user": False,
        "status": {"created_date": None, "body": None},
        "urls": _urls(base, org_id, user_id),
        "active": bool(user.get("IsActive")),
        "user_type": "STANDARD",
        "language": user["LanguageLocaleKey"],
        "locale": user["LocaleSidKey"],
        "utcOffset": 0,
        "last_modified_date": user["LastModifiedDate"],
        "is_app_installed": True,
    }
    return Reply(body=body)


def _urls(base: str, org_id: str, user_id: str) -> dict[str, str]:
    rest = f"{base}/services/data/v{{version}}/"
    return {
        "enterprise": f"{base}/services/Soap/c/{{version}}/{org_id[:15]}",
        "metadata": f"{base}/services/Soap/m/{{version}}/{org_id[:15]}",
        "partner": f"{base}/services/Soap/u/{{version}}/{org_id[:15]}",
        "rest": rest,
        "sobjects": f"{rest}sobjects/",
        "search": f"{rest}search/",
        "query": f"{rest}query/",
        "recent": f"{rest}recent/",
        "tooling_soap": f"{base}/services/Soap/T/{{version}}/{org_id[:15]}",
        "tooling_rest": f"{rest}tooling/",
        "profile": f"{base}/{user_id}",
        "custom_domain": base,
    }
