"""Canonical values: one spelling per meaning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given

from crm_sync.decide.mapping import FieldMapping
from crm_sync.decide.values import canonical, same, to_instant
from crm_sync.model import Value

TEXT = FieldMapping(ours="a", theirs="A")
WHOLE = FieldMapping(ours="a", theirs="A", type="number")
CENTS = FieldMapping(ours="a", theirs="A", type="number", scale=2)
FLAG = FieldMapping(ours="a", theirs="A", type="boolean")
MOMENT = FieldMapping(ours="a", theirs="A", type="datetime")
CHOICES = FieldMapping(ours="a", theirs="A", type="choices")


@pytest.mark.parametrize(
    ("field", "raw", "expected"),
    [
        (TEXT, "", None),
        (TEXT, None, None),
        (TEXT, " x ", " x "),
        (WHOLE, 3.0, 3),
        (WHOLE, Decimal("3"), 3),
        (WHOLE, "", None),
        (CENTS, 3, 3.0),
        (CENTS, Decimal("3.10"), 3.1),
        (CENTS, 3.149, 3.14),
        (CENTS, -3.149, -3.14),
        (CENTS, 0, 0.0),
        (FLAG, None, False),
        (FLAG, True, True),
        (MOMENT, "2026-01-01T00:00:00.999+0000", "2026-01-01T00:00:00Z"),
        (MOMENT, "2026-01-01T09:00:00+09:00", "2026-01-01T00:00:00Z"),
        (MOMENT, datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9))), "2026-01-01T00:00:00Z"),
        (MOMENT, datetime(2026, 1, 1, 0, 0, 0, 999_999, UTC), "2026-01-01T00:00:00Z"),
        (MOMENT, None, None),
        (CHOICES, "b; a;b", "a;b"),
        (CHOICES, "é;z; Z", "Z;z;é"),
        (CHOICES, " ; ", None),
        (CHOICES, None, None),
    ],
)
def test_canonical(field: FieldMapping, raw: object, expected: Value) -> None:
    value = canonical(field, raw)
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("x", " x\n", True),
        ("x\r\ny", "x\ny", True),
        ("x\ry", "x\ny", True),
        ("x", "X", False),
        ("x  y", "x y", False),
        (None, "", False),
        (None, None, True),
        (1, 1.0, True),
        (1, "1", False),
    ],
)
def test_same(a: Value, b: Value, expected: bool) -> None:
    assert same(a, b) is expected
    assert same(b, a) is expected


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12)


@given(NUMBERS)
def test_a_number_is_the_same_however_it_came(number: Decimal) -> None:
    once = canonical(CENTS, number)
    assert canonical(CENTS, once) == once
    assert canonical(CENTS, str(number)) == once
    assert abs(Decimal(str(once))) <= abs(number)


@given(st.datetimes(timezones=st.timezones()))
def test_an_instant_is_the_same_wherever_it_was_written(moment: datetime) -> None:
    if not 2 < moment.year < 9998:
        return
    once = canonical(MOMENT, moment)
    assert canonical(MOMENT, once) == once
    assert canonical(MOMENT, moment.astimezone(UTC).isoformat()) == once
    assert timedelta(0) <= moment - to_instant(str(once)) < timedelta(seconds=1)


@given(st.text(), st.text())
def test_sameness_is_symmetric_and_ignores_only_the_edges(a: str, b: str) -> None:
    assert same(a, b) == same(b, a)
    assert same(f" {a}\r\n", a)
