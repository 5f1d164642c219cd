"""The words of the settings: groups, titles, help, units and the words of choices; which settings there are the model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["CHOICES", "ELSEWHERE", "FIRST", "GROUPS", "TITLES", "Group", "Setting"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the page shows it; ``blank``: what it means to leave it empty, where one may."""

    name: str
    title: str
    help: str = ""
    unit: str = ""
    blank: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that belong together, with one sentence about them."""

    title: str
    about: str
    settings: tuple[Setting, ...]


GROUPS: Final[tuple[Group, ...]] = (
    Group(
        "Sync", "How often, which way, and who wins.",
        (
            Setting("frequency", "Sync frequency"),
            Setting("direction", "Sync direction"),
            Setting("conflict_policy", "Conflict resolution", "Where both sides changed the same field since they last agreed."),
            Setting("create_contacts", "Create new contacts"),
            Setting("create_accounts", "Create new accounts"),
            Setting("create_leads", "Create new leads"),
        ),
    ),
    Group(
        "Deletes", "What becomes of a record that one side deletes.",
        (
            Setting("their_delete", "A record deleted in the CRM is, in GPTWeb,"),
            Setting("our_archive", "A record archived in GPTWeb is, in the CRM,"),
        ),
    ),
    Group(
        "Approval by a person", "What is large enough to wait until somebody has looked at it.",
        (
            Setting("approve_creations_above", "A first sync waits if it would make more than", "", "records", "Blank: it never waits."),
            Setting("approve_share_above", "A sync waits if it would overwrite or delete more than",
                    "Of an object's linked records on one side.", "%", "Blank: it never waits."),
            Setting("approve_share_from", "… as soon as an object has", "With fewer, a share says little.", "linked records"),
            Setting("approve_hours", "A plan waits for at most", "Then it is refused, and the next sync plans anew.", "hours"),
        ),
    ),
    Group(
        "Budget", "How many calls of the CRM's API the sync may use, and how it sends.",
        (
            Setting("daily_calls", "All runs together, at most", "In any 24 hours. What is over waits and goes on by itself.", "calls"),
            Setting("org_reserve", "Left to the org's other users", "Of the calls that the org allows all its applications.", "%"),
            Setting("run_calls", "One run, at most", "More looks like a loop: the run is stopped.", "calls"),
            Setting("object_calls", "One run for one object, at most", "More looks like a loop: the run is stopped.", "calls"),
            Setting("batch_size", "One batch, at most", "", "records"),
            Setting("large_pushes", "Many changes are sent"),
        ),
    ),
    Group(
        "Reconciliation", "A complete comparison of both sides, and what it mends.",
        (Setting("reconcile", "Compare both sides"), Setting("heal", "What it heals")),
    ),
    Group(
        "Who sees GPTWeb's fields", "Whom provisioning lets see the fields in Salesforce. It takes effect when it next runs.",
        (
            Setting("sales_users", "Users", "One a line: the username (name@domain, as Setup → Users shows it) or the user's id (005…)."),
            Setting("sales_profiles", "Profiles", "One a line: all active users of the profile."),
            Setting("layouts", "Put the fields on the page layouts of contacts, leads and accounts"),
            Setting("owner_id", "Owner of records made in the CRM", "The id of a user (005…).", "", "Blank: the integration user."),
        ),
    ),
    Group(
        "Timing", "For experts: the usual values suit nearly every org.",
        (
            Setting("lag_seconds", "A record may show up late in the CRM by", "So far back each sync reads again.", "seconds"),
            Setting("lease_seconds", "A run may hold a record while it writes for", "", "seconds"),
            Setting("late_commit_seconds", "After its time-out a write may still land within", "", "seconds"),
            Setting("look_seconds", "A paused run looks again every", "", "seconds"),
        ),
    ),
)  # fmt: skip

FIRST: Final = GROUPS[0]
"""What a set-up asks for; the other settings have good defaults."""

STALL: Final = Setting(
    "stall_minutes", "Say that a sync is stalled after",
    "Without a sync that succeeded, or with a change that waits; three times the frequency at least.", "minutes",
)  # fmt: skip
"""Stands on the page of the alerts."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "mapping": "Field mapping", "scope": "Scope", "alerts": "Who is told", STALL.name: STALL.title,
}  # fmt: skip
"""Settings that have pages of their own."""

TITLES: Final[Mapping[str, str]] = {
    **{setting.name: setting.title for group in GROUPS for setting in group.settings},
    **ELSEWHERE,
}

CHOICES: Final[Mapping[str, Mapping[str, str]]] = {
    "frequency": {
        "realtime": "Real-time (every minute)", "5min": "Every 5 minutes", "15min": "Every 15 minutes", "hourly": "Hourly",
    },
    "direction": {
        "bidirectional": "Bidirectional", "push": "Push to CRM", "pull": "Pull from CRM",
    },
    "conflict_policy": {"crm_wins": "CRM wins", "gptweb_wins": "GPTWeb wins", "most_recent": "Most recent wins"},
    "their_delete": {"archive": "archived", "keep": "kept"},
    "our_archive": {"keep": "kept", "delete": "put into the recycle bin"},
    "large_pushes": {
        "auto": "by a bulk job where that halves the calls", "composite": "always in batches", "bulk": "always by a bulk job",
    },
    "reconcile": {"nightly": "Every night", "weekly": "Every Sunday", "never": "Only when somebody starts it"},
    "heal": {
        "none": "Nothing: it reports", "safe": "All but deletes and mass overwrites",
        "all": "Everything; what destroys after approval",
    },
}  # fmt: skip
