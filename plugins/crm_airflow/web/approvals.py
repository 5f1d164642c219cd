"""A plan that waits for a person: its question as the page of the run shows it, and the answer, given through Airflow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.web import acting
from crm_airflow.web.after import back
from crm_airflow.web.airflow_api import AirflowUser
from crm_airflow.web.guards import CHANGE, READ, ConnectionName
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading
from crm_sync.ledger import questions

__all__ = ["api", "router"]

RUN: Final = "/connections/{connection_id}/runs/{run_id}"
RunId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Digest = Annotated[str, Form(pattern="^[0-9a-f]{16}$")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class QuestionModel(BaseModel):
    """Why a person has to approve the plan of a run, and what it would do."""

    model_config = ConfigDict(from_attributes=True)

    run_id: int
    digest: str = Field(description="The plan; an answer is about this one and no other")
    reasons: list[str]
    counts: dict[str, dict[str, int]] = Field(description="How many of what, by object")
    calls: int | None = Field(description="About how many API calls it takes; null: none")
    asked_at: datetime
    expires_at: datetime = Field(description="Unanswered until then counts as no")
    answer: str | None = Field(description="null: nobody answered yet")
    answered_at: datetime | None
    answered_by: str | None


class AnswerWanted(BaseModel):
    """A person's answer."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(pattern="^[0-9a-f]{16}$", description="The plan that was looked at")
    approve: bool


class AnswerTaken(BaseModel):
    """Airflow has the answer; the run goes by it in a moment, and keeps who gave it."""

    state: Literal["answered"] = "answered"


@router.post(f"{RUN}/answer", dependencies=CHANGE)
def answer(
    request: Request, connection_id: ConnectionName, run_id: RunId, airflow: AirflowUser, digest: Digest,
    take: Annotated[Literal["approve", "reject"], Form()],
) -> Response:  # fmt: skip
    """Approve or reject the plan that the page showed."""
    acting.answer(airflow, connection_id, run_id, digest, approve=take == "approve")
    told = "approved" if take == "approve" else "rejected"
    return back(request, connection_id, f"/runs/{run_id}", told=told)


@api.get(f"{RUN}/question", dependencies=READ)
def question(connection_id: ConnectionName, run_id: RunId, tx: Reading) -> QuestionModel:
    """The newest question about a run's plan."""
    return QuestionModel.model_validate(questions.asked(tx, connection_id, run_id))


@api.post(f"{RUN}/answer", dependencies=CHANGE, status_code=202)
def give(
    connection_id: ConnectionName, run_id: RunId, airflow: AirflowUser, wanted: AnswerWanted
) -> AnswerTaken:
    """Approve or reject the plan of a run that asks."""
    acting.answer(airflow, connection_id, run_id, wanted.digest, approve=wanted.approve)
    return AnswerTaken()
