"""The settings of a connection: the form, what is stored of it, who changed what, and the same by the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.web.after import Told, back
from crm_airflow.web.forms import Sent
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.settings_form import entered, entries, in_words, mistakes
from crm_airflow.web.settings_words import GROUPS, TITLES
from crm_airflow.web.tabs import TABS
from crm_sync.decide.settings import Settings, parse
from crm_sync.errors import Misconfigured
from crm_sync.ledger import settings as ledger
from crm_sync.ledger import settings_history, snapshot
from crm_sync.ledger.database import Transaction
from crm_sync.model import Value

__all__ = ["api", "router"]

SETTINGS: Final = "/connections/{connection_id}/settings"
SHOWN: Final = 25
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="The page after this change")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class SettingsModel(BaseModel):
    """All settings of a connection, and the mark that tells whether they are still these."""

    settings: dict[str, Any] = Field(description="By name; docs/operations.md says what each means")
    mark: str = Field(description="Give it along with a change, so that nobody else's is lost")


class SettingsWanted(BaseModel):
    """What is to become of some settings; the others stay."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    mark: str | None = Field(
        default=None, max_length=64, description="Refused where the settings are others by now"
    )


class SettingChangeModel(BaseModel):
    """One setting that somebody changed."""

    model_config = ConfigDict(from_attributes=True)

    change_id: int
    at: datetime
    setting: str
    before: Value
    after: Value
    who: str


def store(connection: str, wanted: dict[str, Any], mark: str | None, who: str) -> Settings:
    """Store what differs, if the settings are still those of ``mark``; the next run works by them."""
    with writing() as tx:
        current = settings_history.locked(tx, connection, mark).settings
        chosen = parse(connection, {**_json(current), **wanted})
        before, after = _json(current), _json(chosen)
        changed = {name: after[name] for name in wanted if name in after and after[name] != before[name]}
        if changed:
            ledger.change_settings(tx, connection, changed, who)
            snapshot.write(tx)
        return chosen


@router.get(SETTINGS, dependencies=READ)
def show(
    request: Request,
    connection_id: ConnectionName,
    tx: Reading,
    user: GetUserDep,
    told: Told,
    before: Before = None,
) -> HTMLResponse:
    """The form, and who changed what."""
    current = ledger.load(tx, connection_id).settings
    return _page(request, tx, connection_id, _json(current), settings_history.mark(current), user, before,
                 told="Stored. The next run works by it." if told == "stored" else "")  # fmt: skip


@router.post(SETTINGS, dependencies=CHANGE)
def change(request: Request, connection_id: ConnectionName, user: GetUserDep, sent: Sent) -> Response:
    """Store the form, or show it again with everything that is wrong in it."""
    with writing() as tx:
        current = _json(ledger.load(tx, connection_id).settings)
    wanted = entered(sent)
    wrong, refused = mistakes({**current, **wanted}), ""
    if not wrong:
        try:
            store(connection_id, wanted, sent.get("mark"), user.get_name())
        except Misconfigured as error:
            refused = str(error)
    if wrong or refused:
        with writing() as tx:
            # As entered, so that nobody types it all again; boxes that are off are absent.
            again = {name: sent.get(name, "") for name in current}
            return _page(
                request,
                tx,
                connection_id,
                again,
                sent.get("mark", ""),
                user,
                None,
                wrong=wrong,
                refused=refused,
            )
    return back(request, connection_id, "/settings", told="stored")


@api.get(SETTINGS, dependencies=READ)
def settings(connection_id: ConnectionName, tx: Reading) -> SettingsModel:
    """All settings of a connection."""
    return _model(ledger.load(tx, connection_id).settings)


@api.patch(SETTINGS, dependencies=CHANGE)
def change_some(connection_id: ConnectionName, user: GetUserDep, wanted: SettingsWanted) -> SettingsModel:
    """Change some settings; every problem of them is reported at once, and then none is changed."""
    return _model(store(connection_id, wanted.settings, wanted.mark, user.get_name()))


@api.get(f"{SETTINGS}/changes", dependencies=READ)
def changes(connection_id: ConnectionName, tx: Reading, before: Before = None) -> list[SettingChangeModel]:
    """Who changed what, the newest first."""
    ledger.load(tx, connection_id)
    found = settings_history.history(tx, connection_id, SHOWN, before)
    return [SettingChangeModel.model_validate(one) for one in found]


def _page(
    request: Request, tx: Transaction, name: str, shown: dict[str, Any], mark: str, user: Any, before: int | None,
    told: str = "", wrong: Mapping[str, str] | None = None, refused: str = "",
) -> HTMLResponse:  # fmt: skip
    found = settings_history.history(tx, name, SHOWN + 1, before)
    older = f"?before={found[SHOWN - 1].change_id}" if len(found) > SHOWN else ""
    return page(
        request, "settings.html", status=409 if wrong or refused else 200, name=name, tab="Settings", part="General", tabs=TABS,
        groups=[(group, entries(shown, group.settings, wrong)) for group in GROUPS], mark=mark, changes=may_change(name, user),
        told=told, wrong=wrong or {}, refused=refused, history=found[:SHOWN], older=older, titles=TITLES, in_words=in_words,
    )  # fmt: skip


def _json(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _model(settings: Settings) -> SettingsModel:
    return SettingsModel(settings=_json(settings), mark=settings_history.mark(settings))
