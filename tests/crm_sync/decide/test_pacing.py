"""Which updates are nothing but noise, and until when they wait, with literals."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from crm_sync.decide.pacing import is_noise, waits_until
from crm_sync.errors import Misconfigured
from crm_sync.mapping_files import load_mapping
from crm_sync.model import Row
from tests.crm_sync.decide.records import CONTACT, T0, at

HOUR = 3600
VISIT, COUNT = "last_visit_at", "visit_count"


def test_the_default_is_an_hour_for_the_two_measures_of_visits() -> None:
    assert CONTACT.paced == {VISIT, COUNT}
    assert {CONTACT.by_ours[name].min_interval for name in CONTACT.paced} == {timedelta(hours=1)}


@pytest.mark.parametrize(
    ("before", "after", "base", "noise"),
    [
        ({COUNT: 1}, {COUNT: 2}, {COUNT: 1}, True),
        ({COUNT: 1, VISIT: None}, {COUNT: 2, VISIT: "b"}, {COUNT: 1, VISIT: None}, True),
        ({COUNT: 1, "is_dql": False}, {COUNT: 2, "is_dql": True}, {COUNT: 1, "is_dql": False}, False),
        ({"title": "a"}, {"title": "b"}, {"title": "a"}, False),
        ({COUNT: 1, "id": None}, {COUNT: 2, "id": "k"}, {COUNT: 1}, False),
        ({COUNT: 9}, {COUNT: 2}, {COUNT: 1}, False),  # somebody edited it there
        ({COUNT: 1}, {COUNT: 2}, {}, False),  # a first link
    ],
)
def test_what_is_noise(before: Row, after: Row, base: Row, noise: bool) -> None:
    assert is_noise(CONTACT, before, after, base) is noise


@pytest.mark.parametrize(
    ("sent", "now", "until"),
    [
        ({}, 0, None),
        ({COUNT: 0}, 1, HOUR),
        ({COUNT: 0}, HOUR - 1, HOUR),
        ({COUNT: 0}, HOUR, None),
        ({VISIT: 0}, 1, None),  # the other one was never sent
    ],
)
def test_how_long_one_measure_waits(sent: dict[str, int], now: int, until: int | None) -> None:
    times = {column: at(seconds) for column, seconds in sent.items()}
    assert waits_until(CONTACT, [COUNT], times, at(now)) == (None if until is None else at(until))


def test_the_first_that_is_due_takes_the_other_along() -> None:
    times = {COUNT: T0, VISIT: at(600)}
    assert waits_until(CONTACT, [COUNT, VISIT], times, at(1000)) == at(HOUR)
    assert waits_until(CONTACT, [COUNT, VISIT], times, at(HOUR)) is None


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("direction: out, min_interval: soon", "is not a time like 30s, 15m, 1h or 1d"),
        ("direction: out, min_interval: 0h", "is not a time like 30s, 15m, 1h or 1d"),
        ("min_interval: 1h", "an edit of a person never waits"),
    ],
)
def test_a_bad_interval_is_refused(tmp_path: Path, block: str, words: str) -> None:
    file = tmp_path / "contact.yaml"
    file.write_text(
        "object: contact\ntheirs: Contact\nmatch: []\n"
        "key: {theirs: K__c, create: {type: Text, label: K, length: 36}}\n"
        "marker: {theirs: M__c, create: {type: Text, label: M, length: 36}}\n"
        f"fields:\n  - {{ours: visit_count, theirs: V__c, type: number, {block}}}\n"
    )
    with pytest.raises(Misconfigured, match=words):
        load_mapping(file)
