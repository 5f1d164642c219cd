"""The field mapping of a connection: which field of ours is which of theirs; added, changed and taken out against both sides."""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field, ValidationError

from crm_airflow.hooks import connect_hook
from crm_airflow.web.after import Told, back
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.tabs import TABS
from crm_sync.decide.mapping import FieldDirection, FieldMapping, FieldType, Name, ObjectMapping
from crm_sync.decide.schema import WantedField
from crm_sync.decide.schema_diff import field_problem
from crm_sync.errors import Misconfigured, SyncError
from crm_sync.ledger import settings, settings_history
from crm_sync.ledger.capture import captured
from crm_sync.ledger.database import Transaction
from crm_sync.mapping_files import load_mappings
from crm_sync.model import OBJECTS, ConflictPolicy, Object

__all__ = ["api", "router"]

MAPPING: Final = "/connections/{connection_id}/mapping"
Column = Annotated[Name, Path(description="Our column")]
Text = Annotated[str, Form(max_length=63)]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class FieldModel(FieldMapping):
    """One mapped field, and whether this connection maps it otherwise than the mapping files."""

    own: bool = Field(description="Set by this connection")


class MappingModel(BaseModel):
    """One object: its fields, and those of the files that this connection takes out."""

    object: Object
    theirs: str
    fields: list[FieldModel]
    without: list[str]


def put(connection: str, object: Object, field: FieldMapping, who: str, mark: str | None = None) -> None:
    """Map a field, new or instead of its block so far, if both sides have what it needs.

    ``mark``, here and below: of the settings as the person saw them; refused where they are others by now.
    """
    with writing() as tx:
        mapping = settings_history.locked(tx, connection, mark).mappings[object]
    seen = {found.name.lower(): found for found in connect_hook.describe(connection, mapping.theirs)}
    wanted = WantedField(
        object, mapping.theirs, field.theirs, field.ours, field.type, field.direction != "in", field.create
    )
    if problem := field_problem(wanted, seen.get(field.theirs.lower())):
        raise Misconfigured(problem)
    with writing() as tx:
        chosen, mine = _mine(tx, connection, object, mark)
        mine["fields"] = [
            *(f for f in mine["fields"] if f["ours"] != field.ours),
            field.model_dump(mode="json", exclude_defaults=True),
        ]
        mine["without"] = [name for name in mine["without"] if name != field.ours]
        settings.change_settings(tx, connection, {"mapping": chosen}, who)


def take_out(connection: str, object: Object, column: str, who: str, mark: str | None = None) -> None:
    """Sync a field no more; its values stay where they are."""
    with writing() as tx:
        chosen, mine = _mine(tx, connection, object, mark)
        mine["fields"] = [f for f in mine["fields"] if f["ours"] != column]
        if column in _files(tx, connection)[object].by_ours:
            mine["without"] = sorted({*mine["without"], column})
        settings.change_settings(tx, connection, {"mapping": chosen}, who)


def put_back(connection: str, object: Object, column: str, who: str, mark: str | None = None) -> None:
    """Map a field as the files do."""
    with writing() as tx:
        chosen, mine = _mine(tx, connection, object, mark)
        mine["fields"] = [f for f in mine["fields"] if f["ours"] != column]
        mine["without"] = [name for name in mine["without"] if name != column]
        settings.change_settings(tx, connection, {"mapping": chosen}, who)


@router.get(MAPPING, dependencies=READ)
def show(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep, told: Told, object: Object = "contact",
    field: str = "",
) -> HTMLResponse:  # fmt: skip
    """All fields, and the form for one."""
    return _page(
        request,
        tx,
        connection_id,
        user,
        object,
        _entered(tx, connection_id, object, field),
        told=told == "stored",
    )


@router.post(MAPPING, dependencies=CHANGE)
def change(
    request: Request, connection_id: ConnectionName, user: GetUserDep,
    object: Annotated[Object, Form()], ours: Text, theirs: Text = "", type: Text = "text", scale: Text = "", direction: Text = "both",
    policy: Text = "", min_interval: Text = "", mark: Text = "", action: Annotated[str, Form(pattern="^(set|out|back)$")] = "set",
) -> Response:  # fmt: skip
    """Map, take out, or put back one field."""
    who, seen = user.get_name(), mark or None
    entered = {"ours": ours, "theirs": theirs, "type": type, "scale": scale, "direction": direction, "policy": policy,
               "min_interval": min_interval}  # fmt: skip
    try:
        if action == "set":
            put(connection_id, object, _field(connection_id, object, entered), who, seen)
        else:
            (take_out if action == "out" else put_back)(connection_id, object, ours, who, seen)
    except SyncError as error:
        with writing() as tx:
            return _page(request, tx, connection_id, user, object, entered, problem=str(error), seen=seen)
    return back(request, connection_id, "/mapping", told="stored", object=object)


@api.get(MAPPING, dependencies=READ)
def mapping(connection_id: ConnectionName, tx: Reading) -> list[MappingModel]:
    """Which field of ours is which of theirs."""
    found = settings.load(tx, connection_id)
    return [_model(found, object) for object in OBJECTS]


@api.put(f"{MAPPING}/{{object}}/{{column}}", dependencies=CHANGE)
def put_field(
    connection_id: ConnectionName, user: GetUserDep, object: Object, column: Column, wanted: FieldMapping
) -> MappingModel:
    """Map a field, new or instead of what it is mapped to; checked against both sides, for one call."""
    if wanted.ours != column:
        raise Misconfigured(
            f"the address speaks of {column}, the block of {wanted.ours}: name the same field in both"
        )
    put(connection_id, object, wanted, user.get_name())
    with writing() as tx:
        return _model(settings.load(tx, connection_id), object)


@api.delete(f"{MAPPING}/{{object}}/{{column}}", dependencies=CHANGE)
def delete_field(
    connection_id: ConnectionName, user: GetUserDep, object: Object, column: Column
) -> MappingModel:
    """Sync a field no more; its values stay where they are."""
    take_out(connection_id, object, column, user.get_name())
    with writing() as tx:
        return _model(settings.load(tx, connection_id), object)


def _mine(
    tx: Transaction, connection: str, object: Object, mark: str | None
) -> tuple[dict[Object, Any], dict[str, Any]]:
    """The connection's own changes as they may be stored again, and those of one object, to be altered."""
    stored = settings_history.locked(tx, connection, mark).settings.mapping
    chosen = {
        name: changes.model_dump(mode="json", exclude_defaults=True) for name, changes in stored.items()
    }
    mine = chosen.setdefault(object, {})
    mine["fields"], mine["without"] = list(mine.get("fields", ())), list(mine.get("without", ()))
    return chosen, mine


def _files(tx: Transaction, connection: str) -> dict[Object, ObjectMapping]:
    return load_mappings(settings.load(tx, connection).vendor)


def _field(connection: str, object: Object, entered: dict[str, str]) -> FieldMapping:
    """What was entered, with what the form does not ask for as it was."""
    with writing() as tx:
        before = settings.load(tx, connection).mappings[object].by_ours.get(entered["ours"])
    kept = (
        before.model_dump(
            mode="json",
            include={"references", "rule"} | ({"create"} if before.theirs == entered["theirs"] else set()),
        )
        if before
        else {}
    )
    given = {name: value for name, value in entered.items() if value}
    try:
        return FieldMapping.model_validate({**kept, **given})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise Misconfigured("; ".join(lines)) from None


def _entered(tx: Transaction, connection: str, object: Object, column: str) -> dict[str, str]:
    found = settings.load(tx, connection).mappings[object].by_ours.get(column)
    if found is None:
        return {
            "ours": column,
            "theirs": "",
            "type": "text",
            "scale": "",
            "direction": "both",
            "policy": "",
            "min_interval": "",
        }
    shown = found.model_dump(mode="json")
    return {
        name: "" if shown[name] is None else str(shown[name])
        for name in ("ours", "theirs", "type", "scale", "direction", "policy", "min_interval")
    }


def _page(
    request: Request, tx: Transaction, name: str, user: Any, object: Object, entered: dict[str, str], problem: str = "",
    seen: str | None = None, *, told: bool = False,
) -> HTMLResponse:  # fmt: skip
    found = settings.load(tx, name)
    columns = sorted(captured(tx, object) - {"deleted_at"})
    return page(
        request, "mapping.html", status=409 if problem else 200, name=name, tab="Settings", part="Mapping", tabs=TABS, object=object,
        objects=OBJECTS, shown=_model(found, object), entered=entered, columns=columns, types=get_args(FieldType),
        directions=get_args(FieldDirection), policies=get_args(ConflictPolicy), changes=may_change(name, user),
        told="Stored. The next run works by it; where a new field is to be made, run provisioning." if told else "",
        problem=problem, mark=seen or settings_history.mark(found.settings),
    )  # fmt: skip


def _model(found: settings.Connection, object: Object) -> MappingModel:
    mapping, changes = found.mappings[object], found.settings.mapping.get(object)
    own = {f.ours for f in changes.fields} if changes else set()
    fields = [FieldModel(**f.model_dump(), own=f.ours in own) for f in mapping.fields]
    return MappingModel(
        object=object, theirs=mapping.theirs, fields=fields, without=list(changes.without) if changes else []
    )
