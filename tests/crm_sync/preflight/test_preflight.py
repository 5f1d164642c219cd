"""The stage around the checks: what it keeps, what it raises, what its report says; and its place in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import get_args

import psycopg
import pytest

from crm_sync.decide.preflight_facts import Allowance, Facts
from crm_sync.decide.preflight_line import CheckLine, not_known, ok, problem, warning
from crm_sync.decide.settings import Frequency
from crm_sync.errors import BudgetExhausted, Misconfigured, RetryLater, SessionExpired, SyncError
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.preflight import SqlPreflightLedger
from crm_sync.mapping_files import load_mappings
from crm_sync.preflight import Preflight, PreflightReport
from tests.crm_sync.preflight.facts import EXPECTED, FACTS, HIDDEN, TYPES, MemoryLedger, new_org

NAME = "salesforce_main"


@dataclass
class MemoryOrg:
    """Shows facts, or refuses."""

    shown: Facts | SyncError
    calls: int = 3
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def look(self, types: Sequence[str]) -> Facts:
        self.asked.append(tuple(types))
        if isinstance(self.shown, SyncError):
            raise self.shown
        return self.shown


def ran(org: MemoryOrg | SyncError) -> tuple[PreflightReport, MemoryLedger]:
    """One preflight of an org, or of a log-in that is refused."""
    ledger = MemoryLedger()

    def enter() -> MemoryOrg:
        if isinstance(org, SyncError):
            raise org
        return org

    return Preflight(EXPECTED, enter, ledger).run(), ledger


def test_the_report_is_kept_and_lets_a_good_org_pass() -> None:
    org = MemoryOrg(new_org())
    report, ledger = ran(org)
    assert ledger.kept == [report]
    assert org.asked == [TYPES]
    assert report.counts == {
        "problem": 0,
        "warning": 0,
        "not_known": 0,
        "ok": len(report.checks),
        "api_calls": 3,
    }
    report.raise_if_impossible()


def test_its_own_calls_are_not_those_of_others() -> None:
    report, _ = ran(MemoryOrg(replace(FACTS, calls=Allowance(15_000, 14_997))))
    (line,) = [each for each in report.checks if each.check == "api_allocation"]
    assert "3 of 15,000 used: 3 by GPTWeb, 0 by others" in line.evidence


@pytest.mark.parametrize("kind", [Misconfigured, SessionExpired])
def test_a_refused_log_in_is_a_report_too(kind: type[SyncError]) -> None:
    report, ledger = ran(kind("log-in was refused: inactive_user; activate it"))
    assert [(line.check, line.result, line.remedy) for line in report.checks] == [
        ("app", "problem", "activate it")
    ]
    assert ledger.kept == [report]
    with pytest.raises(Misconfigured, match="activate it"):
        report.raise_if_impossible()


def test_a_user_without_the_api_is_a_report_too() -> None:
    report, ledger = ran(MemoryOrg(Misconfigured("403 API_CURRENTLY_DISABLED; give 'API Enabled'"), calls=1))
    assert [(line.check, line.result) for line in report.checks] == [("right_ApiEnabled", "problem")]
    assert (report.api_calls, ledger.kept) == (1, [report])


@pytest.mark.parametrize("error", [RetryLater("busy"), BudgetExhausted("used up", timedelta(hours=1))])
@pytest.mark.parametrize("inside", [False, True])
def test_what_says_nothing_about_the_org_is_raised_and_not_kept(error: SyncError, *, inside: bool) -> None:
    with pytest.raises(type(error)):
        ran(MemoryOrg(error) if inside else error)


# ---------------------------------------------------------------------------------------------- report

LINES = (
    ok("edition", "Edition", "Enterprise Edition"),
    warning("storage", "Data storage", "1 of 5 MB free", "Buy data storage."),
    not_known("clock", "Clock offset", HIDDEN, "See the wall."),
    problem("fields", "Mapped fields", "gone " * 40, "Make them."),
    problem("app", "App", "blocked", "Allow it."),
)


def test_the_table_shows_the_worst_first_and_every_remedy_under_its_line() -> None:
    report = PreflightReport(NAME, LINES, 3)
    text = report.lines()
    assert text[0] == f"Preflight of {NAME}"
    assert text[-1] == "2 problem, 1 warning, 1 not known, 1 ok. API calls of this preflight: 3."
    words = [line.split("  ")[0] for line in text[1:-1] if not line.startswith(" ")]
    assert words == ["PROBLEM", "PROBLEM", "warning", "not known", "ok"]
    joined = " ".join(line.strip() for line in text)
    assert joined.index("→ Make them.") < joined.index("→ Allow it.") < joined.index("→ Buy data storage.")
    assert max(map(len, text)) < 140


def test_every_problem_is_in_the_one_error_and_nothing_else() -> None:
    with pytest.raises(Misconfigured) as caught:
        PreflightReport(NAME, LINES).raise_if_impossible()
    said = str(caught.value)
    assert "- App: blocked. Allow it." in said
    assert "- Mapped fields: gone" in said
    assert "storage" not in said


# ---------------------------------------------------------------------------------------------- ledger


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    with database.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {})
    yield database
    database.close()


def test_the_newest_report_comes_back_as_it_was_kept(database: Database) -> None:
    ledger = SqlPreflightLedger(database)
    assert ledger.newest(NAME) is None
    ledger.keep(PreflightReport(NAME, LINES[:1], 3))
    ledger.keep(PreflightReport(NAME, LINES, 2))
    found = ledger.newest(NAME)
    assert found is not None
    assert found.at is not None
    assert replace(found, at=None) == PreflightReport(NAME, LINES, 2)
    with database.transaction() as tx:
        rows = tx.rows("select possible, counts ->> 'problem' from crm_sync.preflight order by preflight_id")
    assert rows == [(True, "0"), (False, "2")]


def test_a_kept_report_is_never_changed(database: Database) -> None:
    SqlPreflightLedger(database).keep(PreflightReport(NAME, LINES))
    with pytest.raises(psycopg.errors.RaiseException, match="audit trail"), database.transaction() as tx:
        tx.run("update crm_sync.preflight set possible = true")


@pytest.mark.parametrize(
    ("chosen", "creates"),
    [
        ({}, {"account", "contact", "lead"}),
        ({"create_leads": False}, {"account", "contact"}),
        ({"direction": "pull"}, set()),
        ({"direction": "push"}, {"account", "contact", "lead"}),
    ],
)
def test_what_is_expected_of_the_org_is_in_the_settings(
    database: Database, chosen: dict[str, object], creates: set[str]
) -> None:
    with database.transaction() as tx:
        settings.change_settings(tx, NAME, {"frequency": "hourly", "daily_calls": 7, **chosen})
        connection = settings.load(tx, NAME)
    found = SqlPreflightLedger(database).expectations(connection, load_mappings("salesforce"))
    assert (set(found.creates), found.every, found.daily_calls, found.provisioned) == (
        creates,
        timedelta(hours=1),
        7,
        False,
    )
    assert found.wanted == EXPECTED.wanted


@pytest.mark.parametrize(
    ("chosen", "deletes"),
    [({}, False), ({"our_archive": "delete"}, True), ({"our_archive": "delete", "direction": "pull"}, False)],
)
def test_deletes_are_expected_where_the_settings_say_so(
    database: Database, chosen: dict[str, object], *, deletes: bool
) -> None:
    with database.transaction() as tx:
        settings.change_settings(tx, NAME, chosen)
        connection = settings.load(tx, NAME)
    assert SqlPreflightLedger(database).expectations(connection, {}).deletes is deletes


def test_every_frequency_has_its_duration(database: Database) -> None:
    ledger = SqlPreflightLedger(database)
    with database.transaction() as tx:
        connection = settings.load(tx, NAME)
    for frequency in get_args(Frequency):
        changed = replace(
            connection, settings=connection.settings.model_copy(update={"frequency": frequency})
        )
        assert ledger.expectations(changed, {}).every > timedelta(0)


def test_only_the_calls_of_a_day_and_of_this_connection_count_as_ours(database: Database) -> None:
    with database.transaction() as tx:
        settings.connect(tx, "other", "salesforce", {})
        for name, age in ((NAME, "1 hour"), (NAME, "23 hours"), (NAME, "25 hours"), ("other", "1 hour")):
            tx.run(
                "insert into crm_sync.spending (connection, lane, purpose, booked_at) "
                "values (%s, 'sync', 'sync', clock_timestamp() - %s::interval)",
                (name, age),
            )
        connection = settings.load(tx, NAME)
    assert SqlPreflightLedger(database).expectations(connection, {}).spent == 2


def test_a_line_survives_json() -> None:
    assert [CheckLine(**line) for line in PreflightReport(NAME, LINES).as_json()] == list(LINES)
