"""A line of preflight: what was checked, with which result, on what evidence, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from crm_sync.decide.preflight_facts import Unknown

__all__ = ["RESULTS", "CheckLine", "Result", "listed", "not_known", "ok", "problem", "warning"]

Result = Literal["problem", "warning", "not_known", "ok"]
RESULTS: tuple[Result, ...] = ("problem", "warning", "not_known", "ok")
"""From the worst on.  A problem makes provisioning or the sync impossible; with a warning they work, but less well."""


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check; ``check`` is its stable name, ``title`` the same for people.

    ``remedy``: exactly what to do; where the result is not known, where a person looks; empty where nothing is to do.
    """

    check: str
    title: str
    result: Result
    evidence: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """The line as JSON can hold it."""
        return asdict(self)


def ok(check: str, title: str, evidence: str) -> CheckLine:
    """Nothing is to do."""
    return CheckLine(check, title, "ok", evidence)


def warning(check: str, title: str, evidence: str, remedy: str) -> CheckLine:
    """It works, but something will be refused or missed."""
    return CheckLine(check, title, "warning", evidence, remedy)


def problem(check: str, title: str, evidence: str, remedy: str) -> CheckLine:
    """It does not work before a person has mended it."""
    return CheckLine(check, title, "problem", evidence, remedy)


def not_known(check: str, title: str, fact: Unknown, where: str) -> CheckLine:
    """It can't be found out from here; ``where`` a person looks."""
    return CheckLine(check, title, "not_known", fact.reason, where)


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names for a person: the first ones, and how many more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
