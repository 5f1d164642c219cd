"""The page of a reconciliation: the verdict first, whole in itself, and nothing that a person typed becomes markup."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from lxml import html

from crm_sync.decide.causes import CAUSES, DRIFT
from crm_sync.reconciliation_report import FIELDS, page


def report(**more: Any) -> dict[str, Any]:
    """A report of two contacts, one of which differs."""
    return {
        "run_id": 7, "connection": "main", "at": "2026-11-22T02:30:09.123456+00:00", "verdict": "drifted",
        "headline": "Drifted: 1 contact differs.", "differing": 1, "waiting": 0, "heal": "none", "healing": 0,
        "seconds": 3.2, "read_calls": 4, "notes": [],
        "counts": [
            {"object": "contact", "cause": "in_step", "records": 1, "waiting": 0},
            {"object": "contact", "cause": "drifted_ours", "records": 1, "waiting": 0},
        ],
        "fields": [{"object": "contact", "cause": "drifted_ours", "field": "title", "records": 1}],
        "twins": [], "run": {"state": "succeeded", "message": None, "planned": 0, "acknowledged": 0, "parked": 0, "api_calls": 5},
        "samples": [
            {"object": "contact", "cause": "drifted_ours", "our_id": "o1", "their_id": "003A", "waiting": False,
             "differences": [{"field": "title", "ours": "CTO", "theirs": None}]},
        ],
        **more,
    }  # fmt: skip


IN_STEP = {
    "verdict": "in_step", "headline": "In step: 1 contact agrees.", "differing": 0, "fields": [], "samples": [],
    "counts": [{"object": "contact", "cause": "in_step", "records": 1, "waiting": 0}],
}  # fmt: skip


def seen(text: str) -> Any:
    return html.document_fromstring(text)


def test_the_first_line_is_the_verdict() -> None:
    tree = seen(page(report(), [report()]))
    assert tree.find("body").text_content().split("\n")[2].strip() == "Drifted: 1 contact differs."
    assert tree.xpath("//h1/@class") == ["drifted"]


def test_the_page_loads_nothing_and_holds_no_script() -> None:
    text = page(report(), [report()] * 30, "/crm-sync/connections/main")
    tree = seen(text)
    assert tree.xpath("//script | //link | //iframe | //img | //@src") == []
    assert tree.xpath("//@href") == ["/crm-sync/connections/main"]
    assert "url(" not in text
    assert "@import" not in text


def test_there_is_a_chart_by_cause_by_field_and_over_the_last_reports() -> None:
    tree = seen(page(report(), [report(differing=n, waiting=0) for n in range(3)]))
    by_cause, by_field, over_time = tree.xpath("//figure")
    assert CAUSES["drifted_ours"] in by_cause.text_content()
    assert "contact: title" in by_field.text_content()
    assert over_time.text_content().count("11-22 02:30") == 3
    assert all(
        figure.xpath(".//*[local-name() = 'rect' and contains(@class, 'reactive')]")
        for figure in (by_cause, by_field, over_time)
    )


def test_what_agrees_has_sums_and_its_place_among_the_last_reports() -> None:
    tree = seen(page(report(**IN_STEP), [report(), report(**IN_STEP)]))
    assert tree.xpath("//h1/@class") == ["in_step"]
    assert len(tree.xpath("//figure")) == 1
    assert "Samples" not in tree.text_content()


def test_samples_show_both_values_and_a_blank_as_such() -> None:
    (row,) = seen(page(report(), [report()])).xpath("//tr[td[@class = 'v']]")
    assert [cell.text_content().strip() for cell in row] == ["contact", "o1", "003A", "title", "CTO", "blank"]


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>x</b>"]
)
def test_nothing_that_a_person_typed_becomes_markup(evil: str) -> None:
    sample = {**report()["samples"][0], "differences": [{"field": evil, "ours": evil, "theirs": evil}]}
    fields = [{"object": "contact", "cause": "drifted_ours", "field": evil, "records": 1}]
    text = page(report(samples=[sample], fields=fields, notes=[evil], headline=evil), [report()])
    assert evil not in text
    assert seen(text).xpath("//script | //img | //main//b[text() = 'x']") == []


def test_drawing_leaves_the_imports_of_the_process_alone() -> None:
    page(report(), [report()])
    assert [f for f in sys.meta_path if not hasattr(f, "find_spec")] == []


def test_every_cause_can_be_shown() -> None:
    counts = [
        {"object": o, "cause": c, "records": 9, "waiting": 4} for o in ("contact", "lead") for c in CAUSES
    ]
    tree = seen(page(report(counts=counts), [report()]))
    shown = [th.text_content() for th in tree.xpath("//tbody/tr/th")]
    assert shown == list(CAUSES.values())
    assert len(tree.xpath("//tr[@class = 'drift']")) == len(DRIFT)


def test_of_many_fields_the_chart_shows_those_that_differ_most() -> None:
    fields = [
        {"object": "contact", "cause": "formula", "field": f"f{n:02}", "records": n + 1} for n in range(40)
    ]
    figure = seen(page(report(fields=fields), [report()])).xpath("//figure")[1].text_content()
    assert "contact: f39" in figure
    assert f"contact: f{39 - FIELDS}" not in figure


def test_what_was_healed_is_told() -> None:
    run = {
        "state": "succeeded",
        "message": None,
        "planned": 9,
        "acknowledged": 8,
        "parked": 1,
        "api_calls": 6,
    }
    text = seen(page(report(heal="safe", healing=1, run=run), [report()])).text_content()
    assert "8 of 9" in text
