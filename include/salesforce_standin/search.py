"""The search resources: /search with SOSL, /parameterizedSearch with parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from salesforce_standin.errors import fail
from salesforce_standin.fields import TEXTS
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import GUARDED, Access
from salesforce_standin.soql.evaluate import Reader
from salesforce_standin.soql.parser import parse
from salesforce_standin.sosl import Search, Wanted, matcher, words
from salesforce_standin.sosl import parse as read
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST = 2000
_KINDS = {"EMAIL": {"email"}, "PHONE": {"phone"}}
_NAMES = frozenset({"Name", "FirstName", "LastName", "MiddleName"})
# From this version on the records stand in a list of a name of its own.
_WRAPPED = 37


def search(org: Org, call: Call) -> Reply:
    """Find records by SOSL."""
    return _answer(org, call, read(call.query.get("q", ""), _MOST))


def parameterized(org: Org, call: Call) -> Reply:
    """Find records by parameters, in the address or in the body."""
    asked = call.document() if call.method == "POST" else _of_address(call)
    term, most = asked.get("q"), asked.get("overallLimit") or _MOST
    if not term:
        raise fail(400, "MISSING_ARGUMENT", "q parameter is required")
    objects = tuple(_wanted(one, asked) for one in asked.get("sobjects") or ())
    group = str(asked.get("in") or "ALL").upper()
    return _answer(org, call, Search(matcher(str(term)), group, objects, min(int(most), _MOST)))


def _of_address(call: Call) -> dict[str, Any]:
    """Return the parameters as a body would have them; ``Account.fields`` is of one object."""
    fields = call.query.get("fields", "")
    names = [name for name in call.query.get("sobject", "").split(",") if name]
    sobjects = [
        {
            "name": name,
            "fields": [one for one in call.query.get(f"{name}.fields", fields).split(",") if one],
            "where": call.query.get(f"{name}.where"),
            "limit": call.query.get(f"{name}.limit"),
        }
        for name in names
    ]
    return {**call.query, "sobjects": sobjects}


def _wanted(one: dict[str, Any], asked: dict[str, Any]) -> Wanted:
    fields = one.get("fields") or asked.get("fields") or ["Id"]
    limit = one.get("limit") or asked.get("defaultLimit")
    where, order = one.get("where"), one.get("orderBy")
    clauses = " ".join(
        f"{word} {value}"
        for word, value in (("WHERE", where), ("ORDER BY", order), ("LIMIT", limit))
        if value
    )
    return Wanted(str(one["name"]), ", ".join(fields), clauses)


def _answer(org: Org, call: Call, search: Search) -> Reply:
    reader = Reader(org, call.user_id, call.root)
    wanted = search.objects or tuple(
        Wanted(name) for name in GUARDED if org.access(call.user_id, name).may_read
    )
    records = [record for one in wanted for record in _found(org, reader, search, one)][: search.limit]
    return Reply(body={"searchRecords": records} if call.version >= _WRAPPED else records)


def _found(org: Org, reader: Reader, search: Search, wanted: Wanted) -> list[dict[str, Any]]:
    """Return one object's records: those of its query in which the words stand."""
    fields = wanted.fields.strip() or "Id"
    query = parse(f"SELECT {fields} FROM {wanted.name} {wanted.clauses}")  # noqa: S608 - SOQL, and the caller's own
    result = reader.run(replace(query, limit=None, offset=0))
    texts = _texts(org.access(reader.user_id, result.entity), search.group)
    rows = [row for row in result.rows if search.matches(texts(row))]
    last = None if query.limit is None else query.offset + query.limit
    return [result.show(row) for row in rows[query.offset : last]]


def _texts(access: Access, group: str) -> Callable[[Row], list[list[str]]]:
    """Return what gathers the words of the fields that are looked through."""
    fields = [field for field in access.readable.values() if field.type in TEXTS and not field.parts]
    if group in _KINDS:
        fields = [field for field in fields if field.type in _KINDS[group]]
    if group == "NAME":
        fields = [field for field in fields if field.name in _NAMES]
    names = [field.name for field in fields]
    return lambda row: [words(str(value)) for name in names if (value := row.get(name))]
