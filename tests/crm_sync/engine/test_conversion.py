"""Converted leads on the real engine and Postgres: algorithm.md 6.4 and its hole 50."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from crm_sync.ledger import parking
from crm_sync.model import Value
from tests.crm_sync.engine.world import LEASE, World, a_database_that

MakeWorld = Callable[..., World]
ALL = ("account", "contact", "lead")


class Leads:
    """One lead that both sides know, on a world without people."""

    def __init__(self, world: World, **values: Value) -> None:
        self.world = world
        world.watched = False
        self.crm = world.crms["crm"]
        row = {
            "last_name": "Doe",
            "company": "Acme",
            "title": "n0",
            "email": "lead@example.com",
            "total_score": 5,
        }
        row |= values
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        self.ours = self.one(
            f"insert into gptweb.leads ({names}) values ({marks}) returning id::text", *row.values()
        )
        self.run()
        self.theirs = self.one("select their_id from crm_sync.link where object = 'lead'")
        self.later()

    def run(self, **options: Any) -> None:
        self.world.run(objects=ALL, **options)

    def later(self) -> None:
        self.world.tick(20)
        self.run()
        self.world.tick(20)

    def one(self, query: str, *parameters: object) -> Any:
        row = self.world.client.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return row[0]

    def edit(self, column: str, value: Value) -> None:
        self.world.client.execute(f"update gptweb.leads set {column} = %s".encode(), (value,))

    def contacts(self) -> list[dict[str, Any]]:
        """Ours."""
        columns = ("last_name", "title", "email", "total_score", "mailing_city", "phone")
        rows = self.world.client.execute(
            f"select {', '.join(columns)} from gptweb.contacts order by created_at".encode()
        )
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def told(self) -> list[tuple[Any, ...]]:
        """What is parked: code, tries, cause and remedy."""
        return self.world.client.execute(
            "select code, tries, cause, remedy from crm_sync.parked where lifted_at is null"
        ).fetchall()

    def settle(self) -> None:
        """Two runs, and then one that has nothing to say: no change, one call."""
        for _ in range(3):
            self.world.tick(LEASE + 20)
            self.run()
        planned, calls = self.world._planned(), self.crm.calls
        self.run()
        assert (self.world._planned(), self.crm.calls) == (planned, calls + 1)
        state, archived = self.world.client.execute(
            "select l.state, o.archived_by from crm_sync.link l join gptweb.leads o on o.id = l.our_id"
        ).fetchall()[0]
        assert (state, archived) == ("converted", "engine")
        pointer = "select count(*) from crm_sync.link l join gptweb.contacts c on c.id = l.successor"
        assert self.world.count(pointer) == 1
        assert self.world._miscounted() == []


def test_a_converted_lead_goes_on_as_its_contact(make_world: MakeWorld) -> None:
    leads = Leads(make_world())
    contact = leads.crm.person_converts(leads.theirs)
    leads.settle()
    (ours,) = leads.contacts()
    assert (ours["last_name"], ours["title"], ours["email"]) == ("Doe", "n0", "lead@example.com")
    assert leads.crm.image(contact).our_id is not None


def test_unmapped_field_is_no_clear(make_world: MakeWorld) -> None:
    """50: what the conversion does not copy, GPTWeb's own measures above all, goes out again to the contact."""
    leads = Leads(make_world())
    contact = leads.crm.person_converts(leads.theirs)
    assert leads.crm.image(contact).values["total_score"] is None
    leads.settle()
    assert leads.contacts()[0]["total_score"] == 5
    assert leads.crm.image(contact).values["total_score"] == 5


def test_unsent_edit_on_the_lead(make_world: MakeWorld) -> None:
    """50: it reaches the contact, and nothing is sent to the lead."""
    leads = Leads(make_world())
    leads.edit("title", "O1")
    contact = leads.crm.person_converts(leads.theirs)
    leads.settle()
    assert [line.rule for line in leads.world.trail() if line.outcome == "superseded"] == []
    assert leads.crm.image(contact).values["title"] == "O1"


def test_address_of_the_lead_becomes_the_mailing_address(make_world: MakeWorld) -> None:
    leads = Leads(make_world())
    leads.edit("city", "Ghent")
    contact = leads.crm.person_converts(leads.theirs)
    leads.settle()
    assert leads.contacts()[0]["mailing_city"] == "Ghent"
    assert leads.crm.image(contact).values["mailing_city"] == "Ghent"


def test_converted_while_ours_is_dirty_is_no_park(make_world: MakeWorld) -> None:
    """50: a converted lead is never written to; it is read again, not parked."""
    leads = Leads(make_world())
    leads.edit("title", "O1")
    run = leads.world.start(objects=ALL).to("push_ours").to("sent")
    contact = leads.crm.person_converts(leads.theirs)
    run.finish()
    assert leads.world.count("select count(*) from crm_sync.parked") == 0
    leads.settle()
    assert leads.crm.image(contact).values["title"] == "O1"


def test_what_they_typed_into_the_contact_is_pulled(make_world: MakeWorld) -> None:
    leads = Leads(make_world())
    contact = leads.crm.person_converts(leads.theirs)
    leads.crm.person_edits(contact, "title", "T1")
    leads.settle()
    assert leads.contacts()[0]["title"] == "T1"


def test_converted_into_a_known_contact(make_world: MakeWorld) -> None:
    """50: it gets what it lacks; an unsent edit that loses is recorded; no second contact."""
    world = make_world()
    known = world.crms["crm"].person_creates("contact", last_name="Doe", title="K", email="known@example.com")
    leads = Leads(world)
    leads.edit("title", "O1")
    leads.edit("phone", "O2")
    leads.crm.person_converts(leads.theirs, known)
    leads.settle()
    (ours,) = leads.contacts()
    assert (ours["title"], ours["phone"]) == ("K", "O2")
    assert leads.crm.image(known).values["phone"] == "O2"
    assert [line.before for line in world.trail("title") if line.rule == "converted"] == ["O1"]


def test_seen_as_stranger_then_conversion(make_world: MakeWorld) -> None:
    """50: the contact was read, and made here, before its lead: still one contact."""
    leads = Leads(make_world())
    contact = leads.crm.person_creates("contact", last_name="Doe", title="n0", email="lead@example.com")
    leads.run()
    leads.world.tick(20)
    leads.crm.person_converts(leads.theirs, contact)
    leads.settle()
    assert len(leads.contacts()) == 1


def test_contact_read_before_its_lead(make_world: MakeWorld) -> None:
    """50: both come in one read, the contact's page first: it is no stranger."""
    leads = Leads(make_world())
    leads.edit("phone", "O1")
    contact = leads.crm.person_converts(leads.theirs)
    leads.run()
    assert len(leads.contacts()) == 1
    assert leads.contacts()[0]["phone"] == "O1"
    leads.settle()
    assert leads.crm.image(contact).values["phone"] == "O1"


def test_contact_that_was_not_read_yet_is_asked_for(make_world: MakeWorld) -> None:
    leads = Leads(make_world())
    contact = leads.crm.person_converts(leads.theirs)
    leads.crm._records[contact].stamp -= timedelta(days=1)
    leads.run()
    assert leads.contacts() == []
    leads.settle()
    assert len(leads.contacts()) == 1


def test_converted_again_into_the_same_contact(make_world: MakeWorld) -> None:
    """Two leads of one person: the second finds the contact that the first became."""
    leads = Leads(make_world())
    other = leads.crm.person_creates(
        "lead", last_name="Doe", company="Acme", email="second@example.com", phone="2"
    )
    leads.later()
    contact = leads.crm.person_converts(leads.theirs)
    leads.crm.person_converts(other, contact)
    for _ in range(4):
        leads.world.tick(20)
        leads.run()
    (ours,) = leads.contacts()
    assert ours["phone"] == "2"
    assert (
        leads.world.count("select count(distinct successor) from crm_sync.link where state = 'converted'")
        == 1
    )


def test_contact_that_was_merged_before_it_was_read(make_world: MakeWorld) -> None:
    leads = Leads(make_world())
    contact = leads.crm.person_converts(leads.theirs)
    survivor = leads.crm.person_creates("contact", last_name="Doe", title="W", email="survivor@example.com")
    leads.crm.person_merges(contact, survivor)
    leads.settle()
    assert len(leads.contacts()) == 1
    assert leads.one("select their_id from crm_sync.link where object = 'contact'") == survivor


def test_killed_while_it_converts(make_world: MakeWorld) -> None:
    leads = Leads(make_world())
    leads.edit("title", "O1")
    contact = leads.crm.person_converts(leads.theirs)
    run = leads.world.start(objects=ALL).to("plan")
    run.kill_before_commit()
    leads.settle()
    assert len(leads.contacts()) == 1
    assert leads.crm.image(contact).values["title"] == "O1"


def test_lead_that_was_converted_before_we_came_is_not_made_here(make_world: MakeWorld) -> None:
    world = make_world()
    crm = world.crms["crm"]
    crm.person_converts(crm.person_creates("lead", last_name="Old", company="Acme", email="old@example.com"))
    leads = Leads(world)
    assert world.count("select count(*) from gptweb.leads") == 1
    assert len(leads.contacts()) == 1


def test_a_contact_that_our_database_refuses_is_parked_until_the_lead_is_another_one(
    make_world: MakeWorld,
) -> None:
    leads = Leads(make_world(), title="far too long")
    short, long = (f"alter table gptweb.contacts alter title type {kind}" for kind in ("varchar(5)", "text"))
    with a_database_that(leads.world, short, long):
        leads.crm.person_converts(leads.theirs)
        leads.run()
        parked = "select field, tries, cause from crm_sync.parked_rows where connection = 'crm'"
        ((field, tries, cause),) = leads.world.client.execute(parked.encode()).fetchall()
        assert (field, tries) == ("exists", 1)
        assert "refuses the contact" in cause
        planned = leads.world._planned()
        leads.later()
        assert leads.world._planned() == planned  # and no run goes red for it
        assert leads.contacts() == []
        leads.edit("title", "short")
        leads.settle()
        assert leads.contacts()[0]["title"] == "short"
        assert leads.world.client.execute(parked.encode()).fetchall() == []


def test_a_contact_that_our_database_refused_is_tried_again_when_a_person_says_so(
    make_world: MakeWorld,
) -> None:
    leads = Leads(make_world(), title="far too long")
    short, long = (f"alter table gptweb.contacts alter title type {kind}" for kind in ("varchar(5)", "text"))
    with a_database_that(leads.world, short, long):
        leads.crm.person_converts(leads.theirs)
        leads.run()
        leads.world.client.execute(long.encode())
        with leads.world.desk.transaction() as tx:
            assert parking.try_again(tx, "crm") == 1
        leads.settle()
        assert leads.contacts()[0]["title"] == "far too long"


def test_a_contact_that_may_not_be_read_is_told_and_waited_for(make_world: MakeWorld) -> None:
    """It may be out of the integration user's sight for long: nobody guesses, nothing is made, a person is told once."""
    leads = Leads(make_world())
    crm = leads.crm
    contact = crm.person_converts(leads.theirs)
    hidden = crm._records.pop(contact)
    leads.run()
    assert leads.told() == []  # it may only be late
    for _ in range(3):
        leads.world.tick(20)
        leads.run()
        assert [told[:2] for told in leads.told()] == [("contact_unread", 1)]
    (told,) = leads.told()
    assert contact in told[2]
    assert "integration user" in told[3]
    assert (leads.contacts(), leads.one("select deleted_at is null from gptweb.leads")) == ([], True)
    calls = crm.calls
    leads.run()
    assert crm.calls == calls + 1
    crm._records[contact] = hidden
    leads.settle()
    assert (leads.told(), len(leads.contacts())) == ([], 1)


def test_who_waits_for_a_contact_no_more_is_not_told_of(make_world: MakeWorld) -> None:
    """The way out where the contact is purged: our lead is deleted."""
    leads = Leads(make_world())
    del leads.crm._records[leads.crm.person_converts(leads.theirs)]
    leads.later()
    leads.later()
    assert [told[0] for told in leads.told()] == ["contact_unread"]
    leads.world.client.execute("update gptweb.leads set deleted_at = now()")
    leads.later()
    leads.later()
    assert leads.told() == []


def test_whose_contact_shows_up_is_not_told_of_where_ours_stays(make_world: MakeWorld) -> None:
    leads = Leads(make_world(create_contacts=False))
    contact = leads.crm.person_converts(leads.theirs)
    hidden = leads.crm._records.pop(contact)
    leads.later()
    leads.later()
    assert [told[0] for told in leads.told()] == ["contact_unread"]
    leads.crm._records[contact] = hidden
    leads.later()
    assert (leads.told(), leads.one("select deleted_at is null from gptweb.leads")) == ([], True)
