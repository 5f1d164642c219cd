"""Asking a person: a task waits for an answer in Airflow's own human-in-the-loop way, without a worker and without a trigger.

Any task can wait like this, so a plan that is safe costs no task of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

if TYPE_CHECKING:
    from crm_sync.errors import ApprovalNeeded

__all__ = ["NO", "Answer", "answer_of", "ask", "yes"]

YES = "Approve plan "  # before its digest: so the answer itself names what was approved
NO = "Reject"


@dataclass(frozen=True, slots=True)
class Answer:
    """``approved``: the digest, blank for no.  ``by``: None when nobody answered in time."""

    approved: str
    by: str | None
    at: datetime


def ask(context: Mapping[str, Any], connection: str, error: ApprovalNeeded, method: str) -> NoReturn:
    """Show the question under Browse → Required Actions, and come back to ``method`` with the answer; none means no."""
    upsert_hitl_detail(
        ti_id=context["ti"].id,
        options=[yes(error.digest), NO],
        subject=f"Carry out plan {error.digest} of {connection}?",
        body=error.preview,
        defaults=[NO],
        params={},
    )
    raise TaskAwaitingInput(method_name=method, timeout=error.within)


def yes(digest: str) -> str:
    """The option that approves this plan."""
    return YES + digest


def answer_of(event: Mapping[str, Any] | None) -> Answer:
    """The answer as Airflow hands it over; only one clear yes is a yes."""
    event = event or {}
    chosen = [str(option) for option in event.get("chosen_options") or ()]
    digests = [option.removeprefix(YES) for option in chosen if option.startswith(YES)]
    return Answer(
        digests[0] if len(chosen) == len(digests) == 1 else "",
        _who(event),
        event.get("responded_at") or datetime.now(UTC),
    )


def _who(event: Mapping[str, Any]) -> str | None:
    if event.get("timedout") or "error" in event:
        return None
    user = event.get("responded_by_user")
    if isinstance(user, Mapping):
        return str(user.get("name") or user.get("id") or "somebody")
    return "somebody"
