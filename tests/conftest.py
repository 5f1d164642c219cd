"""How the suite is shared between processes: what stays together, what comes first, and what is told at the end.

Each process has a Postgres, an Airflow home, stand-ins and ports of its own.  What none has is a machine of its own: stacks
of real services are therefore played one after the other, in one process.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

STACKS = ("tests/stack/", "tests/ui/", "tests/bench/")
"""Running services and measurements: first, in one process, while the others play the rest."""
BOTH_CORES = ("tests/crm_sync/engine/test_mutants.py", "tests/crm_sync/soak/")
"""They start two processes themselves: last, so that nobody is held up by them."""


class Sharing(LoadScopeScheduling):  # type: ignore[misc]  # xdist brings no types
    """A file stays in one process, for the sake of its fixtures; so do all stacks, and all that fill the machine."""

    def _split_scope(self, nodeid: str) -> str:
        together = next((folders for folders in (STACKS, BOTH_CORES) if nodeid.startswith(folders)), None)
        return together[0] if together else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """Ours, in the order of the tests and not of the sizes of files."""
    config.option.loadscopereorder = False
    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stacks first; last what fills the machine."""
    items.sort(key=lambda item: item.nodeid.startswith(BOTH_CORES) - item.nodeid.startswith(STACKS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests counted (``record_property``), also when all is well."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties if report.when == "call" else ():
                terminalreporter.write_line(f"{name}: {value}")
