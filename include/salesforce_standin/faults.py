"""Faults on demand: the next requests that fit a rule go wrong in the way that the rule says.

A kind of fault is one entry in ``KINDS``; what it does is decided where the request is served (server.py), before
anything is done or after the commit, or where the row is written (row_faults.py), or the job worked off (bulk/queue.py).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, fields
from typing import Any

from salesforce_standin.fault_replies import NAMED, reply_of
from salesforce_standin.http_call import Reply

# What happens to a request. Nothing of it is done: "reset_before" breaks the connection, "hang" never answers, "reply"
# answers something else. It is done late: "delay"; or without its session: "end_session". All of it is done and durable:
# "reset_after", "hang_after", "delay_after", "reply_after" (another reply), "edit" (a reply with lies in it), "truncate"
# (only its first bytes), "drip" (its bytes little by little).
REQUEST_KINDS = frozenset(
    {
        "reset_before", "hang", "reply", "delay", "end_session", "reset_after", "hang_after", "delay_after",
        "reply_after", "edit", "truncate", "drip",
    }
)  # fmt: skip
# These hit bulk jobs, not requests; what they do is decided where a batch is worked off (bulk/queue.py). A job's address
# is "/V2Ingest/Contact/upsert": its type, its object, its operation.
JOB_KINDS = frozenset({"fail_job", "abort_job", "stall_job", "unprocessed_rows"})
# These hit single rows; ``body`` is compared with the row as JSON. The address of a row that comes over REST is like
# "/REST/Contact/update".
ROW_KINDS = frozenset({"lock_rows", "refuse_rows"})
KINDS = REQUEST_KINDS | JOB_KINDS | ROW_KINDS


@dataclass(slots=True)
class Fault:
    """One rule: which requests it hits, how many of them, and what happens to those."""

    action: str
    method: str = ".*"
    path: str = ".*"
    body: str = ""
    # None: as many as come.
    count: int | None = 1
    skip: int = 0
    # Of the requests that fit, so many are hit, by a dice of the rule's own.
    probability: float = 1.0
    seed: int = 1
    seconds: float = 0.0
    # The name of a usual reply (fault_replies.py), in the place of status, reply and headers.
    error: str = ""
    status: int = 503
    reply: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    sent: int = 20
    put: dict[str, Any] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)
    code: str = "UNABLE_TO_LOCK_ROW"
    message: str = ""
    fields: list[str] = field(default_factory=list)
    rows: int = 0
    hits: int = 0
    dice: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check what the rule says; ValueError says what is wrong."""
        if self.action not in KINDS:
            raise ValueError(f"action must be one of {', '.join(sorted(KINDS))}")
        if self.error and self.error not in NAMED:
            raise ValueError(f"error must be one of {', '.join(sorted(NAMED))}")
        for pattern in (self.method, self.path, self.body):
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        self.dice = random.Random(self.seed)  # noqa: S311 - chance, no secret

    @property
    def left(self) -> bool:
        """Whether the rule may still hit, or let pass, a request."""
        return self.count is None or self.count > 0

    def answer(self) -> Reply:
        """Return the reply that the rule gives."""
        if self.error:
            return reply_of(self.error)
        return Reply(self.status, self.reply, dict(self.headers))

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
        return any(rule.left and rule.action in kinds for rule in self._rules)

    def listing(self) -> list[dict[str, Any]]:
        """Show the rules with their hits so far."""
        shown = [one.name for one in fields(Fault) if one.name != "dice"]
        return [{name: getattr(rule, name) for name in shown} for rule in self._rules]

    def strike(
        self, method: str, path: str, content: bytes, kinds: frozenset[str] = REQUEST_KINDS
    ) -> Fault | None:
        """Return the rule that hits a request (or a job, or a row of one), and use up one of its hits."""
        for rule in self._rules:
            if rule.action not in kinds or not rule.left or not rule.fits(method, path, content):
                continue
            if rule.probability < 1 and rule.dice.random() >= rule.probability:
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.count is not None:
                rule.count -= 1
            rule.hits += 1
            return rule
        return None
