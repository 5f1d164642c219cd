"""Schemas as literals, an org in memory that can break at any call, and a ledger in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from crm_sync.decide.schema import FoundField, FoundSales, FoundSchema, Grant, WantedField
from crm_sync.decide.schema_diff import access_problems, wanted_fields
from crm_sync.decide.schema_made import Made
from crm_sync.decide.schema_steps import Done, SchemaPlan, Step
from crm_sync.mapping_files import load_mappings
from crm_sync.provision_ledger import RunState, TrailLine

MAPPINGS = load_mappings("salesforce")
WANTED = wanted_fields(MAPPINGS)

MADE_AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

DESCRIBED = {"Number": "double", "Checkbox": "boolean", "DateTime": "datetime", "Text": "string"}
CARRIED = {
    "text": "string",
    "number": "double",
    "boolean": "boolean",
    "datetime": "datetime",
    "reference": "reference",
}


def key(wanted: WantedField) -> tuple[str, str]:
    return wanted.type.lower(), wanted.name.lower()


def as_found(wanted: WantedField) -> FoundField:
    """The field exactly as provisioning would make it, in use."""
    spec = wanted.create
    return FoundField(
        name=wanted.name,
        type=DESCRIBED[spec.type] if spec else CARRIED[wanted.carries],
        length=(spec.length or 0) if spec else 0,
        precision=(spec.precision or 0) if spec else 0,
        scale=(spec.scale or 0) if spec else 0,
        external_id=bool(spec and spec.external_id),
        unique=bool(spec and spec.unique),
        createable=True,
        updateable=True,
    )


def new_org() -> FoundSchema:
    """An org with its standard fields and nothing of ours."""
    return FoundSchema(
        user_id="005000000000001AAA",
        types=frozenset({"account", "contact", "lead"}),
        fields={key(f): as_found(f) for f in WANTED if f.create is None},
    )


def ready_org() -> FoundSchema:
    """An org in which nothing is left to do."""
    fields = {
        f"{f.type}.{f.name}".lower(): Grant("01k", frozenset({"read", "edit"})) for f in WANTED if f.create
    }
    objects = {t: Grant("110", frozenset({"read", "create", "edit"})) for t in ("account", "contact", "lead")}
    return replace(
        new_org(),
        fields={key(f): as_found(f) for f in WANTED},
        permission_set="0PS000000000001AAA",
        grants=fields | objects,
        assigned=True,
        sales=FoundSales(
            "0PS000000000002AAA", frozenset(f"{f.type}.{f.name}".lower() for f in WANTED if f.for_people)
        ),
    )


def with_field(found: FoundSchema, type_: str, name: str, /, **changes: Any) -> FoundSchema:
    """The same org with one field otherwise."""
    place = (type_.lower(), name.lower())
    return replace(found, fields={**found.fields, place: replace(found.fields[place], **changes)})


def without_field(found: FoundSchema, type_: str, name: str) -> FoundSchema:
    place = (type_.lower(), name.lower())
    return replace(found, fields={k: v for k, v in found.fields.items() if k != place})


def without_grant(found: FoundSchema, name: str) -> FoundSchema:
    return replace(found, grants={k: v for k, v in found.grants.items() if k != name.lower()})


class Killed(BaseException):
    """kill -9, as far as a test can tell."""


@dataclass
class MemoryOrg:
    """Takes steps one call each; ``dies_at`` counts calls, before or (``after``) behind the change."""

    found: FoundSchema
    dies_at: int = 0
    error: BaseException = field(default_factory=Killed)
    after: bool = False
    calls: int = 0
    taken: list[Step] = field(default_factory=list)

    def look(self, wanted: Sequence[WantedField]) -> FoundSchema:
        self._call()
        return self.found

    def take(self, plan: SchemaPlan, found: FoundSchema) -> Iterator[Sequence[Done]]:
        for step in plan.steps:
            self._call(before=True)
            self._take(step)
            self._die(self.after)
            yield [Done(step, "id")]

    def problems(self, wanted: Sequence[WantedField]) -> Sequence[str]:
        self._call()
        visible = {k: f for k, f in self.found.fields.items() if f.visible}
        return access_problems(tuple(wanted), visible)

    def _call(self, *, before: bool = False) -> None:
        self.calls += 1
        self._die(not before or not self.after)

    def _die(self, now: bool) -> None:
        if now and self.calls == self.dies_at:
            raise self.error

    def _take(self, step: Step) -> None:
        self.taken.append(step)
        wanted = next((f for f in WANTED if (f.type, f.name) == (step.type, step.field)), None)
        match step.kind:
            case "create_permission_set":
                self.found = replace(self.found, permission_set="0PS")
            case "assign":
                self.found = replace(self.found, assigned=True)
            case "grant_object":
                rights = frozenset({"read", "create", "edit"})
                self.found = replace(
                    self.found, grants={**self.found.grants, step.type.lower(): Grant("110", rights)}
                )
            case "create_field":
                assert wanted
                hidden = replace(as_found(wanted), visible=False)
                self.found = replace(self.found, fields={**self.found.fields, key(wanted): hidden})
            case "grant_field":
                grant = Grant("01k", frozenset({"read", "edit"} if step.edit else {"read"}))
                name = f"{step.type}.{step.field}".lower()
                self.found = replace(self.found, grants={**self.found.grants, name: grant})
                if wanted:
                    self.found = with_field(self.found, step.type, step.field, visible=True)
            case _:
                self._take_for_people(step)

    def _take_for_people(self, step: Step) -> None:
        sales, layouts = self.found.sales, self.found.layouts
        match step.kind:
            case "create_sales_set":
                sales = replace(sales, permission_set="0PS2")
            case "show_field":
                sales = replace(sales, shown=sales.shown | {f"{step.type}.{step.field}".lower()})
            case "assign_user":
                sales = replace(sales, assigned={**sales.assigned, step.target: "id"})
            case "place_fields":
                placed = {name.lower() for name in step.fields}
                layouts = tuple(
                    replace(each, fields=each.fields | placed) if each.full_name == step.target else each
                    for each in layouts
                )
        self.found = replace(self.found, sales=sales, layouts=layouts)


@dataclass
class MemoryRun:
    connection: str
    dag_run_id: str
    lines: list[TrailLine] = field(default_factory=list)
    state: str = "running"
    counts: Mapping[str, int] = field(default_factory=dict)
    message: str = ""


@dataclass
class MemoryLedger:
    """The ledger as provisioning sees it."""

    runs: dict[int, MemoryRun] = field(default_factory=dict)
    provisioned: list[str] = field(default_factory=list)
    read_again: list[str] = field(default_factory=list)
    kept: dict[object, Made] = field(default_factory=dict)

    def running(self, connection: str, dag_run_id: str) -> int | None:
        found = (n for n, run in self.runs.items() if (run.dag_run_id, run.state) == (dag_run_id, "running"))
        return next(found, None)

    def open(self, connection: str, dag_run_id: str) -> int:
        self.runs[len(self.runs) + 1] = MemoryRun(connection, dag_run_id)
        return len(self.runs)

    def record(self, run_id: int, lines: Sequence[TrailLine], made: Sequence[Made] = ()) -> None:
        self.runs[run_id].lines += lines
        self.kept |= {each.key: replace(each, at=MADE_AT) for each in made}

    def made(self, connection: str) -> Sequence[Made]:
        return list(self.kept.values())

    def recorded(self, run_id: int) -> Sequence[TrailLine]:
        return tuple(self.runs[run_id].lines)

    def close(self, run_id: int, state: RunState, counts: Mapping[str, int], message: str) -> None:
        run = self.runs[run_id]
        run.state, run.counts, run.message = state, counts, message

    def removed(self, run_id: int, lines: Sequence[TrailLine], made: Sequence[Made]) -> None:
        self.runs[run_id].lines += lines
        for each in made:
            self.kept.pop(each.key, None)

    def await_approval(self, run_id: int, message: str) -> None:
        self.runs[run_id].message = message

    def mark_removed(self, connection: str) -> None:
        self.provisioned = [name for name in self.provisioned if name != connection]
        self.read_again.append(connection)

    def mark_provisioned(self, connection: str, *, read_again: bool) -> None:
        self.provisioned.append(connection)
        self.read_again += [connection] if read_again else []
