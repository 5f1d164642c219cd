"""The stand-in's own interface under /standin: faults, the log of calls, the clock, and what has no REST resource.

Every request needs an access token of the org, as the API does; none of them counts as an API call.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids, lifecycle
from salesforce_standin.errors import RowError, fail, fail_row, not_found
from salesforce_standin.faults import Faults
from salesforce_standin.http_call import Call, Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org

Entry = dict[str, Any]


class Admin:
    """What tests and people steer the stand-in with."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.log: deque[Entry] = deque(maxlen=20_000)
        self.totals = {"requests": 0, "counted": 0, "rows_written": 0}

    def note(self, entry: Entry) -> None:
        """Log a served request."""
        self.log.append(entry)
        self.totals["requests"] += 1
        self.totals["counted"] += entry["counted"]
        self.totals["rows_written"] += entry["rows_written"]

    def serve(self, org: Org, call: Call) -> Reply:
        """Answer a request under /standin."""
        resource = f"{call.method} {call.path}"
        if resource == "POST /faults":
            return self._add_faults(call)
        if resource == "GET /faults":
            return Reply(body={"faults": self.faults.listing()})
        if resource == "DELETE /faults":
            self.faults.clear()
            return Reply(204)
        if resource == "GET /calls":
            return self._calls(org, call)
        if resource == "DELETE /calls":
            self.log.clear()
            self.totals = dict.fromkeys(self.totals, 0)
            return Reply(204)
        if resource == "GET /clock":
            return Reply(body={"offset": org.clock.offset, "now": org.clock.stamp()})
        if resource == "POST /clock":
            return self._clock(org, call)
        if resource == "POST /usage":
            org.meter.set_used(int(call.document()["used"]))
            return Reply(body={"used": org.meter.used(), "allowance": org.meter.allowance})
        if resource in {"POST /records/undelete", "POST /records/merge", "POST /records/convert", "POST /records/purge"}:
            try:
                return self._records(org, call)
            except RowError as refused:
                raise fail_row(refused.faults) from None
        raise not_found()

    def _add_faults(self, call: Call) -> Reply:
        rules = call.body if isinstance(call.body, list) else [call.document()]
        try:
            self.faults.add(rules)
        except ValueError as error:
            raise fail(400, "INVALID_INPUT", str(error)) from None
        return Reply(201, {"faults": self.faults.listing()})

    def _calls(self, org: Org, call: Call) -> Reply:
        """Show the last requests, those after a number if ``after`` is given."""
        after = int(call.query.get("after", "0"))
        limit = int(call.query.get("limit", "1000"))
        first = self.totals["requests"] - len(self.log)
        entries = [{"number": first + place + 1, **entry} for place, entry in enumerate(self.log)]
        shown = [entry for entry in entries if entry["number"] > after][-limit:]
        return Reply(body={**self.totals, "api_usage": org.meter.used(), "calls": shown})

    def _clock(self, org: Org, call: Call) -> Reply:
        document = call.document()
        if "advance" in document:
            org.clock.offset += float(document["advance"])
        else:
            org.clock.offset = float(document["offset"])
        org.remember("clock_offset", org.clock.offset)
        return Reply(body={"offset": org.clock.offset, "now": org.clock.stamp()})

    def _records(self, org: Org, call: Call) -> Reply:
        document = call.document()
        if call.path.endswith("/undelete"):
            found = [_id(one) for one in document["ids"]]
            return Reply(body={"ids": lifecycle.undelete(org, call.user_id, found)})
        if call.path.endswith("/merge"):
            losers = [_id(one) for one in document["loserIds"]]
            master = lifecycle.merge(org, call.user_id, _id(document["masterId"]), losers, document.get("values") or {})
            return Reply(body={"id": master, "mergedRecordIds": losers})
        if call.path.endswith("/purge"):
            return Reply(body={"ids": _purge(org, [_id(one) for one in document["ids"]])})
        options = {key: value for key, value in document.items() if key != "leadId"}
        return Reply(body=lifecycle.convert(org, call.user_id, _id(document["leadId"]), options))


def _purge(org: Org, ids18: list[str]) -> list[str]:
    """Remove records for good, as the recycle bin does in the end."""
    for id18 in ids18:
        sobject = org.sobject_of_id(id18)
        if sobject is not None:
            org.put(org.tables[sobject.name], id18, None)
    return ids18


def _id(text: str) -> str:
    id18 = ids.normalise(text)
    if id18 is None:
        raise fail(400, "MALFORMED_ID", f"malformed id {text}")
    return id18
