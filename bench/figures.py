"""What was measured, as a table for people and as JSON for whoever compares runs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "Report", "show", "write"]

MARKS = {True: "[bold green]✓[/]", False: "[bold red]✗[/]", None: "[dim]·[/]"}


@dataclass(frozen=True)
class Figure:
    """One measured number; ``reached`` is None where it is shown without a goal."""

    name: str
    goal: str
    measured: str
    reached: bool | None = None
    value: float | None = None


@dataclass(frozen=True)
class Report:
    """The figures of one measurement, and what a reader has to know of how they came about."""

    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()


def show(console: Console, report: Report) -> None:
    """One table, the notes under it."""
    table = Table(title=f"[bold]{report.title}[/]", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("figure", min_width=46)
    table.add_column("goal", min_width=16)
    table.add_column("measured", overflow="fold")
    for figure in report.figures:
        table.add_row(MARKS[figure.reached], figure.name, figure.goal, figure.measured)
    console.print(table)
    for note in report.notes:
        console.print(f"  [dim]{note}[/]")
    console.print()


def write(path: Path, name: str, report: Report) -> None:
    """Keep one measurement, with when and on what it was made; the others of earlier runs stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        kept = {}
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    content = {**kept, name: {"at": at, "machine": machine, **asdict(report)}}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
