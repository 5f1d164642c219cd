"""Preflight: what stands between this connection and a sync that works, found out before anything is changed.

For whoever joins it to the rest::

    preflight = Preflight(expectations, enter, ledger)
    report = preflight.run()          # three calls; kept in the ledger, also when the log-in was refused
    report.raise_if_impossible()      # Misconfigured with every problem at once

``enter`` logs in and makes the org.  RetryLater and BudgetExhausted are raised: they say nothing about the org's set-up.
The newest report of a connection, for a page: ``ledger.newest(connection)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from crm_sync.decide.preflight import calls_refused, check, log_in_refused
from crm_sync.decide.preflight_facts import Expectations, Facts
from crm_sync.errors import Misconfigured, SessionExpired
from crm_sync.preflight_report import PreflightReport

__all__ = ["Preflight", "PreflightLedger", "PreflightOrg", "PreflightReport"]


class PreflightOrg(Protocol):
    """The org to look at: ``stores.salesforce_preflight.SalesforcePreflight``."""

    @property
    def calls(self) -> int:
        """How many API calls were made."""
        ...

    def look(self, types: Sequence[str]) -> Facts:
        """What can be found out."""
        ...


class PreflightLedger(Protocol):
    """What preflight needs of the ledger: ``ledger.preflight.SqlPreflightLedger``."""

    def keep(self, report: PreflightReport) -> None:
        """Keep a report; it is never changed."""
        ...

    def newest(self, connection: str) -> PreflightReport | None:
        """The newest report of a connection."""
        ...


class Preflight:
    """The checks of one connection."""

    def __init__(
        self, expected: Expectations, enter: Callable[[], PreflightOrg], ledger: PreflightLedger
    ) -> None:
        self._expected = expected
        self._enter = enter
        self._ledger = ledger

    def run(self) -> PreflightReport:
        """Look, judge, keep the report."""
        report = self._report()
        self._ledger.keep(report)
        return report

    def _report(self) -> PreflightReport:
        name = self._expected.connection
        try:
            org = self._enter()
        except (Misconfigured, SessionExpired) as error:
            return PreflightReport(name, log_in_refused(str(error)))
        types = tuple(dict.fromkeys(field.type for field in self._expected.wanted))
        try:
            facts = org.look(types)
        except (Misconfigured, SessionExpired) as error:
            return PreflightReport(name, calls_refused(str(error)), org.calls)
        expected = replace(self._expected, spent=self._expected.spent + org.calls)
        return PreflightReport(name, check(expected, facts), org.calls)
