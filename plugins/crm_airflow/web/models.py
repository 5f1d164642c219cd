"""The answers of the JSON API; their names are stable."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from crm_sync.decide.condition import ConditionName
from crm_sync.decide.setup import Stage, Step
from crm_sync.ledger.overview import Overview, Progress, RunFigures

__all__ = [
    "ConnectionModel",
    "Connections",
    "ProgressModel",
    "RunAsked",
    "RunModel",
    "RunPage",
    "RunRequest",
    "SetupModel",
]


class RunModel(BaseModel):
    """One run; sums are null while it is under way.  planned = acknowledged + parked + superseded + in_doubt."""

    model_config = ConfigDict(from_attributes=True)

    run_id: int
    connection: str
    kind: str
    dag_run_id: str | None = Field(description="The run in Airflow")
    started_at: datetime
    ended_at: datetime | None
    state: str
    planned: int | None
    acknowledged: int | None
    parked: int | None
    superseded: int | None
    in_doubt: int | None
    conflicts: int | None
    api_calls: int
    message: str | None
    paused_until: datetime | None
    calls_left: int | None = Field(description="Forecast: calls that its lane had left of the day")
    calls_needed: int | None = Field(description="Forecast: calls that its backlog needed")
    dry_run: bool


class RunPage(BaseModel):
    """Runs, the newest first."""

    runs: list[RunModel]
    next_before: int | None = Field(
        description="Give it as `before` for the next page; null: there are no more"
    )


class ProgressModel(RunModel):
    """A run with how far it has come."""

    changes: int = Field(description="Changes planned so far")
    done: int = Field(description="Outcomes that they have so far, nearly always one each")

    @classmethod
    def of(cls, progress: Progress) -> ProgressModel:
        """From what the ledger says."""
        run = RunModel.model_validate(progress.run).model_dump()
        return cls(**run, changes=progress.changes, done=progress.done)


class ConnectionModel(BaseModel):
    """One connection with its state and its figures."""

    name: str
    vendor: str
    state: ConditionName
    state_in_words: str
    sentence: str = Field(description="What is behind the state, and what to do")
    active: bool = Field(description="Whether syncs begin by themselves")
    organization_id: str | None
    provisioned_at: datetime | None
    frequency: str
    direction: str
    conflict_policy: str
    waiting: int = Field(description="Records with a change that is not on the other side yet")
    more_waiting: bool = Field(description="There are more than were looked at")
    oldest_seconds: float | None = Field(description="How long the oldest of these changes has waited")
    calls_used: int = Field(description="API calls of the last 24 hours")
    calls_allowed: int
    conflicts: int = Field(description="Conflicts that were decided in the last 24 hours")
    parked: int = Field(description="Parked rows")
    last_run: RunModel | None = Field(description="Its newest run that was no dry run")
    mark: str = Field(description="Changes when a run begins or ends, and when the state does")

    @classmethod
    def of(cls, view: Overview) -> ConnectionModel:
        """From what the ledger says."""
        connection, chosen, fresh = view.connection, view.connection.settings, view.freshness
        return cls(
            name=connection.name, vendor=connection.vendor, state=view.condition.name,
            state_in_words=view.condition.words, sentence=view.condition.sentence, active=connection.active,
            organization_id=connection.organization_id, provisioned_at=connection.provisioned_at,
            frequency=chosen.frequency, direction=chosen.direction, conflict_policy=chosen.conflict_policy,
            waiting=fresh.waiting, more_waiting=fresh.more,
            oldest_seconds=fresh.age.total_seconds() if fresh.age is not None else None,
            calls_used=view.calls_used, calls_allowed=chosen.daily_calls, conflicts=view.conflicts, parked=view.parked,
            last_run=_run(view.last_run), mark=view.mark,
        )  # fmt: skip


class Connections(BaseModel):
    """The connections that the user may read."""

    connections: list[ConnectionModel]


class SetupModel(BaseModel):
    """How far the set-up of a connection has come."""

    name: str
    state: Stage
    step: Step


class RunRequest(BaseModel):
    """What a run that a person asks for shall do."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(default=False, description="Plan and report; write on neither side")
    once: str = Field(
        default="",
        pattern="^([0-9a-f]{16})?$",
        description="A number of yours: asked again with it, no second run begins",
    )


class RunAsked(BaseModel):
    """A run was asked for; Airflow begins it in a moment."""

    state: Literal["asked"] = "asked"
    dag_id: str
    dag_run_id: str


def _run(run: RunFigures | None) -> RunModel | None:
    return RunModel.model_validate(run) if run else None
