"""The words of the settings page: groups, titles, help and the words of choices; which settings there are the model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["CHOICES", "GROUPS", "Setting"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the page shows it."""

    name: str
    title: str
    help: str = ""


GROUPS: Final[tuple[tuple[str, tuple[Setting, ...]], ...]] = (
    (
        "Sync",
        (
            Setting("frequency", "Frequency"),
            Setting("direction", "Direction"),
            Setting("conflict_policy", "Conflict resolution", "Where both sides changed the same field since they last agreed."),
            Setting("create_contacts", "Create new contacts"),
            Setting("create_accounts", "Create new accounts"),
            Setting("create_leads", "Create new leads"),
        ),
    ),
    (
        "Deletes",
        (
            Setting("their_delete", "A record deleted in the CRM is, in GPTWeb,"),
            Setting("our_archive", "A record archived in GPTWeb is, in the CRM,"),
        ),
    ),
    (
        "Approval by a person",
        (
            Setting("approve_creations_above", "A first sync that makes more records than", "Blank: never asks."),
            Setting("approve_share_above", "A plan that overwrites or deletes more than this share of an object's records",
                    "Between 0 and 1; blank: never asks."),
            Setting("approve_share_from", "… from so many linked records on"),
            Setting("approve_hours", "Hours for which a plan waits"),
        ),
    ),
    (
        "Budget",
        (
            Setting("daily_calls", "API calls in 24 hours, at most"),
            Setting("org_reserve", "Share of the org's own calls that is left to others", "0.1 is a tenth."),
            Setting("run_calls", "Calls of one run, at most"),
            Setting("object_calls", "Calls of one run for one object, at most"),
            Setting("large_pushes", "Many changes go"),
            Setting("batch_size", "Records a batch, at most"),
        ),
    ),
    (
        "Reconciliation and alerts",
        (
            Setting("reconcile", "Compare both sides completely"),
            Setting("heal", "What it heals"),
            Setting("stall_minutes", "Stalled after so many minutes", "Without a sync that succeeded, or with a change that waits."),
            Setting("alerts", "Who is told of a change of state",
                    'JSON, e.g. [{"via": "mail", "to": ["crm@example.com"]}, {"via": "webhook", "conn_id": "sales_chat"}]'),
        ),
    ),
    (
        "Who sees GPTWeb's fields",
        (
            Setting("sales_users", "Users", "One a line: user name or id."),
            Setting("sales_profiles", "Profiles", "One a line: all active users of it."),
            Setting("layouts", "Put the fields on the page layouts"),
            Setting("owner_id", "Owner of records made in the CRM", "An id; blank: the integration user."),
        ),
    ),
    (
        "Scope",
        (
            Setting("scope", "Which records are made on the other side",
                    'JSON, e.g. {"contact": {"ours": [{"field": "total_score", "op": ">=", "value": 20}]}}; see docs/scope.md'),
        ),
    ),
    (
        "Timing, for experts",
        (
            Setting("lag_seconds", "Seconds for which a record may show up late in the CRM"),
            Setting("lease_seconds", "Seconds for which a run may hold a record while it writes"),
            Setting("late_commit_seconds", "Seconds after its time-out within which a write may still land"),
            Setting("look_seconds", "Seconds between two looks of a paused run"),
        ),
    ),
)  # fmt: skip

CHOICES: Final[Mapping[str, Mapping[str, str]]] = {
    "frequency": {
        "realtime": "Real time (every minute)", "5min": "Every 5 minutes", "15min": "Every 15 minutes", "hourly": "Hourly",
    },
    "direction": {
        "bidirectional": "Both ways", "push": "From GPTWeb to the CRM only", "pull": "From the CRM to GPTWeb only",
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
