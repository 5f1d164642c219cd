"""`python -m bench [idle] [calls] [first] [volume] [reconcile] [pages] [scheduler] [--contacts 10000]`; without names these.

`pull` and `push` are the halves of volume, `profile` shows where a first sync spends its CPU.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench import calls, first_sync, idle, pages, reconcile, scheduler, spots, volume
from bench.cpu import ChildFailed
from bench.figures import Report, show, write

MEASUREMENTS: dict[str, Callable[[int], Report]] = {
    "idle": idle.measure,
    "calls": calls.measure,
    "first": first_sync.measure,
    "volume": volume.measure,
    "pull": volume.measure_pull,
    "push": volume.measure_push,
    "reconcile": reconcile.measure,
    "pages": pages.measure,
    "scheduler": scheduler.measure,
    "profile": spots.measure,
}
USUAL = ("idle", "calls", "first", "volume", "reconcile", "pages", "scheduler")
RESULT = Path(__file__).resolve().parents[1] / ".local" / "bench.json"


def main(words: list[str]) -> int:
    """Measure, show, keep; the exit status is 0 whatever was measured, 1 if something could not be."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", choices=[*MEASUREMENTS, []], help=", ".join(MEASUREMENTS)
    )
    parser.add_argument(
        "--contacts",
        type=int,
        default=10_000,
        help="contacts each way of a first sync (10,000); volume, pull and push move ten times as many, reconcile compares and pages show a hundred times as many",
    )
    arguments = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    failed = 0
    for name in arguments.names or USUAL:
        began = time.monotonic()
        try:
            with console.status(f"{name} …"):
                report = MEASUREMENTS[name](arguments.contacts)
        except ChildFailed as error:
            console.print(f"[bold red]✗[/] {name}: {error}")
            failed += 1
            continue
        show(console, report)
        console.print(f"  [dim]{name}: {time.monotonic() - began:.0f} s[/]\n")
        write(RESULT, name, report)
    console.print(f"  [dim]kept in {RESULT.relative_to(RESULT.parents[1])}[/]")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
