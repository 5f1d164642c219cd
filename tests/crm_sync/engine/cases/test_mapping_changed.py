"""A field that is mapped to another field of the org: what was known of the old one says nothing about the new one."""

from __future__ import annotations

from crm_sync.decide.mapping import FieldMapping
from crm_sync.decide.mapping_changes import MappingChanges, adjusted
from crm_sync.model import Object
from tests.crm_sync.engine.cases.office import Office
from tests.crm_sync.stores.standin import MAPPINGS


def map_title_to(office: Office, theirs: str, *without: str) -> None:
    chosen: dict[Object, MappingChanges] = {
        "contact": MappingChanges(fields=(FieldMapping(ours="title", theirs=theirs),), without=without)
    }
    office.mappings = adjusted(MAPPINGS, chosen)


def test_a_blank_new_counterpart_is_filled_and_clears_nothing(office: Office) -> None:
    ours, theirs = office.both(title="n0")
    map_title_to(office, "Department", "department")
    office.run()
    assert office.value(ours, "title") == "n0"
    assert office.shown(theirs, "department") == "n0"
    assert office.shown(theirs, "title") == "n0", "the old one is left as it is"
    office.assert_silent()


def test_a_counterpart_that_holds_what_the_old_one_held_is_known_again(office: Office) -> None:
    ours, theirs = office.both(title="n0", department="n0")
    map_title_to(office, "Department", "department")
    office.run()
    office.people.edits(theirs, "department", "N1")
    office.run()
    assert office.value(ours, "title") == "N1"
    office.assert_silent()


def test_a_field_that_was_taken_out_comes_back_with_another_counterpart(office: Office) -> None:
    ours, theirs = office.both(title="n0")
    office.mappings = adjusted(MAPPINGS, {"contact": MappingChanges(without=("title", "department"))})
    office.run()
    office.edit(ours, title="O1")
    office.run()
    assert office.shown(theirs, "title") == "n0"
    map_title_to(office, "Department", "department")
    office.run()
    assert (office.value(ours, "title"), office.shown(theirs, "department")) == ("O1", "O1")
    office.assert_silent()


def test_a_stranger_that_was_read_before_is_known_by_the_new_counterpart(office: Office) -> None:
    office.connect(create_contacts=False)
    office.theirs(email="e1@example.com", title="Boss", department="Sales")
    office.run()
    map_title_to(office, "Department", "department")
    office.connect(create_contacts=True)
    office.run()
    assert office.one("select title from gptweb.contacts where email = 'e1@example.com'") == "Sales"
    office.assert_silent()


def test_a_reply_that_was_lost_says_nothing_about_the_new_counterpart(office: Office) -> None:
    ours, theirs = office.both(title="n0")
    office.edit(ours, title="O1")
    office.people.breaks(action="reset_after", path="/composite$", body="PATCH", count=1)
    office.run()
    assert office.error is not None
    map_title_to(office, "Department", "department")
    office.run()
    office.run()
    assert (office.value(ours, "title"), office.shown(theirs, "department")) == ("O1", "O1")
    office.assert_silent()


def test_a_setting_that_was_changed_and_changed_back_during_a_run_holds_nothing_back(office: Office) -> None:
    """While it only pulls, our key is not written; nothing else would ever ask for it again."""
    office.theirs(email="new@example.com")
    run_id = office.open()
    office.stage(run_id, "pull", "plan")
    office.connect(direction="pull")
    office.stage(run_id, "push_ours", "push_theirs")
    office.settle(run_id)
    office.connect(direction="bidirectional")
    office.run()
    ours = office.one("select our_id::text from crm_sync.link")
    assert [contact["GPTWeb_Id__c"] for contact in office.query("SELECT GPTWeb_Id__c FROM Contact")] == [ours]
    office.assert_silent()
