"""What can go wrong, each error named by what to do next.

One pure function (``access.replies``) turns a vendor's reply into one of these; one Airflow retry policy maps them.
Messages say what happened, to which record or setting, and what to do next; they never carry a secret.
"""

from __future__ import annotations

from datetime import timedelta

__all__ = [
    "ApprovalNeeded",
    "BudgetExhausted",
    "CallCapReached",
    "IncompleteRead",
    "JobUnderWay",
    "Misconfigured",
    "Missing",
    "NotSent",
    "PlanRejected",
    "ReconnectNeeded",
    "RefusedPlan",
    "RetryLater",
    "SessionExpired",
    "SyncError",
    "Unanswered",
    "Unreadable",
    "WorkLeftUndone",
]


class SyncError(Exception):
    """Base of everything the sync raises on purpose."""


class RetryLater(SyncError):
    """The other side can't answer now; the same step may be repeated after ``after``."""

    def __init__(self, message: str, after: timedelta = timedelta(seconds=30)) -> None:
        super().__init__(message)
        self.after = after


class NotSent(RetryLater):
    """A write certainly did not reach the CRM (refused before it was processed, or never sent)."""


class Unanswered(SyncError):
    """A write left, but no answer came: it is in doubt until a later read shows what became of it."""


class IncompleteRead(RetryLater):
    """Fewer rows arrived than were announced, or a page that should follow is missing; the cursor stays."""


class JobUnderWay(RetryLater):
    """A bulk job has not ended yet: the same step, repeated after ``after``, takes its results."""


class SessionExpired(SyncError):
    """The session was refused once more after it had been renewed: the grant itself is dead or lacks a scope."""


class Misconfigured(SyncError):
    """A setting, mapping, permission or schema has to be mended by a person; repeating is useless."""


class Missing(Misconfigured):
    """What was asked for by its id is not there, or not any more."""


class Unreadable(Misconfigured):
    """One object can't be read as it is mapped: it is missing or hidden, or a field of it is.  The others may be well."""

    def __init__(self, message: str, object: str) -> None:
        super().__init__(message)
        self.object = object


class ReconnectNeeded(Misconfigured):
    """The grant is dead, or there never was one: nothing leaves until a person connects again or mends the app."""


class BudgetExhausted(SyncError):
    """The connection's calls of the last 24 hours are used up; ``resume_after`` says when the next one is free."""

    def __init__(self, message: str, resume_after: timedelta) -> None:
        super().__init__(message)
        self.resume_after = resume_after


class CallCapReached(SyncError):
    """One run has made more calls than a run should ever need: it is stopped before a loop burns the day's calls."""


class RefusedPlan(SyncError):
    """The plan is unsafe and needs a person's approval."""


class ApprovalNeeded(RefusedPlan):
    """The plan is stored, and is carried out when a person approves it by its ``digest`` ``within`` this time."""

    def __init__(self, message: str, digest: str, preview: str, within: timedelta) -> None:
        super().__init__(message)
        self.digest = digest
        self.preview = preview
        self.within = within


class PlanRejected(RefusedPlan):
    """A person rejected this very plan, and there is nothing else to do: the run ends, and asks nobody."""


class WorkLeftUndone(SyncError):
    """The run ended with work left undone or with sums that do not add up; the next run takes it up again."""
