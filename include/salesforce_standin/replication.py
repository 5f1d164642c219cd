"""getUpdated and getDeleted: the ids that changed or went in a window of time (facts/salesforce.md 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salesforce_standin import clock
from salesforce_standin.errors import fail
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import Access
from salesforce_standin.rows import access_to

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_DAY = 86400
_UPDATED_DAYS = 30
_DELETED_DAYS = 15
_MOST = 600_000


def updated(org: Org, call: Call, name: str) -> Reply:
    """List the ids of records created or changed in the window."""
    access = _replicated(org, call, name)
    start, end = _covered(org, access, *_window(org, call, _UPDATED_DAYS))
    found = [
        row["Id"]
        for row in access.table.changed_since(start)
        if row["SystemModstamp"] < end and not row.get("IsDeleted")
    ]
    if len(found) > _MOST:
        raise fail(400, "EXCEEDED_ID_LIMIT", f"Maximum of {_MOST} ids exceeded")
    return Reply(body={"ids": found, "latestDateCovered": end})


def deleted(org: Org, call: Call, name: str) -> Reply:
    """List the ids of records deleted in the window."""
    access = _replicated(org, call, name)
    start, end = _covered(org, access, *_window(org, call, _DELETED_DAYS))
    found = [
        {"id": row["Id"], "deletedDate": row["_deleted"]}
        for row in access.table.changed_since(start)
        if start <= row.get("_deleted", "") < end
    ]
    earliest = _minute(clock.stamp_of(org.clock.now() - _DELETED_DAYS * _DAY))
    return Reply(body={"deletedRecords": found, "earliestDateAvailable": earliest, "latestDateCovered": end})


def _covered(org: Org, access: Access, start: str, end: str) -> tuple[str, str]:
    """Return the window as far as it is complete: what is held back lies beyond it (facts/salesforce.md 4.6)."""
    held = org.held.get(access.sobject.name)
    return start, min(end, held.since) if held else end


def _replicated(org: Org, call: Call, name: str) -> Access:
    access = access_to(org, call, name)
    if "SystemModstamp" not in access.sobject.fields:
        raise fail(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {name} does not support replication")
    return access


def _window(org: Org, call: Call, days: int) -> tuple[str, str]:
    """Return the window with the seconds cut off; its end is never later than now."""
    bounds = []
    for name in ("start", "end"):
        text = call.query.get(name)
        if text is None:
            raise fail(400, "MISSING_ARGUMENT", f"Missing required parameter: {name}")
        # A plus sign that the client forgot to encode arrives as a space.
        stamp = clock.parse_datetime(text.strip().replace(" ", "+"))
        if stamp is None:
            raise fail(400, "INVALID_REPLICATION_DATE", f"Invalid date: {text}")
        bounds.append(_minute(stamp))
    start, end = bounds
    if clock.epoch_of(end) - clock.epoch_of(start) < 60:
        message = "startDate must be at least one minute greater than endDate"
        raise fail(400, "INVALID_REPLICATION_DATE", message)
    if org.clock.now() - clock.epoch_of(start) > days * _DAY:
        raise fail(400, "INVALID_REPLICATION_DATE", f"startDate cannot be more than {days} days ago")
    return start, min(end, _minute(org.clock.stamp()))


def _minute(stamp: str) -> str:
    """Cut the seconds off, as the platform does with every bound of a window."""
    return stamp[:17] + "00.000+0000"
