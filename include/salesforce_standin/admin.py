"""The stand-in's own interface under /standin: faults, the log of calls, the clock, and what has no REST resource.

Every request needs an access token of the org, as the API does; none of them counts as an API call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids, layouts, lifecycle, setup, switches, xml_text
from salesforce_standin.errors import RowError, fail, fail_row, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.org import Held

if TYPE_CHECKING:
    from salesforce_standin.org import Org

Entry = dict[str, Any]


class Admin:
    """What tests and people steer the stand-in with."""

    def __init__(self) -> None:
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
        if resource in _RESOURCES:
            return _RESOURCES[resource](self, org, call)
        if resource in _LIFECYCLE:
            try:
                return _LIFECYCLE[resource](org, call)
            except RowError as refused:
                raise fail_row(refused.faults) from None
        stem = f"{call.method} {call.path.rpartition('/')[0]}/*"
        served = switches.RESOURCES | setup.RESOURCES
        handler = served.get(resource) or served.get(stem)
        if handler is None:
            raise not_found()
        return handler(org, call)

    def list_faults(self, org: Org, _call: Call) -> Reply:
        """Show the faults with what is left of them."""
        return Reply(body={"faults": org.faults.listing()})

    def clear_faults(self, org: Org, _call: Call) -> Reply:
        """Let everything go well again."""
        org.faults.clear()
        return Reply(204)

    def add_faults(self, org: Org, call: Call) -> Reply:
        """Put one fault or a list of them in force."""
        rules = call.body if isinstance(call.body, list) else [call.document()]
        try:
            org.faults.add(rules)
        except ValueError as error:
            raise fail(400, "INVALID_INPUT", str(error)) from None
        return Reply(201, {"faults": org.faults.listing()})

    def calls(self, org: Org, call: Call) -> Reply:
        """Show the last requests, those after a number if ``after`` is given."""
        after = int(call.query.get("after", "0"))
        limit = int(call.query.get("limit", "1000"))
        first = self.totals["requests"] - len(self.log)
        entries = [{"number": first + place + 1, **entry} for place, entry in enumerate(self.log)]
        shown = [entry for entry in entries if entry["number"] > after][-limit:]
        return Reply(body={**self.totals, "api_usage": org.meter.used(), "calls": shown})

    def forget_calls(self, _org: Org, _call: Call) -> Reply:
        """Start the log anew."""
        self.log.clear()
        self.totals = dict.fromkeys(self.totals, 0)
        return Reply(204)


def _clock(org: Org) -> Reply:
    frozen = org.clock.frozen is not None
    return Reply(body={"offset": org.clock.offset, "frozen": frozen, "now": org.clock.stamp()})


def _set_clock(org: Org, call: Call) -> Reply:
    """Set the clock off by ``offset`` seconds, or by ``advance`` seconds more than it is; stop it, let it run."""
    document = call.document()
    if "advance" in document:
        org.clock.offset += float(document["advance"])
    elif "offset" in document:
        org.clock.offset = float(document["offset"])
    if "frozen" in document:
        org.clock.freeze(stop=bool(document["frozen"]))
    org.remember("clock_offset", org.clock.offset)
    return _clock(org)


def _set_usage(org: Org, call: Call) -> Reply:
    """Pretend that ``used`` calls were made just now."""
    org.meter.set_used(int(call.document()["used"]))
    return Reply(body={"used": org.meter.used(), "allowance": org.meter.allowance})


def _undelete(org: Org, call: Call) -> Reply:
    wanted = [_id(one) for one in call.document()["ids"]]
    return Reply(body={"ids": lifecycle.undelete(org, call.user_id, wanted)})


def _merge(org: Org, call: Call) -> Reply:
    document = call.document()
    losers = [_id(one) for one in document["loserIds"]]
    master = _id(document["masterId"])
    lifecycle.merge(org, call.user_id, master, losers, document.get("values") or {})
    return Reply(body={"id": master, "mergedRecordIds": losers})


def _convert(org: Org, call: Call) -> Reply:
    document = call.document()
    options = {key: value for key, value in document.items() if key != "leadId"}
    return Reply(body=lifecycle.convert(org, call.user_id, _id(document["leadId"]), options))


def _touch(org: Org, call: Call) -> Reply:
    document = call.document()
    wanted = [_id(one) for one in document.get("ids", ())]
    if "object" in document:
        wanted += [row["Id"] for row in org.tables[_object(org, document)].live()]
    return Reply(body={"SystemModstamp": lifecycle.touch(org, wanted, float(document.get("seconds", 0)))})


def _write(org: Org, call: Call) -> Reply:
    """Give a record values as the platform does itself: no check, no stamp moves, whatever field it is."""
    document = call.document()
    id18 = _id(document["id"])
    lifecycle.write(org, id18, document["values"])
    return Reply(body={"id": id18})


def _hold(org: Org, call: Call) -> Reply:
    """Keep what is written to an object from now on from queries, as replicas do that lag."""
    name = _object(org, call.document())
    org.held.setdefault(name, Held(org.clock.stamp()))
    return Reply(body={"held": sorted(org.held)})


def _release(org: Org, call: Call) -> Reply:
    """Let queries see an object, or all of them, as it is; the stamps are those of the writes."""
    if call.body:
        org.held.pop(_object(org, call.document()), None)
    else:
        org.held.clear()
    return Reply(body={"held": sorted(org.held)})


def _object(org: Org, document: dict[str, Any]) -> str:
    name = str(document.get("object"))
    if name not in org.objects:
        raise fail(400, "INVALID_INPUT", f"there is no object {name!r}")
    return name


def _layouts(org: Org) -> Reply:
    """Show every layout with its XML."""
    return Reply(body={"layouts": [{"fullName": r["FullName"], "xml": r["_xml"]} for r in layouts.rows(org)]})


def _set_layout(org: Org, call: Call) -> Reply:
    """Put other XML (what stands inside of <Layout>) in the place of a layout, as somebody does in Setup."""
    document = call.document()
    parsed = xml_text.read(f"<Layout>{document['xml']}</Layout>")
    if parsed is None:
        raise fail(400, "INVALID_INPUT", "xml can't be read")
    layouts.update(org, call.user_id, str(document["fullName"]), parsed)
    return Reply(204)


def _log_in(org: Org, call: Call) -> Reply:
    """Open a session for a user of a name."""
    name = str(call.document()["username"])
    user = next((one for one in org.users() if one["Username"] == name), None)
    if user is None:
        raise fail(404, "NOT_FOUND", f"no user is named {name}")
    session = org.sessions.open(user["Id"], scope="full")
    org.remember("sessions", org.sessions.dump())
    return Reply(201, {"access_token": session.token, "user_id": user["Id"]})


def _purge(org: Org, call: Call) -> Reply:
    """Remove records for good, as the recycle bin does in the end."""
    ids18 = [_id(one) for one in call.document()["ids"]]
    for id18 in ids18:
        sobject = org.sobject_of_id(id18)
        if sobject is not None:
            org.put(org.tables[sobject.name], id18, None)
    return Reply(body={"ids": ids18})


def _id(text: str) -> str:
    id18 = ids.normalise(text)
    if id18 is None:
        raise fail(400, "MALFORMED_ID", f"malformed id {text}")
    return id18


_RESOURCES: dict[str, Callable[[Admin, Org, Call], Reply]] = {
    "POST /faults": Admin.add_faults,
    "GET /faults": Admin.list_faults,
    "DELETE /faults": Admin.clear_faults,
    "GET /calls": Admin.calls,
    "DELETE /calls": Admin.forget_calls,
    "GET /clock": lambda _admin, org, _call: _clock(org),
    "POST /clock": lambda _admin, org, call: _set_clock(org, call),
    "GET /layouts": lambda _admin, org, _call: _layouts(org),
    "POST /sessions": lambda _admin, org, call: _log_in(org, call),
    "POST /usage": lambda _admin, org, call: _set_usage(org, call),
}
_LIFECYCLE: dict[str, Callable[[Org, Call], Reply]] = {
    "POST /layouts": _set_layout,
    "POST /records/undelete": _undelete,
    "POST /records/merge": _merge,
    "POST /records/convert": _convert,
    "POST /records/purge": _purge,
    "POST /records/touch": _touch,
    "POST /records/write": _write,
    "POST /records/hold": _hold,
    "POST /records/release": _release,
}
