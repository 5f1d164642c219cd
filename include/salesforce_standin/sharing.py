"""Whose records a user sees and may change: the org-wide defaults, without roles, groups and sharing rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

Rule = Callable[[Row], bool]

_SHARED = ("Account", "Contact", "Lead")
_PRIVATE, _BY_PARENT = "None", "ControlledByParent"


def default_of(org: Org, name: str) -> str:
    """Return the org-wide default of an object: ``None`` (private), ``Read``, ``Edit`` and others."""
    row = org.tables["Organization"].rows.get(org.settings.org_id, {})
    return str(row.get(f"Default{name}Access") or "Edit") if name in _SHARED else "Edit"


def visible(org: Org, user_id: str, name: str) -> Rule | None:
    """Return which rows a user without View All sees; None means every one."""
    default = default_of(org, name)
    if default == _PRIVATE:
        return lambda row: row.get("OwnerId") == user_id
    if default == _BY_PARENT:
        above = visible(org, user_id, "Account")
        return above and _by_account(org, user_id, above)
    return None


def changeable(org: Org, user_id: str, name: str) -> Rule | None:
    """Return which rows a user without Modify All may change; None means every one."""
    default = default_of(org, name)
    if default in {_PRIVATE, "Read"}:
        return lambda row: row.get("OwnerId") == user_id
    if default == _BY_PARENT:
        above = changeable(org, user_id, "Account")
        return above and _by_account(org, user_id, above)
    return None


def _by_account(org: Org, user_id: str, above: Rule) -> Rule:
    """Return the rule of contacts that follow their account; one without an account is its owner's alone."""
    accounts = org.tables["Account"].rows

    def follows(row: Row) -> bool:
        account = accounts.get(row.get("AccountId") or "")
        return row.get("OwnerId") == user_id if account is None else above(account)

    return follows
