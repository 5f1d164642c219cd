"""Page layouts: the change of a tree by itself, and over a socket with all that an administrator may have on one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from lxml import etree

from crm_sync.access.login import Session
from crm_sync.decide.schema import Choices
from crm_sync.errors import Misconfigured
from crm_sync.stores.salesforce_layouts import fields_on, with_fields, without_fields
from crm_sync.stores.salesforce_metadata import MetadataApi
from tests.crm_sync.provision.orgs import WANTED
from tests.crm_sync.provision.stack import Breaking, FixedLogin, Stack
from tests.crm_sync.provision.standin import start

SPACE = "http://soap.sforce.com/2006/04/metadata"
SIX = tuple(f.name for f in WANTED if f.type == "Contact" and f.for_people)
SECTION = (
    "<layoutSections><customLabel>true</customLabel><detailHeading>true</detailHeading><editHeading>true</editHeading>"
    "<label>GPTWeb Insights</label>"
    "<layoutColumns><layoutItems><behavior>Readonly</behavior><field>A__c</field></layoutItems></layoutColumns>"
    "<layoutColumns><layoutItems><behavior>Readonly</behavior><field>B__c</field></layoutItems></layoutColumns>"
    "<style>TwoColumnsTopToBottom</style></layoutSections>"
)
OTHER = (
    "<layoutSections><label>Own</label><layoutColumns><layoutItems><field>Name</field></layoutItems></layoutColumns>"
    "<style>OneColumn</style></layoutSections>"
)
LINKS = "<layoutSections><label>Links</label><layoutColumns/><style>CustomLinks</style></layoutSections>"
BEFORE, BEHIND = (
    "<fullName>L</fullName><excludeButtons>Share</excludeButtons>",
    "<showGadget>yes</showGadget>",
)


def layout(*parts: str) -> etree._Element:
    return etree.fromstring(f'<records xmlns="{SPACE}">{"".join(parts)}</records>')


def spelled(tree: etree._Element) -> bytes:
    return bytes(etree.tostring(tree, method="c14n"))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((BEFORE, OTHER, BEHIND), (BEFORE, OTHER, SECTION, BEHIND)),
        ((BEFORE, OTHER, LINKS, BEHIND), (BEFORE, OTHER, SECTION, LINKS, BEHIND)),
        ((BEFORE, LINKS, BEHIND), (BEFORE, SECTION, LINKS, BEHIND)),
        ((BEFORE, BEHIND), (BEFORE, SECTION, BEHIND)),
    ],
    ids=["behind the last section", "before the links", "only links", "no section at all"],
)
def test_our_section_comes_where_sections_are_and_goes_without_a_trace(
    parts: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    placed = with_fields(layout(*parts), ("A__c", "B__c"))
    assert spelled(placed) == spelled(layout(*expected))
    assert spelled(without_fields(placed, ("a__C", "B__c"))) == spelled(layout(*parts))


def test_a_field_anywhere_on_the_layout_counts_as_there() -> None:
    there = layout(OTHER.replace("Name", "a__C"))
    assert fields_on(there) == {"a__c"}
    assert spelled(with_fields(there, ("A__c",))) == spelled(there)
    assert spelled(without_fields(there, ("A__c",))) == spelled(there), "an administrator put it there"


def test_our_section_is_filled_up_and_what_others_put_into_it_stays() -> None:
    theirs = SECTION.replace("B__c", "Theirs__c")
    filled = with_fields(layout(theirs), ("A__c", "B__c"))
    assert fields_on(filled) == {"a__c", "b__c", "theirs__c"}
    left = without_fields(filled, ("A__c", "B__c"))
    assert fields_on(left) == {"theirs__c"}
    assert len(left) == 1


# ---------------------------------------------------------------------------------------- over a socket


@pytest.fixture
def stack() -> Iterator[Stack]:
    with start() as standin:
        yield Stack(standin, choices=Choices(layouts=True))


def test_every_layout_gets_the_section_nothing_else_changes_and_again_plans_nothing(stack: Stack) -> None:
    before = stack.standin.layouts()
    assert sum(name.startswith("Contact-") for name in before) > 1
    run = stack.ledger.runs[stack.run()]
    after = stack.standin.layouts()
    assert run.counts["acknowledged"] == run.counts["planned"] == 72 + len(before)
    for name, tree in after.items():
        assert fields_on(tree) >= {field.lower() for field in SIX}, name
        assert not {"gptweb_id__c", "gptweb_sync_marker__c"} & fields_on(tree)
        assert spelled(without_fields(tree, SIX)) == spelled(before[name]), name
    stack.meter.booked.clear()
    again = stack.ledger.runs[stack.run()]
    assert (again.counts["planned"], again.lines) == (0, [])
    assert stack.standin.layouts().keys() == after.keys()
    assert stack.meter.booked == ["provision"] * 7, "plan and apply: set-up, list, read; verify"


def test_only_a_layout_that_misses_a_field_is_written(stack: Stack) -> None:
    stack.run()
    before = stack.standin.layouts()
    name = "Lead-Lead Layout"
    stack.standin.set_layout(name, without_fields(before[name], SIX[:1]))
    run = stack.ledger.runs[stack.run()]
    assert run.counts["planned"] == 1
    (line,) = [each for each in run.lines if each.outcome == "acknowledged"]
    assert (line.rule, line.object, line.field, line.after) == ("place_fields", "lead", name, [SIX[0]])
    assert fields_on(stack.standin.layouts()[name]) == fields_on(before[name])


def test_what_an_administrator_saved_between_plan_and_write_is_kept(stack: Stack) -> None:
    run_id, _ = stack.stages().plan("late")
    name = "Contact-Contact Layout"
    tree = stack.standin.layouts()[name]

    class Editing(Breaking):
        """An administrator saves a layout right before our first look at it in the stage that writes."""

        looks = 0

        def post(self, url: Any, data: Any = None, json: Any = None, **content: Any) -> requests.Response:
            if b"readMetadata" in data:
                self.looks += 1
                if self.looks == 2:
                    own = etree.fromstring(f'<r xmlns="{SPACE}">{OTHER.replace("Name", "Jigsaw")}</r>')[0]
                    tree.insert(list(tree).index(tree.find(f"{{{SPACE}}}layoutSections")), own)
                    stack.standin.set_layout(name, tree)
            return super().post(url, data, json, **content)

    login = FixedLogin(Session(stack.standin.integration_token(), stack.standin.url))
    transport = Editing(login, stack.meter, sleep=lambda seconds: None)
    stack.stages(transport).apply(run_id)
    assert spelled(without_fields(stack.standin.layouts()[name], SIX)) == spelled(tree)


def test_switched_off_no_layout_is_even_looked_at(stack: Stack) -> None:
    stack.choices = Choices()
    before = {name: spelled(tree) for name, tree in stack.standin.layouts().items()}
    stack.run()
    assert {name: spelled(tree) for name, tree in stack.standin.layouts().items()} == before


def test_without_the_right_to_metadata_the_message_names_both_ways_out(stack: Stack) -> None:
    stack.standin.forbid("PermissionsModifyAllData", "PermissionsModifyMetadata")
    with pytest.raises(Misconfigured, match=r"'Modify Metadata Through.*layouts: false"):
        stack.run()


def test_a_layout_that_can_not_be_saved_is_named_and_the_others_are_done(stack: Stack) -> None:
    stack.run()
    layouts = stack.standin.layouts()
    names = ("Account-Account Layout", "Lead-Lead Layout")
    for name in names:
        stack.standin.set_layout(name, without_fields(layouts[name], SIX))

    class Spoiling(Breaking):
        """The layout of the leads loses its required field on the way."""

        def post(self, url: Any, data: Any = None, json: Any = None, **content: Any) -> requests.Response:
            if b"updateMetadata" in data:
                data = data.replace(
                    b"<met:field>Company</met:field>", b"<met:emptySpace>true</met:emptySpace>"
                )
            return super().post(url, data, json, **content)

    login = FixedLogin(Session(stack.standin.integration_token(), stack.standin.url))
    with pytest.raises(
        Misconfigured, match=r"(?s)layout Lead-Lead Layout: .*Company.*Setup → Object Manager → Lead"
    ):
        stack.run(Spoiling(login, stack.meter, sleep=lambda seconds: None))
    assert set(map(str.lower, SIX)) <= fields_on(stack.standin.layouts()[names[0]])


@dataclass
class RenewedOnce:
    """A session that has run out, and the one after it."""

    url: str
    good: str
    asked: list[str] = field(default_factory=list)

    def token(self) -> Session:
        return Session(self.good if self.asked else "00D5g000000AbCd!run-out", self.url)

    def renew(self, refused: Session) -> Session:
        self.asked.append(refused.access_token)
        return Session(self.good, self.url)


def test_a_session_that_ran_out_is_renewed_once_and_no_token_is_logged(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    login = RenewedOnce(stack.standin.url, stack.standin.integration_token())
    with caplog.at_level(logging.DEBUG):
        names = MetadataApi(Breaking(login, stack.meter, sleep=lambda seconds: None)).names("Layout")
    assert "Contact-Contact Layout" in names
    assert login.asked == ["00D5g000000AbCd!run-out"]
    assert len(stack.meter.booked) == 2
    assert login.good not in caplog.text


def test_a_dry_run_tells_what_somebody_changed_and_a_run_makes_it_anew(stack: Stack) -> None:
    stack.choices = Choices(sales_users=("anna.sales@example.com",), layouts=True)
    stack.run()
    name = "Contact-Contact %28Sales%29 Layout"
    stack.standin.set_layout(name, without_fields(stack.standin.layouts()[name], SIX[:1]))
    stack.standin.hide("Account.GPTWeb_Id__c")
    (given,) = stack.standin.query(
        "SELECT Id FROM PermissionSetAssignment WHERE PermissionSet.Name = 'GPTWeb_Insights'"
    )
    stack.standin.ask("DELETE", f"/sobjects/PermissionSetAssignment/{given['Id']}")
    (field_id,) = [
        row["Id"]
        for row in stack.standin.custom_fields()
        if (row["TableEnumOrId"], row["DeveloperName"]) == ("Lead", "GPTWeb_Visit_Count")
    ]
    stack.standin.ask("DELETE", f"/tooling/sobjects/CustomField/{field_id}")
    _, report = stack.stages().plan("dry", dry_run=True)
    assert sorted(words.partition("UTC: ")[2] for words in report.drift) == [
        "GPTWeb_AI_Score__c was taken off layout Contact-Contact (Sales) Layout.",
        "GPTWeb_Insights was taken from anna.sales@example.com.",
        "field Lead.GPTWeb_Visit_Count__c was deleted.",
        "the permission on Account.GPTWeb_Id__c was taken out of GPTWeb_CRM_Sync.",
    ]
    stack.run()
    _, report = stack.stages().plan("after", dry_run=True)
    assert (report.drift, report.steps) == ((), ())
