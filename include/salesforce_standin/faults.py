"""Faults on demand: the next requests that fit a rule go wrong in the way that the rule says.

A kind of fault is one entry in ``KINDS``; what it does is decided where the request is served (server.py), at one of
three moments: before anything is done, between the work and its commit, and after the commit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# "reset_before" breaks the connection and nothing is written; "reset_after" breaks it once all is durable;
# "delay" answers late; "reply" answers something else and writes nothing; "reply_after" writes and then lies about it;
# "truncate" writes and sends only the first bytes of the reply.
REQUEST_KINDS = frozenset(
    {"reset_before", "reset_after", "delay", "delay_after", "reply", "reply_after", "truncate"}
)
# These hit bulk jobs, not requests; what they do is decided where a batch is worked off (bulk/queue.py). A job's address
# is "/V2Ingest/Contact/upsert": its type, its object, its operation.
JOB_KINDS = frozenset({"fail_job", "abort_job", "stall_job", "unprocessed_rows"})
# This one hits rows of bulk jobs; ``body`` is compared with the row as JSON.
ROW_KINDS = frozenset({"lock_rows"})
KINDS = REQUEST_KINDS | JOB_KINDS | ROW_KINDS


@dataclass(slots=True)
class Fault:
    """One rule: which requests it hits, how many of them, and what happens to those."""

    action: str
    method: str = ".*"
    path: str = ".*"
    body: str = ""
    count: int = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 503
    reply: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    sent: int = 20
    rows: int = 0
    hits: int = 0

    def fits(self, method: str, path: str, content: bytes) -> bool:
        """Whether a request is one that the rule means."""
        return bool(
            re.fullmatch(self.method, method)
            and re.search(self.path, path)
            and (not self.body or re.search(self.body.encode(), content))
        )


class Faults:
    """The rules in force, oldest first; the first that fits and has hits left decides."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []

    def add(self, rules: list[dict[str, Any]]) -> None:
        """Put rules in force, or raise ValueError for one that makes no sense."""
        made = []
        for rule in rules:
            if rule.get("action") not in KINDS:
                raise ValueError(f"action must be one of {', '.join(sorted(KINDS))}")
            try:
                made.append(Fault(**rule))
            except TypeError as error:
                raise ValueError(str(error)) from None
        self._rules.extend(made)

    def clear(self) -> None:
        """Let everything go well again."""
        self._rules.clear()

    def any(self, kinds: frozenset[str]) -> bool:
        """Whether a rule of some kinds is in force."""
        return any(rule.count > 0 and rule.action in kinds for rule in self._rules)

    def listing(self) -> list[dict[str, Any]]:
        """Show the rules with their hits so far."""
        return [{name: getattr(rule, name) for name in Fault.__slots__} for rule in self._rules]

    def strike(
        self, method: str, path: str, content: bytes, kinds: frozenset[str] = REQUEST_KINDS
    ) -> Fault | None:
        """Return the rule that hits a request (or a job, or a row of one), and use up one of its hits."""
        for rule in self._rules:
            if rule.action not in kinds:
                continue
            if (rule.count > 0 or rule.skip > 0) and rule.fits(method, path, content):
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                rule.count -= 1
                rule.hits += 1
                return rule
        return None
