"""The measuring itself: what a child cost, invented records that fit the mapping, a report that can be read back."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.cpu import Child, ChildFailed, on_cpu, peak_mb, run_child
from bench.figures import Figure, Report, show, write
from bench.people import measures, records, their_row
from crm_sync.mapping_files import load_mappings
from crm_sync.model import OBJECTS

SPIN = """
import json, time
while time.process_time() < 0.4: pass
print("a log line"); print(json.dumps({"rows": 3}))
"""


def child(tmp_path: Path, source: str) -> Child:
    (tmp_path / "job.py").write_text(source)
    return run_child(["job"], {**os.environ, "PYTHONPATH": str(tmp_path)}, tmp_path / "job.log")


def test_a_child_is_charged_its_cpu_and_heard(tmp_path):
    done = child(tmp_path, SPIN)
    assert done.said == {"rows": 3}
    assert 0.4 <= done.cpu < 3


def test_a_child_that_fails_says_why(tmp_path):
    with pytest.raises(ChildFailed, match="no such luck"):
        child(tmp_path, "raise SystemExit('no such luck')")


def test_the_clock_of_a_process_follows_its_work():
    clock = on_cpu(os.getpid())
    before = clock()
    sum(range(3_000_000))
    assert 0 < clock() - before < 5
    assert peak_mb() > 5


@pytest.mark.parametrize("object", OBJECTS)
def test_records_fill_every_text_and_repeat_no_key(object):
    mapping = load_mappings("salesforce")[object]
    made = list(records(object, 300, "ours"))
    texts = {f.ours for f in mapping.fields if f.type == "text" and f.direction != "out"}
    assert all(texts <= set(row) <= set(mapping.columns) for row in made)
    assert all(set(measures(n)) <= set(mapping.columns) for n in range(400))
    assert len({row[mapping.match[0]] for row in made}) == len(made)
    assert set(their_row(mapping, made[0])) <= {f.theirs for f in mapping.fields}
    assert made == list(records(object, 300, "ours"))


def test_a_report_is_shown_and_kept(tmp_path):
    report = Report("Idle", [Figure("API calls", "1", "2", False, 2.0), Figure("rows", "", "7")], ["a note"])
    console = Console(width=120, record=True, file=sys.stderr)
    show(console, report)
    shown = console.export_text()
    assert all(words in shown for words in ("Idle", "API calls", "✗", "a note"))
    write(tmp_path / "bench.json", "idle", report)
    write(tmp_path / "bench.json", "first", report)
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert [one["figures"][0]["value"] for one in kept.values()] == [2.0, 2.0]
