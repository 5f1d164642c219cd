"""When people are alerted and where: only when the condition of a connection becomes another one, with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from crm_sync.decide.condition import WORDS, ConditionName, Signs, condition_of

__all__ = [
    "EVENTS",
    "Alert",
    "AlertState",
    "AlertTarget",
    "Mail",
    "Watched",
    "Webhook",
    "alert_of",
    "state_of",
    "trial",
]

AlertState = ConditionName | Literal["stalled", "run_failed", "drifting", "values_parked"]
_MORE: Final[Mapping[AlertState, str]] = MappingProxyType(
    {
        "stalled": "Stalled",
        "run_failed": "A run failed",
        "drifting": "Drifting",
        "values_parked": "Values parked",
    }
)
_QUIET: Final = frozenset[AlertState]({"healthy", "not_provisioned"})
"""Nobody is told of these unless they end something that people were told of."""
_GOING: Final = frozenset[AlertState]({"healthy", "run_failed", "drifting", "values_parked"})
"""While it is like this, syncs are expected to succeed."""
_REMEDIES: Final[Mapping[AlertState, str]] = MappingProxyType(
    {
        "reconnect_needed": "Open CRM Sync in Airflow, choose the connection and press Reconnect; nothing is lost meanwhile.",
        "waiting_approval": "Open CRM Sync in Airflow, choose the connection, look at the plan of its run, and approve or reject it.",
        "paused": "Resume it in CRM Sync when edits shall travel again; all of them are kept.",
        "paused_budget": "It goes on by itself. If it happens often, raise daily_calls, or narrow the scope.",
        "failing": "Open the newest run of the connection's sync in Airflow; settle names what is left and what to do.",
        "stalled": "Look whether Airflow's scheduler runs, whether the sync's DAG is paused, and at its newest run.",
        "run_failed": "Open that run in Airflow: its last task says what and why. Once that is mended, start it again.",
        "drifting": "Open the report of the newest reconciliation, and run it again with heal = safe, or all for what safe leaves.",
        "values_parked": "Open CRM Sync, page Parked: each value has its cause and its remedy.",
    }
)

EVENTS: Final[Mapping[AlertState, str]] = MappingProxyType(
    {state: _MORE.get(state) or WORDS[state] for state in _REMEDIES}  # type: ignore[index]
)
"""What people can be told of, in words; that it has ended they are told as well."""

ConnId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=250)]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,;]+@[^@\s,;]+$", max_length=254)]


class _Target(BaseModel):
    """``events``: what it is told of; none chosen: of everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: tuple[AlertState, ...] = Field(default=(), max_length=12)

    def wants(self, alert: Alert) -> bool:
        """Whether this message is for it: what it asked for has begun, or has ended."""
        return not self.events or alert.state in self.events or alert.was in self.events


class Mail(_Target):
    """Mail to people through the SMTP server of an Airflow connection."""

    via: Literal["mail"]
    to: tuple[Address, ...] = Field(min_length=1, max_length=50)
    conn_id: ConnId = "smtp_default"

    @property
    def key(self) -> str:
        """Tells this target from others."""
        return f"mail {self.conn_id}: {', '.join(self.to)}"


class Webhook(_Target):
    """A POST of JSON to the address that an Airflow connection of type HTTP holds; its password goes along as bearer token."""

    via: Literal["webhook"]
    conn_id: ConnId

    @property
    def key(self) -> str:
        """Tells this target from others."""
        return f"webhook {self.conn_id}"


AlertTarget = Annotated[Mail | Webhook, Field(discriminator="via")]


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at.

    ``silent``: since the last sync that succeeded; ``under_way``: one is at work; ``waiting``: the age of the oldest
    change that is not on the other side; ``failed``: what else failed last, a sentence each; ``drift``: headline of the newest reconciliation if it found drift that nobody
    sees to; ``parked``: values and records that wait for a person.
    """

    signs: Signs
    silent: timedelta | None = None
    under_way: bool = False
    waiting: timedelta | None = None
    failed: tuple[str, ...] = ()
    drift: str | None = None
    parked: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """One message: from which state to which, the sentence behind it, and what to do."""

    connection: str
    was: AlertState
    state: AlertState
    message: str
    remedy: str

    @property
    def subject(self) -> str:
        """For the head of a mail."""
        if self.state == self.was:
            return f"CRM sync {self.connection}: test message"
        if self.state in _QUIET:
            return f"CRM sync {self.connection}: recovered ({_words(self.was)} before)"
        return f"CRM sync {self.connection}: {_words(self.state)}"


def state_of(
    watched: Watched, patience: timedelta, was: AlertState = "healthy", known: timedelta | None = None
) -> tuple[AlertState, str]:
    """The state that a person would have to know first; a sync may be silent, and a change may wait, for ``patience``.

    ``was``: what people know, and ``known``: since when.  What has just ended explains the silence before it, so
    patience begins anew: a connection that was resumed is not stalled because it was paused.
    """
    condition = condition_of(watched.signs)
    if condition.name != "healthy":
        return condition.name, condition.sentence
    late = _late(watched, patience, was)
    if late and (was == "stalled" or (was in _GOING and (known is None or known > patience))):
        return "stalled", late
    if watched.failed:
        return "run_failed", " ".join(watched.failed)
    if watched.drift is not None:
        return "drifting", watched.drift
    if watched.parked:
        return "values_parked", f"{watched.parked} values or records wait for a person."
    return "healthy", condition.sentence


def _late(watched: Watched, patience: timedelta, was: AlertState) -> str | None:
    """What takes too long.

    While a sync is under way, how long its work has waited tells nothing new: a first one, or one after other settings,
    takes up records that were last changed years ago.
    """
    if watched.silent is not None and watched.silent > patience:
        return f"No sync has succeeded for {_about(watched.silent)}."
    if watched.waiting is None or watched.waiting <= patience or (watched.under_way and was != "stalled"):
        return None
    return f"The oldest change has waited for {_about(watched.waiting)}."


def alert_of(connection: str, was: AlertState, state: AlertState, message: str) -> Alert | None:
    """What people are told, or None where nothing changed for them."""
    if was == state or (was in _QUIET and state in _QUIET):
        return None
    return Alert(connection, was, state, message, _REMEDIES.get(state, "Nothing is to be done."))


def trial(connection: str) -> Alert:
    """A message by which people see that messages arrive; it tells of no change."""
    return Alert(
        connection,
        "healthy",
        "healthy",
        "Somebody tries out whether messages arrive: this one did.",
        "Nothing is to be done.",
    )


def _words(state: AlertState) -> str:
    return (EVENTS.get(state) or next(words for name, words in WORDS.items() if name == state)).lower()


def _about(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 2_880 else f"{minutes // 1_440} days"
