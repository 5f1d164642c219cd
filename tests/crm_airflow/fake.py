"""An engine and a hook that only remember what they were asked; every operator takes them by ``faked``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from crm_sync.errors import SyncError


@dataclass(frozen=True)
class FakeReport:
    text: str = "done"
    counts: dict[str, int] = field(default_factory=lambda: {"planned": 3})
    state: str = "succeeded"
    message: str = ""
    run_id: int = 7

    def lines(self) -> list[str]:
        return [self.text]


class FakeDatabase:
    """A ledger that holds one run's state and message."""

    def __init__(self) -> None:
        self.run_row: tuple[str, str | None] = ("running", None)

    @contextmanager
    def transaction(self) -> Iterator[FakeDatabase]:
        yield self

    def rows(self, query: str, parameters: Any = None) -> list[tuple[str, str | None]]:
        return [self.run_row]

    def run(self, query: str, parameters: Any = None) -> int:
        self.run_row = parameters[:2]
        return 1


class FakeEngine:
    """Answers every stage with ``replies[stage]``, one after the other; an exception among them is raised."""

    def __init__(self, **replies: Any) -> None:
        self.replies = {stage: list(r) if isinstance(r, list) else [r] for stage, r in replies.items()}
        self.asked: list[tuple[str, Any]] = []
        self.database = FakeDatabase()

    def answer(self, stage: str, argument: Any) -> Any:
        self.asked.append((stage, argument))
        usual = 7 if stage == "open_run" else FakeReport(f"{stage} is done")
        replies = self.replies.get(stage, [usual])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def open_run(self, options: Any) -> int:
        run_id: int = self.answer("open_run", options)
        return run_id

    def compare(self, run_id: int) -> Any:
        return self.answer("compare", run_id)

    def pull(self, run_id: int) -> Any:
        return self.answer("pull", run_id)

    def plan(self, run_id: int) -> Any:
        return self.answer("plan", run_id)

    def push_ours(self, run_id: int) -> Any:
        return self.answer("push_ours", run_id)

    def push_theirs(self, run_id: int) -> Any:
        return self.answer("push_theirs", run_id)

    def settle(self, run_id: int) -> Any:
        return self.answer("settle", run_id)

    def stages(self) -> list[str]:
        return [stage for stage, _ in self.asked]


class FakeProvisioning(FakeEngine):
    """The same for provisioning."""

    def plan(self, dag_run_id: str, *, dry_run: bool) -> Any:  # type: ignore[override]  # no engine, but like one
        return 8, self.answer("plan", (dag_run_id, dry_run))

    def apply(self, run_id: int) -> Any:
        return self.answer("apply", run_id)

    def verify(self, run_id: int) -> Any:
        return self.answer("verify", run_id)

    def give_up(self, dag_run_id: str, error: str) -> None:
        self.asked.append(("give_up", (dag_run_id, error)))


class FakePreflight(FakeEngine):
    """The same for preflight."""

    def run(self) -> Any:
        return self.answer("preflight", None)


class FakeHook:
    """Stands where CrmSyncHook stands."""

    def __init__(self, engine: FakeEngine) -> None:
        self.inside = engine

    @contextmanager
    def engine(self, run_id: int | None = None) -> Iterator[FakeEngine]:
        try:
            yield self.inside
        except SyncError as error:
            self.inside.database.run_row = ("running", str(error))
            raise

    provisioning = engine
    preflight = engine

    def refresh_snapshot(self) -> None:
        self.refreshed = True

    def open_failed(self, options: Any, error: SyncError) -> None:
        self.inside.asked.append(("open_failed", str(error)))


def faked(operator: type, engine: FakeEngine) -> type:
    """The operator with this engine behind it."""
    return type(operator.__name__, (operator,), {"hook": lambda self: FakeHook(engine)})
