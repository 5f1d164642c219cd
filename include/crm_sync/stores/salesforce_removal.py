"""A Salesforce org from which provisioning is taken back: what is left of what was made, and the steps of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from crm_sync.decide.schema import PERMISSION_SET, SALES_SET
from crm_sync.decide.schema_made import Made
from crm_sync.decide.schema_removal import FoundOurs, RemovalPlan, Removing
from crm_sync.errors import Misconfigured
from crm_sync.stores.salesforce_layouts import Layouts
from crm_sync.stores.salesforce_metadata import MOST, MetadataApi
from crm_sync.stores.salesforce_schema_calls import Calls, Subrequest, Transport, query
from crm_sync.stores.salesforce_schema_wire import DATA, errors_of, quoted, records

__all__ = ["SalesforceRemoval"]

_QUERIES, _ROWS = 5, 200  # of a composite, of a collection (facts/salesforce.md 3.3)
_GONE = {"INVALID_CROSS_REFERENCE_KEY", "ENTITY_IS_DELETED", "NOT_FOUND"}


class SalesforceRemoval:
    """One connection's org."""

    def __init__(self, transport: Transport) -> None:
        self._calls = Calls(transport)
        self._metadata = MetadataApi(transport)
        self._layouts = Layouts(self._metadata)

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return self._calls.made + self._metadata.made

    def look(self, made: Sequence[Made]) -> FoundOurs:
        """What the org still has: a few calls, and one more per ten layouts."""
        both = quoted((PERMISSION_SET, SALES_SET))
        named = ("PermissionSetId", "PermissionSet.Name", "AssigneeId", "Id")
        results = self._calls.composite(
            [
                query(
                    "sets",
                    ("Id", "Name"),
                    "PermissionSet",
                    f"WHERE Name IN {both}",
                    "AND NamespacePrefix = null",
                ),
                query("held", named, "PermissionSetAssignment", f"WHERE PermissionSet.Name IN {both}"),
            ]
        )
        assignments: dict[str, dict[str, str]] = {}
        for row in self._calls.all_rows(results["held"]):
            assignments.setdefault(row["PermissionSet"]["Name"], {})[row["AssigneeId"]] = row["Id"]
        fields = self._fields([each for each in made if each.kind == "create_field"])
        layouts = [each.name for each in made if each.kind == "place_fields"]
        return FoundOurs(
            fields=fields,
            values=self._counted(
                [each for each in made if each.name in fields and each.kind == "create_field"]
            ),
            sets={row["Name"]: row["Id"] for row in records(results["sets"])},
            assignments=assignments,
            layouts=self._layouts.in_section(layouts) if layouts else {},
        )

    def remove(self, plan: RemovalPlan) -> Iterator[Sequence[Removing]]:
        """Take the steps, yielding after each call what is gone; what was refused is raised at the end, all at once."""
        refused: list[str] = []
        for kind in dict.fromkeys(step.made.kind for step in plan.steps):
            steps = [step for step in plan.steps if step.made.kind == kind]
            for start in range(0, len(steps), _ROWS if kind == "assign_user" else MOST):
                group = steps[start : start + (_ROWS if kind == "assign_user" else MOST)]
                errors = self._take(kind, group)
                yield [step for step in group if not errors.get(step.made.name)]
                refused += [
                    f"Salesforce refused to {step.words}: {said}. Mend that in Setup, then remove again"
                    for step in group
                    if (said := errors.get(step.made.name))
                ]
        if refused:
            raise Misconfigured("\n".join(refused))

    def _take(self, kind: str, steps: Sequence[Removing]) -> dict[str, str]:
        """Remove things of one kind in one go; by name what was said of those that were refused."""
        if kind == "place_fields":
            results = self._layouts.take_off({step.made.name: step.fields for step in steps})
            return {name: _said(result.errors) for name, result in results.items()}
        if kind == "create_field":
            names = [step.made.name for step in steps]
            return {
                each.full_name: _said(each.errors) for each in self._metadata.delete("CustomField", names)
            }
        ids = ",".join(step.their_id for step in steps)
        rows = self._calls.call(
            "DELETE", f"{DATA}/composite/sobjects", params={"ids": ids, "allOrNone": "false"}, writes=True
        )
        return {step.made.name: _said(errors_of(row)) for step, row in zip(steps, rows, strict=True)}

    def _fields(self, made: Sequence[Made]) -> dict[str, str]:
        """The ids of those of the fields that are still there."""
        if not made:
            return {}
        names = sorted({each.name.partition(".")[2][:-3] for each in made})
        types = sorted({each.name.partition(".")[0] for each in made})
        rows = self._calls.custom_fields(types, names)
        ids = {f"{row['TableEnumOrId']}.{row['DeveloperName']}__c".lower(): row["Id"] for row in rows}
        return {each.name: ids[each.name.lower()] for each in made if each.name.lower() in ids}

    def _counted(self, made: Sequence[Made]) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        questions = list(_questions(made))
        for start in range(0, len(questions), _QUERIES):
            group = {
                request["referenceId"]: (request, names)
                for request, names in questions[start : start + _QUERIES]
            }
            results = self._calls.composite([request for request, _ in group.values()])
            for reference, (_, names) in group.items():
                result = results[reference]
                row = result["body"]["records"][0] if result["httpStatusCode"] < 400 else {}
                found |= {name: row.get(f"c{number}") for number, name in enumerate(names)}
        return found


def _questions(made: Sequence[Made]) -> Iterator[tuple[Subrequest, list[str]]]:
    """One count per object of all its fields, and one per checkbox, which always holds something."""
    boxes = [each.name for each in made if each.details == ("Checkbox",)]
    for number, name in enumerate(boxes):
        type_, _, field = name.partition(".")
        yield query(f"box{number}", ("COUNT(Id) c0",), type_, f"WHERE {field} = true"), [name]
    others = sorted({each.name for each in made} - set(boxes))
    for type_, names in groupby(others, key=lambda name: name.partition(".")[0]):
        of_type = list(names)
        columns = [f"COUNT({name.partition('.')[2]}) c{n}" for n, name in enumerate(of_type)]
        yield query(type_, columns, type_), of_type


def _said(errors: Iterable[tuple[str, str]]) -> str:
    """The errors in words; what is gone already is none."""
    return "; ".join(f"{message} [{code}]" for code, message in errors if code not in _GONE)
