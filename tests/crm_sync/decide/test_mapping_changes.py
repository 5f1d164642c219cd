"""What a connection may change in the mapping, and what is refused with which words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm_sync.decide.mapping import FieldMapping
from crm_sync.decide.mapping_changes import MappingChanges, adjusted, counterparts, problems
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Object

FILES = load_mappings("salesforce")


def changes(without: tuple[str, ...] = (), **fields: str) -> dict[Object, MappingChanges]:
    blocks = tuple(FieldMapping(ours=ours, theirs=theirs) for ours, theirs in fields.items())
    return {"contact": MappingChanges(fields=blocks, without=without)}


def test_without_changes_the_files_hold() -> None:
    assert adjusted(FILES, {}) == FILES
    assert problems(FILES, {}) == []


def test_a_field_is_set_added_and_taken_out() -> None:
    chosen = changes(without=("department",), title="Department", nickname="Nickname__c")
    assert problems(FILES, chosen) == []
    found = adjusted(FILES, chosen)
    assert found["lead"] == FILES["lead"]
    contact = found["contact"]
    assert contact.by_ours["title"].theirs == "Department"
    assert contact.columns.index("title") == FILES["contact"].columns.index("title")
    assert contact.columns[-1] == "nickname"
    assert "department" not in contact.by_ours


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (changes(title="Department"), "Department is the counterpart of department, but already that of title"),
        (changes(title="gptweb_ID__C"), "already a service field of GPTWeb"),
        (changes(without=("email",)), "email is needed to match"),
        (changes(without=("nickname",)), "nickname is taken out, but is not mapped; the mapped fields are account_id,"),
        (changes(without=("title",), title="Title"), "title is both set and taken out"),
        (
            {"contact": MappingChanges(fields=(FieldMapping(ours="title", theirs="Title"),) * 2)},
            "title is set 2 times",
        ),
        (
            {
                "contact": MappingChanges(
                    fields=(FieldMapping(ours="boss", theirs="ReportsToId", type="reference", references="contact"),)
                )
            },
            "account_id and boss both refer to another object",
        ),
    ],
)  # fmt: skip
def test_what_no_run_could_work_with_is_refused(chosen: dict[Object, MappingChanges], words: str) -> None:
    (said,) = problems(FILES, chosen)
    assert said.startswith("mapping.contact: ")
    assert words in said


def test_every_problem_is_said_at_once() -> None:
    assert len(problems(FILES, changes(without=("email", "nickname")))) == 2


def test_a_field_is_another_only_when_its_counterpart_is() -> None:
    was = counterparts(FILES["contact"])
    policy = FieldMapping(ours="title", theirs="TITLE", policy="crm_wins", direction="in")
    number = FieldMapping(ours="title", theirs="Title", type="number")
    found = [counterparts(adjusted(FILES, {"contact": MappingChanges(fields=(f,))})["contact"])["title"] for f in (policy, number)]  # fmt: skip
    assert found[0] == was["title"]
    assert found[1] != was["title"]


@pytest.mark.parametrize("text", ["30s", "15m", "1h", "36h", "2d"])
def test_an_interval_is_written_as_it_is_read(text: str) -> None:
    field = FieldMapping.model_validate(
        {"ours": "visits", "theirs": "Visits__c", "direction": "out", "min_interval": text}
    )
    stored = field.model_dump(mode="json")
    assert stored["min_interval"] == text
    assert FieldMapping.model_validate(stored) == field
    assert isinstance(field.min_interval, timedelta)
