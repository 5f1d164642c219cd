"""How many calls an org has made in the last 24 hours, by the minute, and what the headers say about it."""

from __future__ import annotations

import random
from collections import deque

from salesforce_standin.clock import Clock
from salesforce_standin.policy import Policy

_WINDOW = 24 * 60
_SERVERS = 4


class Meter:
    """A rolling window of calls (facts/salesforce.md 3.1)."""

    def __init__(self, clock: Clock, policy: Policy, seed: int) -> None:
        self._clock = clock
        self._policy = policy
        self._minutes: deque[list[int]] = deque()
        self._total = 0
        # The figure in the header is not monotonic in a real org: its servers hold differently fresh totals.
        self._random = random.Random(seed)  # noqa: S311 - a jitter, no secret
        self._held = [0] * _SERVERS
        self.dirty = False

    @property
    def allowance(self) -> int:
        """The calls that any 24 hours may see."""
        return self._policy.daily_limit

    def used(self) -> int:
        """Return the calls of the last 24 hours."""
        oldest = int(self._clock.now() // 60) - _WINDOW
        while self._minutes and self._minutes[0][0] <= oldest:
            self._total -= self._minutes.popleft()[1]
        return self._total

    def allows(self, calls: int = 1) -> bool:
        """Whether so many more calls fit."""
        return self.used() + calls <= self.allowance + self._policy.limit_overrun

    def count(self, calls: int = 1) -> None:
        """Count calls that were made."""
        minute = int(self._clock.now() // 60)
        if self._minutes and self._minutes[-1][0] >= minute:
            self._minutes[-1][1] += calls
        else:
            self._minutes.append([minute, calls])
        self._total += calls
        self.dirty = True

    def set_used(self, calls: int) -> None:
        """Pretend that so many calls were made just now."""
        self._minutes.clear()
        self._total = 0
        self.count(calls)

    def header(self) -> str:
        """Return the value of Sforce-Limit-Info, as the server that happens to answer knows it."""
        return f"api-usage={self.known()}/{self.allowance}"

    def known(self) -> int:
        """Return the total that one server holds: it lags by some calls, so what clients see goes up and down."""
        used, lag = self.used(), self._policy.limit_lag
        if not lag:
            return used
        server = self._random.randrange(_SERVERS)
        behind = used - self._held[server]
        if behind < 0 or behind > self._random.randint(0, lag):
            self._held[server] = used
        return self._held[server]

    def dump(self) -> list[list[int]]:
        """Return what to store."""
        self.dirty = False
        return [list(minute) for minute in self._minutes]

    def load(self, minutes: list[list[int]]) -> None:
        """Take over what was stored."""
        self._minutes = deque(minutes)
        self._total = sum(calls for _, calls in minutes)
