"""What preflight found, as a table for people, counts and JSON for machines, and one error when it can't go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from textwrap import wrap
from typing import Any

from crm_sync.decide.preflight_line import RESULTS, CheckLine, Result
from crm_sync.errors import Misconfigured

__all__ = ["PreflightReport"]

_WORDS: dict[Result, str] = {
    "problem": "PROBLEM",
    "warning": "warning",
    "not_known": "not known",
    "ok": "ok",
}
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """One preflight of a connection; ``at`` is set by the ledger that keeps it."""

    connection: str
    checks: tuple[CheckLine, ...]
    api_calls: int = 0
    at: datetime | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many checks of each result, and the API calls."""
        return {
            **{result: sum(line.result == result for line in self.checks) for result in RESULTS},
            "api_calls": self.api_calls,
        }

    @property
    def possible(self) -> bool:
        """Whether provisioning and the sync can work at all."""
        return not self.counts["problem"]

    def as_json(self) -> list[dict[str, Any]]:
        """The lines as JSON can hold them."""
        return [line.as_json() for line in self.checks]

    def lines(self) -> list[str]:
        """The report for the task log, the worst first; what is to do stands under its line."""
        return [f"Preflight of {self.connection}", *self._table(), self._summary()]

    def raise_if_impossible(self) -> None:
        """Misconfigured with every problem at once."""
        if not self.possible:
            said = "\n".join(
                f"- {line.title}: {line.evidence}. {line.remedy}"
                for line in self.checks
                if line.result == "problem"
            )
            raise Misconfigured(f"Preflight of {self.connection} found what makes a sync impossible:\n{said}")

    def _table(self) -> Iterator[str]:
        width = max(map(len, (line.title for line in self.checks)), default=0)
        indent = " " * (max(map(len, _WORDS.values())) + width + 4)
        for line in sorted(self.checks, key=lambda line: RESULTS.index(line.result)):
            first, *more = wrap(line.evidence, _WIDTH) or [""]
            word = _WORDS[line.result].ljust(max(map(len, _WORDS.values())))
            yield f"{word}  {line.title.ljust(width)}  {first}".rstrip()
            yield from (indent + text for text in more)
            yield from (indent + text for text in wrap(f"→ {line.remedy}" if line.remedy else "", _WIDTH))

    def _summary(self) -> str:
        counts = self.counts
        found = ", ".join(f"{counts[result]} {_WORDS[result].lower()}" for result in RESULTS)
        return f"{found}. API calls of this preflight: {self.api_calls}."
