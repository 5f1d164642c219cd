"""The scope of a connection: a table of conditions for each object and side, and how many of our records they choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field, ValidationError

from crm_airflow.web.after import Told, back
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.tabs import TABS
from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.scope import Condition, ObjectScope, Op, choosable, mapped_field, operators, problem
from crm_sync.errors import Misconfigured
from crm_sync.ledger import scoping, settings, settings_history
from crm_sync.ledger.database import Transaction
from crm_sync.model import OBJECTS, Object, Side

__all__ = ["api", "router"]

SCOPE: Final = "/connections/{connection_id}/scope"
OPS: Final[Mapping[Op, str]] = {
    "=": "is", "!=": "is not", ">": "is more than", ">=": "is at least", "<": "is less than", "<=": "is at most",
    "in": "is one of", "is blank": "is blank", "is not blank": "is not blank",
}  # fmt: skip
TIMES: Final[Mapping[str, str]] = {
    ">": "is after",
    ">=": "is at or after",
    "<": "is before",
    "<=": "is at or before",
}
"""The same of times."""
BLANK: Final = ("is blank", "is not blank")
TOLD: Final[Mapping[str, str]] = {
    "stored": "Stored. The next run applies it to every record that is not on the other side yet.",
}
Text = Annotated[str, Query(max_length=4_000, pattern="^[^\x00]*$")]
Sent = Annotated[str, Form(max_length=4_000, pattern="^[^\x00]*$")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class Counted(BaseModel):
    """How many of our records the conditions of a scope choose."""

    object: Object
    total: int = Field(description="Records of GPTWeb, archived ones not counted")
    inside: int = Field(description="Those that meet all conditions")
    to_make: int = Field(description="Those of them that the CRM does not have yet")
    exact: bool = Field(description="false: reckoned from a sample")


@dataclass(frozen=True, slots=True)
class Draft:
    """A condition that somebody is about to add; what is blank is not chosen yet."""

    side: Side
    field: FieldMapping | None = None
    op: str = ""
    value: str = ""


@router.get(SCOPE, dependencies=READ)
def show(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep, told: Told, object: Object = "contact",
    side: Side = "ours", field: Text = "", op: Text = "", value: Text = "",
) -> HTMLResponse:  # fmt: skip
    """The conditions of one object, what they choose, and the next step of one that is being added."""
    found = settings.load(tx, connection_id)
    draft = Draft(side, _field(found.mappings[object], side, field), op, value.strip())
    return _page(request, tx, found, user, object, draft, told=TOLD.get(told, ""))


@router.post(SCOPE, dependencies=CHANGE)
def add(
    request: Request, connection_id: ConnectionName, user: GetUserDep, object: Annotated[Object, Form()], side: Annotated[Side, Form()],
    field: Sent, op: Sent, value: Sent = "",
) -> Response:  # fmt: skip
    """Add a condition."""
    try:
        with writing() as tx:
            found, chosen = _locked(tx, connection_id)
            mapping = found.mappings[object]
            condition = _condition(mapping, side, field, op, value)
            chosen.setdefault(object, {}).setdefault(side, []).append(condition.model_dump(mode="json"))
            settings.change_settings(tx, connection_id, {"scope": chosen}, user.get_name())
    except Misconfigured as error:
        with writing() as tx:
            found = settings.load(tx, connection_id)
            draft = Draft(side, _field(found.mappings[object], side, field), op, value.strip())
            return _page(request, tx, found, user, object, draft, problem_=str(error))
    return back(request, connection_id, "/scope", told="stored", object=object)


@router.post(f"{SCOPE}/remove", dependencies=CHANGE)
def take_out(
    request: Request, connection_id: ConnectionName, user: GetUserDep, object: Annotated[Object, Form()], side: Annotated[Side, Form()],
    place: Annotated[int, Form(ge=0, le=99)], words: Sent,
) -> Response:  # fmt: skip
    """Take a condition out; ``words``: which one the person saw there."""
    with writing() as tx:
        found, chosen = _locked(tx, connection_id)
        conditions = getattr(found.settings.scope_of(object), side)
        if place >= len(conditions) or _words(found.mappings[object], side, conditions[place]) != words:
            raise Misconfigured("Somebody has changed the scope meanwhile: open the page again.")
        del chosen[object][side][place]
        settings.change_settings(tx, connection_id, {"scope": _without_blanks(chosen)}, user.get_name())
    return back(request, connection_id, "/scope", told="stored", object=object)


@api.get(f"{SCOPE}/{{object}}", dependencies=READ)
def count(connection_id: ConnectionName, object: Object, tx: Reading) -> Counted:
    """How many of our records the stored scope chooses; the setting `scope` is changed with the other settings."""
    found = settings.load(tx, connection_id)
    seen = scoping.preview(tx, connection_id, found.mappings[object], found.settings.scope_of(object).ours)
    return Counted(
        object=object, total=seen.total, inside=seen.of_all(seen.inside), to_make=seen.of_all(seen.unlinked), exact=seen.whole,
    )  # fmt: skip


def _locked(tx: Transaction, connection: str) -> tuple[settings.Connection, dict[str, Any]]:
    """The connection, and its scope as it may be stored again."""
    found = settings_history.locked(tx, connection)
    return found, _without_blanks(
        {name: scope.model_dump(mode="json") for name, scope in found.settings.scope.items()}
    )


def _without_blanks(scope: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        name: {side: conditions for side, conditions in sides.items() if conditions}
        for name, sides in scope.items()
    }
    return {name: sides for name, sides in kept.items() if sides}


def _field(mapping: ObjectMapping, side: Side, name: str) -> FieldMapping | None:
    return next((field for field in choosable(mapping, side) if getattr(field, side) == name), None)


def _condition(mapping: ObjectMapping, side: Side, name: str, op: str, value: str) -> Condition:
    """What was entered, if it says something about the field."""
    field = _field(mapping, side, name)
    if field is None:
        raise Misconfigured("Choose a field first.")
    try:
        given = Condition.model_validate(
            {"field": name, "op": op, "value": _values(field, op, value.strip())}
        )
    except ValidationError:
        raise Misconfigured(f"Enter what {name} is compared with.") from None
    if words := problem(mapping, side, given):
        raise Misconfigured(f"{words[0].upper()}{words[1:]}.")
    return given


def _values(field: FieldMapping, op: str, text: str) -> Any:
    if op in BLANK or not text:
        return None
    if op == "in":
        return tuple(_scalar(field, line.strip()) for line in text.splitlines() if line.strip())
    return _scalar(field, text)


def _scalar(field: FieldMapping, text: str) -> Any:
    """A text as the field's type has it; one that is none stays, and is refused with words."""
    if field.type == "boolean":
        return text == "true"
    if field.type == "number":
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            return text
        return int(number) if number.is_integer() else number
    if field.type == "datetime" and "T" in text and not text.endswith("Z"):
        return f"{text}:00Z" if text.count(":") == 1 else f"{text}Z"
    return text


def op_words(field: FieldMapping) -> dict[str, str]:
    """What may be asked of a field, in words."""
    return {op: TIMES.get(op, OPS[op]) if field.type == "datetime" else OPS[op] for op in operators(field)}


def _words(mapping: ObjectMapping, side: Side, condition: Condition) -> str:
    """One condition as people read it."""
    ops = op_words(mapped_field(mapping, side, condition.field))
    return " ".join(
        filter(
            None,
            (condition.field, ops.get(condition.op, condition.op), ", ".join(map(_shown, condition.values))),
        )
    )


def _shown(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _page(
    request: Request, tx: Transaction, found: settings.Connection, user: Any, object: Object, draft: Draft, problem_: str = "",
    told: str = "",
) -> HTMLResponse:  # fmt: skip
    mapping, scope = found.mappings[object], found.settings.scope_of(object)
    more, refused = _drafted(mapping, draft)
    seen = scoping.preview(tx, found.name, mapping, [*scope.ours, *more])
    offered = []
    if draft.field and draft.op in ("=", "!=", "in") and draft.field.type == "text":
        offered = scoping.usual_values(tx, mapping, draft.field.ours)
    return page(
        request, "scope.html", status=409 if problem_ else 200, name=found.name, tab="Settings", part="Scope", tabs=TABS, object=object,
        objects=OBJECTS, theirs=mapping.theirs, sides=_sides(mapping, scope), fields=_fields(mapping), draft=draft,
        ops=op_words(draft.field) if draft.field else {}, offered=offered, seen=seen, drafted=bool(more), creates=found.settings.creates(object),
        changes=may_change(found.name, user), told=told, problem=problem_ or refused,
    )  # fmt: skip


def _drafted(mapping: ObjectMapping, draft: Draft) -> tuple[list[Condition], str]:
    """The condition that is counted before it is added, or why it can't be."""
    if draft.field is None or draft.side == "theirs" or not (draft.value or draft.op in BLANK):
        return [], ""
    try:
        return [_condition(mapping, draft.side, draft.field.ours, draft.op, draft.value)], ""
    except Misconfigured as error:
        return [], str(error)


def _sides(mapping: ObjectMapping, scope: ObjectScope) -> list[tuple[Side, list[str]]]:
    sides = cast("tuple[Side, ...]", ("ours", "theirs"))
    return [(side, [_words(mapping, side, one) for one in getattr(scope, side)]) for side in sides]


def _fields(mapping: ObjectMapping) -> dict[Side, dict[str, str]]:
    """The fields of each side to choose from, with their types."""
    sides = cast("tuple[Side, ...]", ("ours", "theirs"))
    return {
        side: dict(sorted((getattr(field, side), field.type) for field in choosable(mapping, side)))
        for side in sides
    }
