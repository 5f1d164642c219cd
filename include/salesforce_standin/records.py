"""Writing single records: create, change, upsert and delete, each with every check that the platform makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids, row_values, rules
from salesforce_standin.errors import DELETED, NOT_FOUND, Fault, RowError, fail
from salesforce_standin.permission_rules import DELETE_RULES, DEPENDENTS, RULES
from salesforce_standin.permissions import Access
from salesforce_standin.row_faults import refusal
from salesforce_standin.tables import Row, Table

if TYPE_CHECKING:
    from salesforce_standin.fields import Field
    from salesforce_standin.org import Org

_NO_ACCESS = Fault("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", ())
_NO_RECORD = Fault("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ())
_CONVERTED = Fault("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row."""

    id: str | None
    created: bool | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the row was written."""
        return not self.faults

    def as_item(self) -> dict[str, Any]:
        """Spell it as an entry of a list reply; a failed row has no id (facts/salesforce.md 4.3)."""
        if self.faults:
            return {"success": False, "errors": [fault.as_item() for fault in self.faults]}
        item: dict[str, Any] = {"id": self.id, "success": True, "errors": []}
        if self.created is not None:
            item["created"] = self.created
        return item


class Ambiguous(Exception):
    """An upsert key that several records carry."""

    def __init__(self, ids18: list[str]) -> None:
        super().__init__(", ".join(ids18))
        self.ids = ids18


class Writer:
    """Writes rows for one user; all of them carry the same stamp, as rows of one transaction do."""

    def __init__(self, org: Org, user_id: str, headers: Mapping[str, str] | None = None) -> None:
        self.org = org
        self.user_id = user_id
        self.allow_duplicates = rules.saves_duplicates(headers or {})
        self._is_rest = headers is not None
        self.stamp = org.clock.stamp()

    def access(self, name: str) -> Access:
        """Return this user's view of an object, or refuse an unknown one."""
        sobject = self.org.object_named(name)
        if sobject is None or sobject.tooling:
            raise RowError(Fault("INVALID_TYPE", f"sObject type '{name}' is not supported.", None))
        return self.org.access(self.user_id, sobject.name)

    def insert(self, name: str, data: dict[str, Any]) -> Outcome:
        """Create a record."""
        access = self.access(name)
        if not access.may_create:
            raise RowError(
                Fault(
                    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                    f"entity type cannot be inserted: {access.sobject.label}",
                    (),
                )
            )
        self._strike(access, "insert", data)
        values = row_values.clean(self.org, access, data, creating=True)
        id18 = self.org.sequence.next(access.sobject.prefix)
        row = {"Id": id18, **access.sobject.defaults}
        row.update((key, value) for key, value in values.items() if value is not None)
        fields = access.sobject.fields
        if "OwnerId" in fields:
            row.setdefault("OwnerId", self.user_id)
        if "CreatedDate" in fields:
            row["CreatedDate"], row["CreatedById"] = self.stamp, self.user_id
        self._store(access.table, row, None)
        return Outcome(id18, True)

    def update(self, name: str, id18: str, data: dict[str, Any]) -> Outcome:
        """Change a record."""
        access = self.access(name)
        old = self._existing(access, id18)
        if not access.may_edit:
            raise RowError(_NO_ACCESS)
        if old.get("IsConverted"):
            raise RowError(_CONVERTED)
        self._strike(access, "update", {**data, "Id": id18})
        values = row_values.clean(self.org, access, data, creating=False)
        row = old | values
        for key, value in values.items():
            if value is None:
                del row[key]
        self._store(access.table, row, old)
        return Outcome(id18, False)

    def upsert(
        self, name: str, key: Field, value: Any, data: dict[str, Any], *, update_only: bool = False
    ) -> Outcome:
        """Change the record that the key names, or create it."""
        if key.type == "id":
            return self._upsert_by_id(name, value, data)
        table = self.access(name).table
        found = row_values.find_live(table, key, value)
        if len(found) > 1:
            raise Ambiguous([row["Id"] for row in found])
        if found:
            return self.update(name, found[0]["Id"], data)
        if update_only:
            raise RowError(NOT_FOUND)
        return self.insert(name, {**data, key.name: value})

    def _upsert_by_id(self, name: str, value: Any, data: dict[str, Any]) -> Outcome:
        if value is None or value == "":
            return self.insert(name, data)
        id18 = ids.normalise(value)
        if id18 is None:
            raise RowError(
                Fault(
                    "MALFORMED_ID",
                    f"{self.access(name).sobject.label} ID: id value of incorrect type: {value}",
                    ("Id",),
                )
            )
        return self.update(name, id18, data)

    def delete(self, name: str, id18: str) -> Outcome:
        """Delete a record, softly where the object has a recycle bin, with what hangs on it."""
        access = self.access(name)
        row = self._existing(access, id18)
        if not access.may_delete or row.get("IsOwnedByProfile"):
            raise RowError(_NO_ACCESS)
        if rule := DELETE_RULES.get(access.sobject.name):
            rule(self.org, row)
        self._strike(access, "delete", {"Id": id18})
        for child, reference in DEPENDENTS.get(access.sobject.name, ()):
            table = self.org.tables[child]
            for dependent in table.by_value(table.sobject.fields[reference], id18):
                if not dependent.get("IsDeleted"):
                    self.bury(table, dependent)
        self.bury(access.table, row)
        return Outcome(id18)

    def bury(self, table: Table, row: Row, **changes: Any) -> None:
        """Put a row in the recycle bin, or remove it where there is none."""
        if not table.sobject.soft_deletes:
            self.org.put(table, row["Id"], None)
            return
        self.org.put(
            table,
            row["Id"],
            {**row, **changes, "IsDeleted": True, "_deleted": self.stamp, **self.touch(table)},
        )

    def touch(self, table: Table) -> Row:
        """Return the fields that say who changed a row and when."""
        mark = {
            "LastModifiedDate": self.stamp,
            "LastModifiedById": self.user_id,
            "SystemModstamp": self.stamp,
        }
        return {key: value for key, value in mark.items() if key in table.sobject.fields}

    def _strike(self, access: Access, operation: str, data: dict[str, Any]) -> None:
        """Let a fault hit the row, if it comes over REST: bulk jobs look for theirs themselves."""
        if self._is_rest:
            fault = refusal(self.org.faults, f"/REST/{access.sobject.name}/{operation}", data)
            if fault is not None:
                raise RowError(fault)

    def _existing(self, access: Access, id18: str) -> Row:
        row = access.table.rows.get(id18)
        if row is None or not access.may_read:
            if not id18.startswith(access.sobject.prefix):
                message = f"{access.sobject.label} ID: id value of incorrect type: {id18}"
                raise RowError(Fault("MALFORMED_ID", message, ("Id",)))
            raise RowError(_NO_RECORD)
        if row.get("IsDeleted"):
            raise RowError(DELETED)
        if access.changes is not None and not access.changes(row):
            raise RowError(_NO_ACCESS if access.shows(row) else _NO_RECORD)
        return row

    def _store(self, table: Table, row: Row, old: Row | None) -> None:
        row.update(self.touch(table))
        row_values.compose(table.sobject, row)
        if table.sobject.soft_deletes:
            rules.check(self.org, table, row, old, allow_duplicates=self.allow_duplicates)
        row_values.refuse_twins(table, row, old)
        rule = RULES.get(table.sobject.name)
        if rule is not None:
            rule(self.org, row, old)
        self.org.put(table, row["Id"], row)


def key_field(access: Access, name: str) -> Field:
    """Return the field that an upsert names as its key; any idLookup field will do (facts/salesforce.md 4.1)."""
    field = access.find(name)
    if field is None or not (field.indexed or field.type == "id"):
        raise fail(
            404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}"
        )
    if field.attributes["externalId"] and not field.unique and not access.views_all:
        raise fail(400, "INVALID_FIELD", f"{name} is not unique: upserting on it needs View All Data")
    return field
