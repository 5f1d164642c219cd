"""What happens to records outside CRUD: undelete, merge and lead conversion (facts/salesforce.md 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import clock, row_values
from salesforce_standin.errors import DELETED, Fault, RowError
from salesforce_standin.permission_rules import DEPENDENTS
from salesforce_standin.records import Writer
from salesforce_standin.tables import Row, Table

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MERGED = frozenset({"Account", "Contact", "Lead"})
_MOST_MERGED = 3
# The one status of leads that means converted.
CONVERTED = "Closed - Converted"


def _row(org: Org, id18: str) -> tuple[Table, Row]:
    sobject = org.sobject_of_id(id18)
    row = org.tables[sobject.name].rows.get(id18) if sobject else None
    if sobject is None or row is None:
        raise RowError(Fault("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ()))
    return org.tables[sobject.name], row


def _live(org: Org, id18: str) -> tuple[Table, Row]:
    table, row = _row(org, id18)
    if row.get("IsDeleted"):
        raise RowError(DELETED)
    return table, row


def undelete(org: Org, user_id: str, ids18: list[str]) -> list[str]:
    """Bring records back from the recycle bin, with the children that went in the same moment."""
    writer = Writer(org, user_id)
    restored: list[str] = []
    for id18 in ids18:
        table, row = _row(org, id18)
        if not row.get("IsDeleted") or row.get("MasterRecordId"):
            raise RowError(Fault("UNDELETE_FAILED", "Entity is not in the recycle bin", ()))
        _restore(org, writer, table, row, restored)
        for child, reference in DEPENDENTS.get(table.sobject.name, ()):
            below = org.tables[child]
            for other in below.by_value(below.sobject.fields[reference], id18):
                if other.get("IsDeleted") and other["_deleted"] == row["_deleted"]:
                    _restore(org, writer, below, other, restored)
    return restored


def _restore(org: Org, writer: Writer, table: Table, row: Row, restored: list[str]) -> None:
    back = {**row, "IsDeleted": False, **writer.touch(table)}
    del back["_deleted"]
    row_values.refuse_twins(table, back, row)
    org.put(table, back["Id"], back)
    restored.append(back["Id"])


def merge(org: Org, user_id: str, master_id: str, loser_ids: list[str], values: dict[str, Any]) -> str:
    """Merge up to two records into a third: their children move, nothing else of them is kept."""
    table, master = _live(org, master_id)
    if table.sobject.name not in _MERGED or not loser_ids or len(loser_ids) >= _MOST_MERGED:
        raise RowError(Fault("INVALID_OPERATION", "up to three records of one type can be merged", ()))
    writer = Writer(org, user_id)
    for loser_id in loser_ids:
        other, loser = _live(org, loser_id)
        if other is not table or loser_id == master_id:
            raise RowError(Fault("INVALID_OPERATION", "the records must differ and be of one type", ()))
        _move_children(org, writer, table.sobject.name, loser_id, master_id)
        writer.bury(table, loser, MasterRecordId=master_id)
    if values:
        writer.update(table.sobject.name, master_id, values)
    else:
        org.put(table, master_id, {**master, **writer.touch(table)})
    return master_id


def _move_children(org: Org, writer: Writer, kind: str, loser_id: str, master_id: str) -> None:
    for sobject in org.objects.values():
        if not sobject.soft_deletes:
            continue
        table = org.tables[sobject.name]
        for field in sobject.references():
            if kind in field.reference_to and table.indexed(field.name) and field.name != "MasterRecordId":
                for child in table.by_value(field, loser_id):
                    org.put(table, child["Id"], {**child, field.name: master_id, **writer.touch(table)})


def convert(org: Org, user_id: str, lead_id: str, options: dict[str, Any]) -> dict[str, Any]:
    """Convert a lead into a contact of a new or given account; afterwards it is read-only to the API."""
    table, lead = _live(org, lead_id)
    if table.sobject.name != "Lead" or lead.get("IsConverted"):
        raise RowError(Fault("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ()))
    writer = Writer(org, user_id)
    account_id = options.get("accountId") or writer.insert("Account", _account_of(lead)).id
    contact_id = options.get("contactId")
    if contact_id:
        _live(org, contact_id)
    else:
        contact_id = writer.insert("Contact", {**_contact_of(lead), "AccountId": account_id}).id
    row = {
        **lead,
        "Status": options.get("convertedStatus") or CONVERTED,
        "IsConverted": True,
        "ConvertedDate": writer.stamp[:10],
        "ConvertedAccountId": account_id,
        "ConvertedContactId": contact_id,
        **writer.touch(table),
    }
    org.put(table, lead_id, row)
    return {"accountId": account_id, "contactId": contact_id, "leadId": lead_id, "opportunityId": None}


def _account_of(lead: Row) -> Row:
    same = ("Phone", "Fax", "Website", "Industry", "Rating", "AnnualRevenue", "NumberOfEmployees", "OwnerId")
    account = {"Name": lead["Company"], **{name: lead.get(name) for name in same}}
    for part in ("Street", "City", "State", "PostalCode", "Country"):
        account["Billing" + part] = lead.get(part)
    return account


def _contact_of(lead: Row) -> Row:
    same = (
        "FirstName", "LastName", "Salutation", "Title", "Email", "Phone", "MobilePhone", "Fax", "LeadSource",
        "Description", "OwnerId", "HasOptedOutOfEmail", "DoNotCall",
    )  # fmt: skip
    contact = {name: lead.get(name) for name in same}
    for part in ("Street", "City", "State", "PostalCode", "Country"):
        contact["Mailing" + part] = lead.get(part)
    return contact


def purge(org: Org, id18: str) -> None:
    """Take a record out of the recycle bin for good."""
    table, row = _row(org, id18)
    if not row.get("IsDeleted"):
        raise RowError(Fault("DELETE_FAILED", "Entity is not in the recycle bin", ()))
    org.put(table, id18, None)


def touch(org: Org, ids18: list[str], seconds: float) -> str:
    """Move SystemModstamp alone, as automation does; a stamp in the past is a change that is seen late."""
    stamp = clock.stamp_of(org.clock.now() + seconds)
    for id18 in ids18:
        table, row = _row(org, id18)
        org.put(table, id18, {**row, "SystemModstamp": stamp})
    return stamp


def write(org: Org, id18: str, values: dict[str, Any]) -> None:
    """Set values that no client can, such as a formula's: nothing else of the record moves, no stamp either."""
    table, row = _row(org, id18)
    unknown = [name for name in values if name not in table.sobject.fields]
    if unknown:
        raise RowError(
            Fault("INVALID_FIELD", f"{table.sobject.name} has no field {unknown[0]}", (unknown[0],))
        )
    org.put(table, id18, {**row, **values})
