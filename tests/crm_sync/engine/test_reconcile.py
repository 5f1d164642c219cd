"""Reconciliation against the Salesforce stand-in over a socket: each cause found, reported without a trace, and healed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from crm_sync.decide.drift import Drift
from crm_sync.engine import Engine, RunOptions, approval
from crm_sync.errors import ApprovalNeeded, JobUnderWay
from crm_sync.ledger import reconciliation, runs, settings
from crm_sync.ledger.database import Database
from crm_sync.model import Heal
from tests.crm_sync.engine.worker import STAGES, engine_on
from tests.crm_sync.stores.standin import StandinOrg

TABLES = (
    "gptweb.accounts", "gptweb.contacts", "gptweb.leads", "crm_sync.link", "crm_sync.image", "crm_sync.stray",
    "crm_sync.outbox", "crm_sync.parked", "crm_sync.cursor", "crm_sync.change", "crm_sync.decision", "crm_sync.intent",
)  # fmt: skip
LONG_AGO = -30 * 86_400


@dataclass
class Hub:
    """GPTWeb's side, the org's people, and the people of this test by name."""

    org: StandinOrg
    database: Database
    client: psycopg.Connection[Any]
    url: str
    tag: str = field(default_factory=lambda: uuid4().hex[:8])
    later: timedelta = timedelta(0)
    runs: int = 0
    asked: str = ""

    def run(self, kind: Any = "sync", heal: Heal | None = None, says: str = "yes") -> dict[str, Any]:
        """A whole run; of a reconciliation the report, of any other what settle says.

        Where its plan asks, a person ``says`` yes or no, or a sync runs before that; what was asked is kept.
        """
        self.later += timedelta(hours=1)
        self.runs += 1
        engine = engine_on(self.database, self.org.session, self.later)
        run_id = engine.open_run(RunOptions("main", kind, str(self.runs), ("contact",), heal=heal))
        if kind == "reconcile":
            engine.compare(run_id)
        self.asked = ""
        try:
            for stage in STAGES if kind == "sync" or heal != "none" else ():
                getattr(engine, stage)(run_id)
        except ApprovalNeeded as question:
            self.asked = str(question)
            if says == "meanwhile":
                self.run()
                self.asked = str(question)
            approved = "" if says == "no" else question.digest
            if approval.answer(engine, run_id, approved, "Ann", engine.now()).approved:
                for stage in STAGES[1:]:
                    getattr(engine, stage)(run_id)
        report = engine.settle(run_id)
        assert report.state in ("succeeded", "succeeded_with_parked", "refused"), report
        if kind == "sync":
            return report.counts
        with self.database.transaction() as tx:
            return reconciliation.load(tx, "main", run_id)

    def compare(self, heal: Heal = "none", says: str = "yes") -> dict[str, Any]:
        return self.run("reconcile", heal, says)

    def person(self, name: str, **values: str) -> str:
        """Somebody whom both sides know; answers the id there."""
        row = {"last_name": f"{name} {self.tag}", "email": f"{name}.{self.tag}@example.com", **values}
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        self.client.execute(
            f"insert into gptweb.contacts ({names}) values ({marks})".encode(), tuple(row.values())
        )
        self.run()
        return str(
            self.one(
                "select their_id from crm_sync.link join gptweb.contacts o on o.id = our_id where email = %s",
                row["email"],
            )
        )

    def settle(self) -> None:
        """So that nothing is left to do, and what anybody does now is news."""
        self.run()
        self.run()

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """What people do there meanwhile carries a stamp that no sync reads any more, as a change that shows up late does."""
        self.org.people.ask("POST", "/standin/clock", json={"offset": LONG_AGO})
        yield
        self.org.people.ask("POST", "/standin/clock", json={"offset": 0})

    @contextmanager
    def untold(self) -> Iterator[None]:
        """What is done here meanwhile fires no trigger, as a bulk load past them does."""
        self.client.execute("set session_replication_role = replica")
        yield
        self.client.execute("set session_replication_role = origin")

    def one(self, query: str, *parameters: object) -> Any:
        row = self.client.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def held(self, column: str, name: str) -> Any:
        return self.one(f"select {column} from gptweb.contacts where last_name = %s", f"{name} {self.tag}")

    def state(self) -> dict[str, Any]:
        return {
            t: self.client.execute(f"select * from {t} t order by t::text".encode()).fetchall()
            for t in TABLES
        }

    def their(self, id: str) -> dict[str, Any]:
        found = self.org.people.rest(
            "GET", "/queryAll", params={"q": f"SELECT Id, IsDeleted, Title FROM Contact WHERE Id = '{id}'"}
        )
        (record,) = found["records"]
        return dict(record)


@pytest.fixture
def hub(org: StandinOrg, database_url: str) -> Iterator[Hub]:
    org.people.empties("Contact")
    with (
        closing(Database(database_url)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):
        with database.transaction() as tx:
            settings.connect(tx, "main", "salesforce", {"conflict_policy": "crm_wins"})
        hub = Hub(org, database, client, database_url)
        hub.run()
        yield hub


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {row["cause"]: row["records"] for row in report["counts"]}


def test_two_sides_that_agree_are_in_step_and_nothing_is_written(hub: Hub) -> None:
    for n in range(3):
        hub.person(f"Same{n}", title="n0")
    hub.settle()
    before, written = hub.state(), hub.org.people.ask("GET", "/standin/calls")["rows_written"]
    hub.org.meter.booked.clear()
    report = hub.compare()
    assert (report["verdict"], report["headline"]) == (
        "in_step",
        "In step: 3 contacts agree on every mapped field.",
    )
    assert counts(report) == {"in_step": 3}
    assert hub.state() == before
    assert hub.org.people.ask("GET", "/standin/calls")["rows_written"] == written
    assert len(hub.org.meter.booked) == 1


def test_changed_there_unseen(hub: Hub) -> None:
    id = hub.person("There", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.edits(id, "title", "T1")
    assert hub.run()["planned"] == 0, "the sync reads by stamps, and must not have noticed"
    before = hub.state()
    report = hub.compare()
    assert report["headline"] == "Drifted: 1 contact differs."
    assert counts(report) == {"drifted_theirs": 1}
    (sample,) = report["samples"]
    assert sample["differences"] == [{"field": "title", "ours": "n0", "theirs": "T1"}]
    assert (sample["their_id"], sample["waiting"]) == (id, False)
    assert hub.state() == before
    hub.run()
    assert hub.held("title", "There") == "n0", "a report makes no later sync act"
    hub.compare("safe")
    assert hub.held("title", "There") == "T1"
    assert hub.compare()["verdict"] == "in_step"


def test_what_the_next_sync_carries_is_told_apart(hub: Hub) -> None:
    id = hub.person("Fresh", title="n0")
    hub.settle()
    hub.org.people.edits(id, "title", "T1")
    report = hub.compare()
    assert report["headline"] == "Drifted: 1 contact differs; the next sync sees to all of them by itself."
    assert report["waiting"] == 1
    hub.run()
    assert hub.compare()["verdict"] == "in_step"


def test_changed_here_past_the_triggers(hub: Hub) -> None:
    id = hub.person("Here", title="n0")
    hub.settle()
    with hub.untold():
        hub.client.execute("update gptweb.contacts set title = 'O1' where title = 'n0'")
    assert hub.run()["planned"] == 0
    report = hub.compare()
    assert counts(report) == {"drifted_ours": 1}
    assert report["fields"] == [
        {"object": "contact", "cause": "drifted_ours", "field": "title", "records": 1}
    ]
    hub.compare("safe")
    assert hub.their(id)["Title"] == "O1"
    assert hub.compare()["verdict"] == "in_step"


def test_changed_on_both_sides(hub: Hub) -> None:
    id = hub.person("Both", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.edits(id, "title", "T1")
    with hub.untold():
        hub.client.execute("update gptweb.contacts set title = 'O1' where title = 'n0'")
    assert counts(hub.compare()) == {"drifted_both": 1}
    hub.compare("safe")
    assert (hub.held("title", "Both"), hub.their(id)["Title"]) == ("T1", "T1")
    assert (
        hub.one("select before from crm_sync.audit_trail where rule = 'crm_wins' and side = 'ours' limit 1")
        == "O1"
    )
    assert hub.compare()["verdict"] == "in_step"


def test_deleted_there_unseen_is_healed_by_all_alone(hub: Hub) -> None:
    id = hub.person("Bin", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.deletes(id)
    assert counts(hub.compare()) == {"missing_theirs": 1}
    assert counts(hub.compare("safe")) == {"missing_theirs": 1}
    assert hub.held("deleted_at", "Bin") is None
    hub.compare("all")
    assert "1 contacts would be archived in GPTWeb" in hub.asked
    assert hub.held("archived_by", "Bin") == "engine"
    report = hub.compare()
    assert (report["verdict"], counts(report)) == ("in_step", {"by_agreement": 1})


def test_what_a_person_rejects_is_as_if_nobody_had_looked(hub: Hub) -> None:
    id = hub.person("Kept", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.deletes(id)
    report = hub.compare("all", says="no")
    assert (report["run"]["state"], report["healing"]) == ("refused", 1)
    assert (
        hub.one("select count(*) from crm_sync.link where dirty or claim_run is not null or not their_alive")
        == 0
    )
    assert hub.run()["planned"] == 0, "a later sync acts on nothing of it"
    assert hub.held("deleted_at", "Kept") is None
    assert counts(hub.compare()) == {"missing_theirs": 1}


def test_what_waits_for_a_person_no_other_run_carries_out(hub: Hub) -> None:
    id = hub.person("Waits", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.deletes(id)
    hub.compare("all", says="meanwhile")
    assert hub.one("select count(*) from crm_sync.change where op = 'archive'") == 1
    run_kind = "select kind from crm_sync.run join crm_sync.change using (run_id) where op = 'archive'"
    assert hub.one(run_kind) == "reconcile"
    assert hub.held("archived_by", "Waits") == "engine"


def test_absent_there_is_no_delete(hub: Hub) -> None:
    id = hub.person("Purged", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.deletes(id)
    hub.org.people.ask("POST", "/standin/records/purge", json={"ids": [id]})
    assert counts(hub.compare()) == {"missing_theirs": 1}
    hub.compare("all")
    assert hub.held("deleted_at", "Purged") is None
    assert hub.one("select count(*) from crm_sync.parked where code = 'lost' and lifted_at is null") == 1
    report = hub.compare()
    assert (report["verdict"], counts(report)) == ("in_step", {"parked": 1})


def test_gone_here_past_the_triggers(hub: Hub) -> None:
    id = hub.person("Gone", title="n0")
    hub.settle()
    with hub.untold():
        hub.client.execute("delete from gptweb.contacts where title = 'n0'")
    assert counts(hub.compare()) == {"missing_ours": 1}
    hub.compare("all")
    assert hub.their(id)["IsDeleted"] is False
    report = hub.compare()
    assert (report["verdict"], counts(report)) == ("in_step", {"by_agreement": 1})


def test_link_to_nothing(hub: Hub) -> None:
    id = hub.person("Nobody", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.deletes(id)
    hub.org.people.ask("POST", "/standin/records/purge", json={"ids": [id]})
    with hub.untold():
        hub.client.execute("delete from gptweb.contacts where title = 'n0'")
    assert counts(hub.compare()) == {"link_to_nothing": 1}
    hub.compare("all")
    assert hub.compare()["verdict"] == "in_step"


def test_never_linked_on_either_side(hub: Hub) -> None:
    with hub.unseen():
        there = hub.org.people.creates(
            "contact", last_name=f"Stranger {hub.tag}", email=f"s.{hub.tag}@example.com"
        )
    with hub.untold():
        hub.client.execute(
            "insert into gptweb.contacts (last_name, title) values (%s, 'O1')", (f"Unknown {hub.tag}",)
        )
    assert hub.run()["planned"] == 0
    assert counts(hub.compare()) == {"unlinked_theirs": 1, "unlinked_ours": 1}
    hub.compare("safe")
    assert hub.held("email", "Stranger") == f"s.{hub.tag}@example.com"
    made = hub.one(
        "select their_id from crm_sync.link join gptweb.contacts o on o.id = our_id where title = 'O1'"
    )
    assert hub.their(made)["Title"] == "O1"
    assert hub.one("select keyed from crm_sync.link where their_id = %s", there)
    assert counts(hub.compare()) == {"in_step": 2}


def test_never_linked_and_left_out_by_the_settings(hub: Hub) -> None:
    with hub.database.transaction() as tx:
        settings.change_settings(tx, "main", {"create_contacts": False})
    hub.org.people.creates("contact", last_name=f"Out {hub.tag}")
    hub.client.execute("insert into gptweb.contacts (last_name) values (%s)", (f"In {hub.tag}",))
    report = hub.compare("all")
    assert (report["verdict"], counts(report)) == ("in_step", {"left_out": 2})
    assert hub.held("id", "Out") is None


def test_two_records_for_one_person(hub: Hub) -> None:
    hub.person("Twin", title="n0")
    hub.settle()
    hub.org.people.creates("contact", last_name=f"Double {hub.tag}", email=hub.held("email", "Twin").upper())
    for name in ("Two", "Two again"):
        row = (f"{name} {hub.tag}", f"two.{hub.tag}@example.com")
        hub.client.execute("insert into gptweb.contacts (last_name, email) values (%s, %s)", row)
    hub.run()
    report = hub.compare()
    assert {(t["side"], t["people"], len(t["examples"][0])) for t in report["twins"]} == {
        ("ours", 1, 2),
        ("theirs", 1, 2),
    }
    assert counts(report) == {"in_step": 1, "parked": 3}


def test_a_refused_value_is_left_to_a_person_and_is_no_drift(hub: Hub) -> None:
    hub.person("Refused", title="n0")
    hub.settle()
    hub.client.execute("update gptweb.contacts set email = 'no e-mail' where title = 'n0'")
    hub.run()
    report = hub.compare()
    assert (report["verdict"], counts(report)) == ("in_step", {"parked": 1})


def test_mass_changes_are_not_made_unasked(hub: Hub) -> None:
    ids = [hub.person(f"Mass{n}", title="n0") for n in range(12)]
    hub.settle()
    with hub.unseen():
        for id in ids:
            hub.org.people.edits(id, "title", "T1")
    report = hub.compare("safe")
    assert "12 of 12 linked contacts differ" in report["notes"][0]
    assert hub.one("select count(*) from gptweb.contacts where title = 'T1'") == 0


def test_mass_absence_is_no_news_of_deletes(hub: Hub) -> None:
    for n in range(12):
        hub.person(f"Hidden{n}", title="n0")
    hub.settle()
    hub.org.people.empties("Contact")
    report = hub.compare("all")
    assert "12 of 12 linked contacts were not in the CRM's answer" in report["notes"][0]
    assert hub.one("select count(*) from crm_sync.link where state = 'live'") == 12


def test_healing_of_one_in_a_hundred_leaves_both_sides_in_step(hub: Hub) -> None:
    hub.client.execute(
        "insert into gptweb.contacts (last_name, title) select 'P' || n, 'n0' from generate_series(1, 300) n"
    )
    hub.settle()
    some = [r[0] for r in hub.client.execute("select their_id from crm_sync.link order by their_id limit 3")]
    with hub.unseen():
        for id in some:
            hub.org.people.edits(id, "title", "T1")
    assert counts(hub.compare()) == {"in_step": 297, "drifted_theirs": 3}
    healed = hub.compare("all")
    assert (healed["healing"], healed["run"]["acknowledged"]) == (3, 3)
    report = hub.compare()
    assert report["headline"] == "In step: 300 contacts agree on every mapped field."


def test_samples_are_kept_of_the_last_reports_only(hub: Hub) -> None:
    hub.org.people.creates("contact", last_name=f"Sample {hub.tag}")
    first = hub.compare()
    assert len(first["samples"]) == 1
    with hub.database.transaction() as tx:
        for n in range(reconciliation.SAMPLED):
            run = runs.load(tx, runs.insert(tx, "main", "reconcile", f"filler {n}", {}))
            reconciliation.keep(tx, run, Drift(), 0, 0.0)
        kept = reconciliation.load(tx, "main", first["run_id"])
    assert (kept["samples"], kept["differing"]) == ([], 1)


def test_a_comparison_that_is_made_again_replaces_its_report(hub: Hub) -> None:
    hub.person("Again", title="n0")
    hub.settle()
    engine = engine_on(hub.database, hub.org.session, hub.later)
    run_id = engine.open_run(RunOptions("main", "reconcile", "cleared", ("contact",)))
    reports = [engine.compare(run_id).counts for _ in range(2)]
    assert reports[0] == reports[1] == {"in_step": 1, "differing": 0, "healing": 0}
    assert hub.one("select count(*) from crm_sync.reconciliation where run_id = %s", run_id) == 1


# ------------------------------------------------------------------------------- beside other runs, and killed


class Slow:
    """A store of which somebody does something between the read's last page and its end."""

    def __init__(self, store: Any, meanwhile: Callable[[], object]) -> None:
        self._store = store
        self._meanwhile = meanwhile

    def read(self, reads: Any) -> Iterator[Any]:
        yield from self._store.read(reads)
        self._meanwhile()

    def write(self, *given: Any) -> Any:
        return self._store.write(*given)


def compare_slowly(hub: Hub, heal: Heal, meanwhile: Callable[[], object]) -> dict[str, Any]:
    """A whole reconciliation; what happens meanwhile, its read does not show."""
    hub.runs += 1
    usual = engine_on(hub.database, hub.org.session, hub.later)
    with closing(Database(hub.url)) as database:
        slow = Engine(
            database, usual.mappings, lambda c, r: Slow(usual.open_store(c, r), meanwhile), now=usual.now
        )
        run_id = slow.open_run(RunOptions("main", "reconcile", str(hub.runs), ("contact",), heal=heal))
        slow.compare(run_id)
    for stage in STAGES:
        getattr(usual, stage)(run_id)
    usual.settle(run_id)
    with hub.database.transaction() as tx:
        return reconciliation.load(tx, "main", run_id)


def test_a_sync_that_writes_while_it_reads_is_no_drift(hub: Hub) -> None:
    id = hub.person("Beside", title="n0")
    hub.settle()

    def meanwhile() -> None:
        hub.client.execute("update gptweb.contacts set title = 'O1' where title = 'n0'")
        hub.run()

    report = compare_slowly(hub, "all", meanwhile)
    assert counts(report) == {"in_step": 1}
    assert (hub.held("title", "Beside"), hub.their(id)["Title"]) == ("O1", "O1")


def test_what_is_made_there_while_it_reads_is_not_missing(hub: Hub) -> None:
    report = compare_slowly(hub, "all", lambda: hub.person("Born", title="n0"))
    assert counts(report) == {"in_step": 1}
    assert hub.held("deleted_at", "Born") is None
    assert hub.compare()["verdict"] == "in_step"


def test_what_it_read_before_a_person_changed_it_again_brings_nothing_back(hub: Hub) -> None:
    """It reads T1 late; before it compares, T2 is typed, read and applied by a sync."""
    id = hub.person("Twice", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.edits(id, "title", "T1")

    def meanwhile() -> None:
        hub.org.people.edits(id, "title", "T2")
        hub.run()

    compare_slowly(hub, "all", meanwhile)
    hub.run()
    assert (hub.held("title", "Twice"), hub.their(id)["Title"]) == ("T2", "T2")
    assert hub.compare()["verdict"] == "in_step"


def test_a_link_that_goes_elsewhere_while_it_reads_is_not_judged(hub: Hub) -> None:
    """Deleted there, edited here: a sync makes the record anew, and the link parts from the one that was read."""
    id = hub.person("Parted", title="n0")
    hub.settle()

    def meanwhile() -> None:
        hub.client.execute("update gptweb.contacts set title = 'O1' where title = 'n0'")
        hub.org.people.deletes(id)
        hub.run()

    report = compare_slowly(hub, "all", meanwhile)
    assert counts(report) == {"in_step": 1, "busy": 1}
    report = hub.compare()
    assert (report["verdict"], counts(report)) == ("in_step", {"in_step": 1, "left_out": 1})


class Leaving:
    """A store whose query job takes long: the read is left, and gone on with; it shows what was there when the job was made."""

    def __init__(self, store: Any, held: list[Any]) -> None:
        self._store = store
        self._held = held

    def read(self, reads: Any) -> Iterator[Any]:
        (asked,) = reads
        if not asked.job:
            self._held += self._store.read([replace(asked, job=None)])
        yield replace(self._held[0], read=asked, images=(), last=False, job="7500")
        if not asked.job:
            raise JobUnderWay("job 7500 works", timedelta(minutes=1))
        for page in self._held:
            yield replace(page, read=asked, job="7500")

    def write(self, *given: Any) -> Any:
        return self._store.write(*given)


def test_a_read_that_was_left_is_as_old_as_its_job(hub: Hub) -> None:
    """The job shows T1; while nobody waits for it, T2 is typed, read and applied by a sync."""
    id, other = hub.person("Job", title="n0"), hub.person("Other", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.edits(id, "title", "T1")
        hub.org.people.edits(other, "title", "U1")
    usual, held = engine_on(hub.database, hub.org.session, hub.later), list[Any]()
    engine = Engine(
        hub.database, usual.mappings, lambda c, r: Leaving(usual.open_store(c, r), held), now=usual.now
    )
    run_id = engine.open_run(RunOptions("main", "reconcile", "left", ("contact",), heal="all"))
    with pytest.raises(JobUnderWay):
        engine.compare(run_id)
    assert hub.one("select job_id from crm_sync.query_job where run_id = %s", run_id) == "7500"
    hub.org.people.edits(id, "title", "T2")
    hub.run()
    assert engine.compare(run_id).counts["drifted_theirs"] == 1
    for stage in STAGES:
        getattr(usual, stage)(run_id)
    usual.settle(run_id)
    assert hub.one("select count(*) from crm_sync.query_job") == 0
    hub.run()
    assert (hub.held("title", "Job"), hub.held("title", "Other")) == ("T2", "U1")
    assert hub.compare()["verdict"] == "in_step"


def test_a_person_edits_here_between_the_report_and_the_heal(hub: Hub) -> None:
    id = hub.person("Late", title="n0", phone="1")
    hub.settle()
    with hub.unseen():
        hub.org.people.edits(id, "phone", "2")
    compare_slowly(
        hub, "safe", lambda: hub.client.execute("update gptweb.contacts set title = 'O1' where title = 'n0'")
    )
    assert (hub.held("phone", "Late"), hub.held("title", "Late"), hub.their(id)["Title"]) == ("2", "O1", "O1")
    assert hub.compare()["verdict"] == "in_step"


def test_a_reconciliation_that_is_killed_leaves_deletes_to_a_person(hub: Hub) -> None:
    gone, changed = hub.person("Lost", title="n0"), hub.person("Moved", title="n0")
    hub.settle()
    with hub.unseen():
        hub.org.people.deletes(gone)
        hub.org.people.edits(changed, "title", "T1")
    engine = engine_on(hub.database, hub.org.session, hub.later)
    engine.compare(engine.open_run(RunOptions("main", "reconcile", "killed", ("contact",), heal="all")))
    hub.run()
    assert hub.held("title", "Moved") == "T1", "what destroys nothing any run carries on"
    assert hub.held("deleted_at", "Lost") is None
    report = hub.compare()
    assert counts(report) == {"in_step": 1, "missing_theirs": 1}
    assert hub.one("select count(*) from crm_sync.link where claim_run is not null or not their_alive") == 0
    assert hub.run()["planned"] == 0
