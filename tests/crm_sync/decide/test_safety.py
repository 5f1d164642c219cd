"""Which plans go unasked, and in what words the others are not."""

from __future__ import annotations

import pytest

from crm_sync.decide.safety import Limits, Made, Touched, enough_linked, unsafe

USUAL = Limits(share=0.3, least=10, creations=5_000)
NOBODY = Made()


@pytest.mark.parametrize(
    "touched",
    [
        Touched("contact", "ours", 100, overwritten=30),
        Touched("contact", "ours", 100, deleted=30),
        Touched("contact", "theirs", 9, overwritten=9),
        Touched("contact", "theirs", 9, deleted=8),
        Touched("contact", "ours", 1, deleted=1),
        Touched("contact", "ours", 0),
    ],
)
def test_what_goes_unasked(touched: Touched) -> None:
    assert unsafe([touched], NOBODY, USUAL) == ()


@pytest.mark.parametrize(
    ("touched", "reason"),
    [
        (
            Touched("contact", "ours", 1_000, overwritten=412),
            "412 of 1,000 linked contacts (41%) would lose a value in GPTWeb",
        ),
        (
            Touched("lead", "theirs", 10, overwritten=4),
            "4 of 10 linked leads (40%) would lose a value in the CRM",
        ),
        (
            Touched("account", "theirs", 20, deleted=7),
            "7 of 20 linked accounts (35%) would be deleted in the CRM",
        ),
        (
            Touched("contact", "ours", 100, deleted=31),
            "31 of 100 linked contacts (31%) would be archived in GPTWeb",
        ),
        (Touched("contact", "ours", 2, deleted=2), "all 2 linked contacts would be archived in GPTWeb"),
        (Touched("lead", "theirs", 50, deleted=50), "all 50 linked leads would be deleted in the CRM"),
    ],
)
def test_what_a_person_is_asked_about(touched: Touched, reason: str) -> None:
    assert unsafe([touched], NOBODY, USUAL) == (reason,)


def test_each_reason_is_named() -> None:
    found = unsafe(
        [
            Touched("contact", "ours", 10, overwritten=4, deleted=5),
            Touched("contact", "theirs", 10, overwritten=3),
        ],
        Made(ours=2_000, theirs=3_001),
        USUAL,
    )
    assert found == (
        "5 of 10 linked contacts (50%) would be archived in GPTWeb",
        "4 of 10 linked contacts (40%) would lose a value in GPTWeb",
        "the first sync would make 5,001 records (3,001 in the CRM, 2,000 in GPTWeb), more than 5,000",
    )


def test_each_limit_can_be_taken_away() -> None:
    everything = Touched("contact", "ours", 1_000, overwritten=1_000, deleted=1_000)
    assert unsafe([everything], Made(9_999, 9_999), Limits(share=None, least=10)) == ()


def test_where_deletes_never_go_unasked_one_is_enough() -> None:
    one = Touched("contact", "theirs", 1_000, deleted=1)
    assert unsafe([one], NOBODY, Limits(0.3, 10, deletes=False)) == (
        "1 contacts would be deleted in the CRM",
    )


@pytest.mark.parametrize(
    ("affected", "share", "enough"), [(30, 0.3, 100), (1, 0.3, 4), (1, 0.0, None), (5, None, 0), (7, 1.0, 7)]
)
def test_how_many_linked_records_make_a_plan_safe(
    affected: int, share: float | None, enough: int | None
) -> None:
    limits = Limits(share, 10)
    assert enough_linked(affected, limits) == enough
    if enough:
        assert unsafe([Touched("contact", "ours", enough, overwritten=affected)], NOBODY, limits) == ()
