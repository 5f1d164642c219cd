"""The conditions of a scope, with literals, and what is said about conditions that do not suit the mapping."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from crm_sync.decide.scope import Condition, ObjectScope, admits, problems
from crm_sync.decide.settings import check_scope, parse
from crm_sync.errors import Misconfigured
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Row, Side
from tests.crm_sync.decide.records import CONTACT

MAPPINGS = load_mappings("salesforce")


def met(field: str, op: str, value: object, record: Row, side: Side = "ours") -> bool:
    """Whether a record meets one condition."""
    return admits(
        CONTACT, side, [Condition.model_validate({"field": field, "op": op, "value": value})], record
    )


@pytest.mark.parametrize(
    ("op", "value", "score", "expected"),
    [
        (">=", 30, 30.0, True), (">=", 30, 29.99, False), (">", 30, 30.0, False), (">", 30, 30.01, True),
        ("<", 30, 29.0, True), ("<", 30, 30.0, False), ("<=", 30, 30.0, True), ("<=", 30.5, 30.51, False),
        ("=", 30, 30.0, True), ("=", 30, 31.0, False), ("!=", 30, 31.0, True), ("!=", 30, 30.0, False),
        ("in", [1, 2], 2.0, True), ("in", [1, 2], 3.0, False),
        (">=", 0, None, False), ("<", 9, None, False), ("=", 0, None, False), ("!=", 0, None, True),
        ("in", [0], None, False), ("is blank", None, None, True), ("is blank", None, 0.0, False),
        ("is not blank", None, 0.0, True), ("is not blank", None, None, False),
    ],
)  # fmt: skip
def test_numbers(op: str, value: object, score: float | None, expected: bool) -> None:
    assert met("total_score", op, value, {"total_score": score}) is expected
    if score is None:
        assert met("total_score", op, value, {}) is expected, "absent is as good as blank"


@pytest.mark.parametrize(
    ("op", "value", "held", "expected"),
    [
        ("=", "CEO", " ceo ", True),
        ("=", "CEO", "CTO", False),
        ("!=", "CEO", "ceo", False),
        ("in", ["CEO", "CTO"], "cto", True),
    ],
)
def test_texts_are_compared_without_case_and_outer_blanks(
    op: str, value: object, held: str, expected: bool
) -> None:
    assert met("title", op, value, {"title": held}) is expected


def test_booleans_and_times() -> None:
    assert met("is_dql", "=", True, {"is_dql": True})
    assert not met("is_dql", "=", True, {"is_dql": False})
    seen = {"last_visit_at": "2026-11-22T10:00:00Z"}
    assert met("last_visit_at", ">=", "2026-11-22T11:00:00+01:00", seen)
    assert not met("last_visit_at", ">", "2026-11-22T10:00:00Z", seen)


def test_theirs_is_named_as_the_crm_names_it() -> None:
    assert met("Title", "=", "CEO", {"title": "CEO"}, "theirs")
    assert met("hasoptedoutofemail", "=", False, {"opted_out_of_email": False}, "theirs")


def test_all_conditions_must_hold() -> None:
    both = [Condition(field="title", op="=", value="CEO"), Condition(field="email", op="is not blank")]
    assert admits(CONTACT, "ours", both, {"title": "CEO", "email": "a@example.com"})
    assert not admits(CONTACT, "ours", both, {"title": "CEO", "email": None})
    assert admits(CONTACT, "ours", [], {})


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "title", "op": "like", "value": "C%"},
        {"field": "title", "op": "="},
        {"field": "title", "op": "=", "value": ["a"]},
        {"field": "title", "op": "=", "value": ""},
        {"field": "title", "op": "in", "value": []},
        {"field": "title", "op": "in", "value": "CEO"},
        {"field": "title", "op": "is blank", "value": "x"},
        {"field": "title", "op": "=", "value": {"sql": "1"}},
        {"field": "title", "op": "=", "value": "x", "or": []},
    ],
)
def test_other_conditions_there_are_none(condition: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


@pytest.mark.parametrize(
    ("side", "condition", "words"),
    [
        ("ours", {"field": "shoe_size", "op": "=", "value": 1}, "shoe_size is not a mapped field; choose from account_id, "),
        ("theirs", {"field": "GPTWeb_AI_Score__c", "op": ">", "value": 1}, "is not a mapped field; choose from AccountId, "),
        ("ours", {"field": "title", "op": ">", "value": "a"}, "title is no number and no time"),
        ("ours", {"field": "total_score", "op": "=", "value": "30"}, "total_score is compared with a number, not with '30'"),
        ("ours", {"field": "total_score", "op": "=", "value": True}, "total_score is compared with a number, not with True"),
        ("ours", {"field": "is_dql", "op": "=", "value": 1}, "is_dql is compared with true or false, not with 1"),
        ("ours", {"field": "last_visit_at", "op": ">", "value": "soon"}, "compared with a time like 2026-01-31T00:00:00Z"),
        ("ours", {"field": "title", "op": "in", "value": ["a", 2]}, "title is compared with a text, not with 2"),
        ("ours", {"field": "account_id", "op": "=", "value": "x"}, "account_id is a reference; ask whether it is blank"),
    ],
)  # fmt: skip
def test_what_does_not_suit_the_mapping_is_said(side: str, condition: dict[str, object], words: str) -> None:
    [said] = problems({"contact": ObjectScope.model_validate({side: [condition]})}, MAPPINGS)
    assert said.startswith(f"scope.contact.{side}.0: ")
    assert words in said


def test_three_mistakes_are_told_at_once() -> None:
    wrong: dict[str, object] = {"scope": {
        "contact": {"ours": [{"field": "nope", "op": "=", "value": 1}, {"field": "title", "op": ">", "value": "a"}]},
        "lead": {"theirs": [{"field": "Status", "op": "=", "value": 3}]},
    }}  # fmt: skip
    with pytest.raises(Misconfigured) as caught:
        check_scope("main", parse("main", wrong), MAPPINGS)
    for place in ("scope.contact.ours.0", "scope.contact.ours.1", "scope.lead.theirs.0"):
        assert place in str(caught.value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_cannot_keep_is_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        Condition(field="total_score", op=">", value=value)
