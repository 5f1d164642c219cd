"""The row resources: one record at a time, by id or by an external id, with conditional headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import conditional, ids
from salesforce_standin.errors import ApiError, Fault, RowError, fail, fail_row, not_found
from salesforce_standin.fields import Field
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import Access
from salesforce_standin.records import Ambiguous, Writer, key_field
from salesforce_standin.row_values import find_live
from salesforce_standin.soql.binding import address
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org


_VIEWED = frozenset({"LastViewedDate", "LastReferencedDate"})


def access_to(org: Org, call: Call, name: str) -> Access:
    """Return the caller's view of the object in an address."""
    sobject = org.object_named(name)
    if sobject is None or (sobject.tooling and not call.tooling):
        raise not_found()
    access = org.access(call.user_id, sobject.name)
    if not access.may_read:
        raise not_found()
    return access


def render(access: Access, row: Row, root: str, names: list[str] | None = None) -> dict[str, Any]:
    """Return a record with every field that the caller sees, or those named; nulls are shown."""
    kind = access.sobject.name
    record: dict[str, Any] = {"attributes": {"type": kind, "url": f"{root}/sobjects/{kind}/{row['Id']}"}}
    for name in names if names is not None else access.readable:
        field = access.readable[name]
        if field.parts:
            record[name] = address(field, row)
        else:
            record[name] = row.get(name, False if field.type == "boolean" else None)
    return record


def field_names(access: Access, wanted: list[str]) -> list[str]:
    """Return the proper names of the fields asked for."""
    names = []
    for name in wanted:
        field = access.find(name.strip())
        if field is None:
            raise fail(
                400,
                "INVALID_FIELD",
                f"No such column '{name.strip()}' on sobject of type {access.sobject.name}",
            )
        names.append(field.name)
    return names


def find(org: Org, call: Call, name: str, id_text: str) -> tuple[Access, Row]:
    """Return a record that the caller may see, with the view of its object."""
    access = access_to(org, call, name)
    row = access.table.rows.get(_id(id_text))
    if row is None or row.get("IsDeleted") or not access.shows(row):
        raise not_found()
    return access, row


def get(org: Org, call: Call, name: str, id_text: str) -> Reply:
    """Read a record."""
    return _shown(org, call, *find(org, call, name, id_text))


def _shown(org: Org, call: Call, access: Access, row: Row) -> Reply:
    unchanged = conditional.refusal(call, row)
    if unchanged is not None:
        return unchanged
    wanted = call.query.get("fields")
    names = field_names(access, wanted.split(",")) if wanted else None
    if names is not None and "Id" not in names:
        names.append("Id")  # always comes along, at the end
    record = render(access, row, call.root, names)
    if "updatemru=false" not in call.headers.get("sforce-mru", "").lower().replace(" ", ""):
        # Reading one record is looking at it; queries are not (REST:mru-header).
        record |= dict.fromkeys(_VIEWED & record.keys(), org.clock.stamp())
    return Reply(body=record, headers=conditional.marks(row))


def create(org: Org, call: Call, name: str) -> Reply:
    """Create a record."""
    access = access_to(org, call, name)
    data = call.document()
    # REST:create-a-record; rows of a collection say it otherwise.
    if any(given.lower() == "id" for given in data):
        raise _key_in_body("Id")
    try:
        outcome = Writer(org, call.user_id, call.headers).insert(access.sobject.name, data)
    except RowError as refused:
        raise fail_row(refused.faults) from None
    location = f"{call.root}/sobjects/{access.sobject.name}/{outcome.id}"
    return Reply(201, {"id": outcome.id, "success": True, "errors": []}, {"Location": location})


def update(org: Org, call: Call, name: str, id_text: str) -> Reply:
    """Change a record."""
    access = access_to(org, call, name)
    id18 = _id(id_text)
    row = access.table.rows.get(id18)
    if row is None and id18.startswith(access.sobject.prefix):
        raise not_found()
    stale = conditional.refusal(call, row) if row and not row.get("IsDeleted") else None
    if stale is not None:
        return stale
    try:
        Writer(org, call.user_id, call.headers).update(access.sobject.name, id18, call.document())
    except RowError as refused:
        raise fail_row(refused.faults) from None
    return Reply(204)


def delete(org: Org, call: Call, name: str, id_text: str) -> Reply:
    """Delete a record."""
    access = access_to(org, call, name)
    id18 = _id(id_text)
    if id18 not in access.table.rows and id18.startswith(access.sobject.prefix):
        raise not_found()
    try:
        Writer(org, call.user_id, call.headers).delete(access.sobject.name, id18)
    except RowError as refused:
        raise fail_row(refused.faults) from None
    return Reply(204)


def get_by_key(org: Org, call: Call, name: str, key: str, value: str) -> Reply:
    """Read the record that an external id names."""
    access = access_to(org, call, name)
    found = _named(access, key_field(access, key), value)
    if not found:
        raise not_found()
    if len(found) > 1:
        raise _several(call, access, [row["Id"] for row in found])
    return _shown(org, call, access, found[0])


def _named(access: Access, key: Field, value: str) -> list[Row]:
    """Return the live records that a key names."""
    try:
        return find_live(access.table, key, value)
    except RowError as refused:  # no value at all
        raise fail_row(refused.faults) from None


def upsert(org: Org, call: Call, name: str, key: str, value: str) -> Reply:
    """Change the record that an external id names, or create it."""
    access = access_to(org, call, name)
    field = key_field(access, key)
    data = call.document()
    if any(given.lower() == field.name.lower() for given in data):
        raise _key_in_body(field.name)
    if field.type == "id" and value:
        return update(org, call, name, value)
    found = _named(access, field, value)
    stale = conditional.refusal(call, found[0]) if len(found) == 1 else None
    if stale is not None:
        return stale
    update_only = call.query.get("updateOnly", "").lower() == "true"
    try:
        outcome = Writer(org, call.user_id, call.headers).upsert(
            access.sobject.name, field, value, data, update_only=update_only
        )
    except Ambiguous as several:
        raise _several(call, access, several.ids) from None
    except RowError as refused:
        raise fail_row(refused.faults) from None
    return _upserted(call, access, outcome.id, created=bool(outcome.created))


def _upserted(call: Call, access: Access, id18: str | None, *, created: bool) -> Reply:
    if call.version < 46:  # facts/salesforce.md 4.1
        return Reply(201, {"id": id18, "success": True, "errors": []}) if created else Reply(204)
    reply = Reply(201 if created else 200, {"id": id18, "success": True, "errors": [], "created": created})
    if created:
        reply.headers["Location"] = f"{call.root}/sobjects/{access.sobject.name}/{id18}"
    return reply


def delete_by_key(org: Org, call: Call, name: str, key: str, value: str) -> Reply:
    """Delete the record that an external id names."""
    access = access_to(org, call, name)
    found = _named(access, key_field(access, key), value)
    if not found:
        raise not_found()
    if len(found) > 1:
        raise _several(call, access, [row["Id"] for row in found])
    return delete(org, call, name, found[0]["Id"])


def _key_in_body(name: str) -> ApiError:
    return fail(400, "INVALID_FIELD", f"The {name} field should not be specified in the sobject data.")


def _several(call: Call, access: Access, ids18: list[str]) -> ApiError:
    return ApiError(300, [f"{call.root}/sobjects/{access.sobject.name}/{id18}" for id18 in ids18])


def _id(text: str) -> str:
    """Return the 18-character id in an address."""
    id18 = ids.normalise(text)
    if id18 is None and len(text) in (15, 18) and text.isalnum():
        raise fail(400, "MALFORMED_ID", f"malformed id {text}")
    if id18 is None:
        message = f"Provided external ID field does not exist or is not accessible: {text}"
        raise fail_row([Fault("NOT_FOUND", message, None)])
    return id18
