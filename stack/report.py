"""What happened, as tables that a person likes to read: from the views run_summary and audit_trail, and from counting."""

from __future__ import annotations

import json
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

    def lines(self, acts: Sequence[Act], outcome: str) -> list[dict[str, Any]]:
        """The audit trail's lines with this outcome, newest act last."""
        return self._rows(
            "SELECT DISTINCT ON (object, our_id, their_id, field) * FROM crm_sync.audit_trail "
            "WHERE run_id = any(%(runs)s) AND outcome = %(outcome)s ORDER BY object, our_id, their_id, field, at DESC",
            {"runs": [run["run_id"] for act in acts for run in act.runs], "outcome": outcome},
        )

    def _rows(self, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        with psycopg.connect(self._database, row_factory=dict_row) as connection:
            return connection.execute(statement.encode(), {"connection": CONNECTION, **values}).fetchall()


def show_act(console: Console, act: Act, written: dict[tuple[str, str], int]) -> None:
    """Records created and updated each way, and the figures of the run."""
    table = Table(title=act.title, title_justify="left", title_style="bold")
    for heading in ("", "created in the CRM", "updated in the CRM", "created in GPTWeb", "updated in GPTWeb"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name in OBJECTS:
        theirs, ours = act.created_theirs.get(name, 0), act.created_ours.get(name, 0)
        updated = (
            max(0, written.get((name, side), 0) - made) for side, made in (("theirs", theirs), ("ours", ours))
        )
        up_theirs, up_ours = updated
        table.add_row(f"{name}s", *(f"{n:,}" if n else "–" for n in (theirs, up_theirs, ours, up_ours)))
    console.print(table)
    console.print(
        f"  {act.total('planned'):,} field changes planned, {act.total('acknowledged'):,} written, "
        f"{act.total('parked'):,} parked, {act.total('conflicts'):,} conflicts · "
        f"{act.total('api_calls'):,} API calls of {LIMIT:,} · {act.seconds:.1f} s\n"
    )


def show_conflicts(console: Console, lines: Sequence[dict[str, Any]], most: int = 8) -> None:
    """Conflicts: who won, and the value that was overruled; nothing is lost in silence."""
    if not lines:
        return
    by_rule: Counts = {}
    for line in lines:
        by_rule[str(line["rule"])] = by_rule.get(str(line["rule"]), 0) + 1
    table = Table(title=f"Conflicts: {len(lines):,} values overruled, each kept in crm_sync.audit_trail",
                  title_justify="left", title_style="bold")  # fmt: skip
    for heading in ("record and field", "overruled in", "the value overruled", "the value that won", "why"):
        table.add_column(heading, overflow="fold")
    for line in _varied(lines, most):
        side = "GPTWeb" if line["side"] == "ours" else "the CRM"
        why = str(line["detail"] or line["rule"])
        table.add_row(
            f"{line['object']}.{line['field']}",
            side,
            _show(line["before"]),
            _show(line["after"]),
            escape(why),
        )
    console.print(table)
    console.print("  " + " · ".join(f"{rule}: {count:,}" for rule, count in sorted(by_rule.items())) + "\n")


def show_parked(console: Console, lines: Sequence[dict[str, Any]]) -> None:
    """What waits for a person, why, and what to do about it."""
    if not lines:
        return
    table = Table(title=f"Parked: {len(lines)} need a person; everything else of these records went through",
                  title_justify="left", title_style="bold")  # fmt: skip
    for heading in ("record", "field", "value", "reason and remedy"):
        table.add_column(heading, overflow="fold")
    for line in lines[:20]:
        record = f"{line['object']} {line['our_id'] or line['their_id']}"
        table.add_row(record, str(line["field"] or "all"), _show(line["after"]), escape(str(line["detail"])))
    console.print(table)
    console.print()


def show_differences(console: Console, differences: Sequence[Difference], most: int = 15) -> None:
    """Where the sides still differ."""
    table = Table(
        title=f"The sides differ in {len(differences)} places", title_justify="left", title_style="bold red"
    )
    for heading in ("record", "field", "ours", "theirs"):
        table.add_column(heading, overflow="fold")
    for d in differences[:most]:
        table.add_row(f"{d.object} {d.id}", d.field or "all", _show(d.ours), _show(d.theirs))
    console.print(table)


def _varied(lines: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """A few lines of each rule rather than many of one."""
    seen: dict[tuple[Any, Any, Any], int] = {}
    picked = []
    for line in lines:
        kind = (line["rule"], line["side"], line["object"])
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] == 1:
            picked.append(line)
    return picked[:most]


def _show(value: Any) -> str:
    if value is None:
        return "[dim](blank)[/dim]"
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = text.replace("\n", "⏎")
    return escape(text if len(text) <= 60 else f"{text[:59]}…")
