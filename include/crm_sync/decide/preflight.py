"""Preflight's verdicts: from what was found out about an org to lines with result, evidence and remedy; pure."""

from __future__ import annotations

from crm_sync.decide.preflight_facts import Expectations, Facts
from crm_sync.decide.preflight_line import CheckLine, problem
from crm_sync.decide.preflight_org import log_in_lines, org_lines
from crm_sync.decide.preflight_records import feature_lines, refusal_lines
from crm_sync.decide.preflight_rights import access_lines, record_lines, right_lines

__all__ = ["calls_refused", "check", "log_in_refused"]


def check(expected: Expectations, facts: Facts) -> tuple[CheckLine, ...]:
    """Every check, always all of them and in the same order."""
    return (
        *log_in_lines(facts),
        *right_lines(expected, facts),
        *access_lines(expected, facts),
        *record_lines(expected, facts),
        *org_lines(expected, facts),
        *refusal_lines(expected, facts),
        *feature_lines(expected, facts),
    )


def log_in_refused(message: str) -> tuple[CheckLine, ...]:
    """We did not even get in: the one line, whose remedy the message itself names."""
    return (_from_message("app", "Connected or external client app", message),)


def calls_refused(message: str) -> tuple[CheckLine, ...]:
    """We got in, and then the org refused the calls: the one line."""
    return (_from_message("right_ApiEnabled", "'API Enabled'", message),)


def _from_message(check: str, title: str, message: str) -> CheckLine:
    """Messages of errors end with what to do: a sentence of its own, else all that follows the first semicolon."""
    if ". " in message:
        evidence, _, remedy = message.rpartition(". ")
    else:
        evidence, _, remedy = message.partition("; ")
    return problem(check, title, evidence, remedy or "Mend what the message names, then run preflight again.")
