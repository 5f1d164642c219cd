"""What happened, as tables that a person likes to read: from the views run_summary and audit_trail, and from counting."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stack.compare import Difference
from stack.mappings import OBJECTS
from stack.settings import CONNECTION

LIMIT = 15_000
Counts = dict[str, int]


@dataclass
class Act:
    """One act of the demo: a run that a person waited for, and whatever the schedule ran meanwhile."""

    title: str
    kind: str
    began: datetime
    seconds: float = 0.0
    runs: list[dict[str, Any]] = field(default_factory=list)
    created_ours: Counts = field(default_factory=dict)
    created_theirs: Counts = field(default_factory=dict)

    def total(self, column: str) -> int:
        """A column of run_summary, added up over the act's runs."""
        return sum(int(run[column] or 0) for run in self.runs)


class Ledger:
    """Reads the two views."""

    def __init__(self, database: str) -> None:
        self._database = database

    def now(self) -> datetime:
        """The database's own time."""
        return self._rows("SELECT clock_timestamp() AS now", {})[0]["now"]  # type: ignore[no-any-return]

    def runs(self, kind: str, since: datetime) -> list[dict[str, Any]]:
        """The runs of a kind that began since then."""
        return self._rows(
            "SELECT * FROM crm_sync.run_summary WHERE connection = %(connection)s AND kind = %(kind)s "
            "AND started_at >= %(since)s ORDER BY started_at",
            {"kind": kind, "since": since},
        )

    def updated(self, act: Act) -> dict[tuple[str, str], int]:
        """Records written, by object and side, created ones among them."""
        rows = self._rows(
            "SELECT object, side, count(DISTINCT our_id) AS records FROM crm_sync.audit_trail "
            "WHERE run_id = any(%(runs)s) AND outcome = 'acknowledged' GROUP BY 1, 2",
            {"runs": [run["run_id"] for run in act.runs]},
        )
        return {(row["object"], row["side"]): row["records"] for row in rows}

    def lines(self, acts: Sequence[Act], *outcomes: str) -> list[dict[str, Any]]:
        """The audit trail's lines with these outcomes, one per run and field."""
        return self._rows(
            "SELECT DISTINCT ON (object, our_id, their_id, field, run_id) * FROM crm_sync.audit_trail "
            "WHERE run_id = any(%(runs)s) AND outcome = any(%(outcomes)s) ORDER BY object, our_id, their_id, field, run_id, at DESC",
            {"runs": [run["run_id"] for act in acts for run in act.runs], "outcomes": list(outcomes)},
        )

    def _rows(self, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        with psycopg.connect(self._database, row_factory=dict_row) as connection:
            return connection.execute(statement.encode(), {"connection": CONNECTION, **values}).fetchall()


def show_act(console: Console, act: Act, written: dict[tuple[str, str], int]) -> None:
    """Records created and updated each way, and the figures of the run."""
    table = _table(
        act.title, "", "created in the CRM", "updated in the CRM", "created in GPTWeb", "updated in GPTWeb"
    )
    for name in OBJECTS:
        cells = [f"{name}s"]
        for side, created in (("theirs", act.created_theirs), ("ours", act.created_ours)):
            new = created.get(name, 0)
            cells += [
                f"{count:,}" if count > 0 else "–" for count in (new, written.get((name, side), 0) - new)
            ]
        table.add_row(*cells)
    if act.kind == "sync":
        console.print(table)
    console.print(f"  {_figures(act)}\n")


def _figures(act: Act) -> str:
    words = {"acknowledged": "written", "in_doubt": "in doubt"}
    columns = ("planned", "acknowledged", "parked", "superseded", "in_doubt", "conflicts")
    counts = [
        f"{act.total(c):,} {words.get(c, c)}"
        for c in columns
        if act.total(c) or c in {"planned", "acknowledged"}
    ]
    calls, title = act.total("api_calls"), "" if act.kind == "sync" else f"{act.title}: "
    return f"{title}{', '.join(counts)} · {calls:,} API call{'s' * (calls != 1)} · {act.seconds:.1f} s"


def show_budget(console: Console, acts: Sequence[Act]) -> None:
    """All calls of the demo against the day's budget."""
    used = sum(act.total("api_calls") for act in acts)
    console.print(f"  API calls in all: [bold]{used:,}[/] of {LIMIT:,} a day\n")


def show_conflicts(console: Console, lines: Sequence[dict[str, Any]], most: int = 6) -> None:
    """Conflicts: who won, and the value that was overruled; nothing is lost in silence."""
    if not lines:
        return
    rules = Counter(str(line["rule"]) for line in lines)
    title = f"Conflicts: {len(lines):,} values overruled, each kept in crm_sync.audit_trail"
    table = _table(
        title, "record and field", "overruled in", "the value overruled", "the value that won", "why"
    )
    for line in _varied(lines, most):
        side = "GPTWeb" if line["side"] == "ours" else "the CRM"
        values = (_show(line["before"]), _show(line["after"]))
        table.add_row(
            f"{line['object']}.{line['field']}", side, *values, escape(str(line["detail"] or line["rule"]))
        )
    console.print(table)
    console.print("  " + " · ".join(f"{rule}: {count:,}" for rule, count in sorted(rules.items())) + "\n")


def show_parked(console: Console, lines: Sequence[dict[str, Any]]) -> None:
    """What waits for a person, why, and what to do about it: a line per record and reason."""
    if not lines:
        return
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for line in lines:
        key = (str(line["object"]), str(line["our_id"] or line["their_id"]), str(line["detail"]))
        grouped.setdefault(key, []).append(line)
    title = f"Parked: {len(grouped)} need a person; everything else went through"
    table = _table(title, "record", "field", "value", "reason and remedy")
    for (name, record, why), found in list(grouped.items())[:20]:
        only = found[0] if len({line["field"] for line in found}) == 1 and found[0]["field"] else None
        field, value = (str(only["field"]), _show(only["after"])) if only else ("the record", "")
        table.add_row(f"{name} {record}", field, value, escape(why))
    console.print(table)
    console.print()


def show_differences(console: Console, differences: Sequence[Difference], most: int = 15) -> None:
    """Where the sides still differ."""
    table = _table(f"The sides differ in {len(differences)} places", "record", "field", "ours", "theirs")
    for d in differences[:most]:
        table.add_row(f"{d.object} {d.id}", d.field or "the record", _show(d.ours), _show(d.theirs))
    console.print(table)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in headings:
        counted = heading.startswith(("created", "updated"))
        table.add_column(heading, overflow="fold", justify="right" if counted else "left")
    return table


def _varied(lines: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """A few lines of each rule rather than many of one."""
    first = {(line["rule"], line["side"], line["object"]): line for line in reversed(lines)}
    return sorted(first.values(), key=lambda line: str(line["rule"]))[:most]


def _show(value: Any) -> str:
    if value is None:
        return "[dim](blank)[/dim]"
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = text.replace("\n", "⏎")
    return escape(text if len(text) <= 60 else f"{text[:59]}…")
