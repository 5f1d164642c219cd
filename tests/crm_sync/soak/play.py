"""A scene is played: its runs one after the other or overtaking each other, each with its fault, then calm and a verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from crm_sync.model import Object, Write
from tests.crm_sync.engine.world import Pool, Running
from tests.crm_sync.soak.fates import FullStage
from tests.crm_sync.soak.plot import Act, Moment, Scene, Turn
from tests.crm_sync.soak.verdict import Problem, judge, judge_silence

__all__ = ["Played", "perform", "play", "play_on"]

ROUNDS = 5
"""Calm runs at most until nothing is left to do: two by the promise, one for a re-read, one for a parent, one per CRM."""


@dataclass
class Played:
    """What came out: the problems, and what was done and went wrong on the way."""

    scene: Scene
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)


def play(pool: Pool, scene: Scene, *, tell: bool = False) -> Played:
    """Play a scene on an empty database; ``tell``: with the audit trail as a story if anything is wrong."""
    return play_on(FullStage(pool, scene), tell=tell)


def play_on(stage: FullStage, *, tell: bool = False) -> Played:
    """Play the scene of a stage."""
    scene = stage.scene
    played = Played(scene)
    try:
        perform(stage)
        played.problems = [*judge(stage), *judge_silence(stage)]
    except Exception as error:  # noqa: BLE001  whatever escapes the engine is a finding
        played.problems = [Problem(None, "error", f"{type(error).__name__}: {error}")]
    finally:
        if tell and played.problems:
            played.story = stage.story()
        stage.close()
    played.counts = stage.counts
    for store in stage.stores.values():
        played.counts.update(store.happened)
        played.counts["calls"] += store.calls
    played.counts["runs"] += len(stage.runs)
    played.counts["schedules"] += len(scene.schedules)
    return played


def perform(stage: FullStage) -> None:
    """Everything that happens in the scene of a stage, and calm; not judged yet."""
    _Course(stage).run()


@dataclass
class _Course:
    """The runs of a scene."""

    stage: FullStage
    done: list[Running] = field(default_factory=list)
    late: list[tuple[float, str, tuple[Object, tuple[Write, ...]]]] = field(default_factory=list)

    def run(self) -> None:
        """Everything, and then calm."""
        self.stage.begin()
        number = 0
        while number < len(self.stage.scene.turns):
            number = self._turn(number)
        self._calm()

    def _turn(self, number: int) -> int:
        """Play one run and those that overtake it; returns the number of the next one."""
        turn = self.stage.scene.turns[number]
        run = self._start(number, turn)
        acts = [
            (a.moment, s, a)
            for s, schedule in enumerate(self.stage.scene.schedules)
            for a in schedule.acts
            if a.turn == number
        ]
        following = number + 1
        if run is not None:
            following = self._go(number, turn, run, acts)
        self._perform(acts)
        self._tick(turn.gap)
        return following

    def _start(self, number: int, turn: Turn) -> Running | None:
        """The run of a turn; None where a stage of a run that never was should be repeated."""
        crm = self.stage.crm_of(turn.crm)
        if turn.again:
            earlier = [run for run in self.done if run.run_id is not None and run.options.connection == crm]
            if len(earlier) < turn.again:
                return None
            self.stage.counts["stage repeated"] += 1
            return self.stage.again(earlier[-turn.again], turn.stage)
        self.stage.stores[crm].arm(turn.fault, turn.call)
        server = self.stage.now + self.stage.skew
        window = (
            {"since": server - timedelta(seconds=9), "until": server - timedelta(seconds=1)}
            if turn.kind == "backfill"
            else {}
        )
        for word, holds in (
            ("dry run", turn.dry_run),
            ("limited run", turn.limit),
            ("one-way run", turn.direction),
            ("backfill run", window),
        ):
            self.stage.counts[word] += bool(holds)
        return self.stage.start(
            crm, turn.kind, objects=self.stage.scene.objects, dry_run=turn.dry_run, limit=turn.limit, direction=turn.direction,
            **window,
        )  # fmt: skip

    def _go(self, number: int, turn: Turn, run: Running, acts: list[tuple[Moment, int, Act]]) -> int:
        """Step through the run; people act and the fault strikes at their moments."""
        following = number + 1
        stood: dict[str, int] = {"": 0}
        pending = turn.fault in _STRIKES
        steps = 0
        while not run.dead:
            self._perform([a for a in acts if _is_at(a[0], stood, steps)], acts)
            if pending and _is_at(turn.moment, stood, steps):
                pending = False
                following = self._strike(number, turn, run)
                continue
            run.step()
            steps += 1
            stood.setdefault(run.at, steps)
            if run.at == "written":
                self.stage.catch_up()
        self.done.append(run)
        self.stage.catch_up()
        for request in self.stage.stores[run.options.connection].unserved:
            if turn.fault.endswith("served late"):
                self.late.append((self.stage.monotonic() + self.stage.late, run.options.connection, request))
        if not turn.fault.endswith("served late"):
            self.stage.stores[run.options.connection].unserved.clear()
        return following if not pending or turn.fault != "overtaken" else self._overtake(number, turn)

    def _strike(self, number: int, turn: Turn, run: Running) -> int:
        """The fault of the run strikes where it stands; returns the number of the turn that follows."""
        self.stage.counts[turn.fault] += 1
        if turn.fault == "overtaken":
            return self._overtake(number, turn)
        if turn.fault == "kill before commit":
            run.kill_before_commit()
        elif turn.fault.startswith("kill"):
            if run.at == "start":
                run.step()
            if not run.dead:
                run.kill()
        elif turn.fault == "lease runs out":
            self._tick(self.stage.lease + 1)
        else:
            self.stage.suspend(self.stage.lease + 1)
        self.stage.catch_up()
        return number + 1

    def _overtake(self, number: int, turn: Turn) -> int:
        following = number + 1
        while following < min(number + 1 + turn.inner, len(self.stage.scene.turns)):
            following = self._turn(following)
        return following

    def _perform(
        self, due: list[tuple[Moment, int, Act]], acts: list[tuple[Moment, int, Act]] | None = None
    ) -> None:
        if not due:
            return
        self.stage.catch_up()
        for entry in due:
            if acts is not None:
                acts.remove(entry)
            self.stage.act(entry[1], entry[2])
        if due[0][2].other % 2:
            self._tick(1)

    def _tick(self, seconds: int) -> None:
        """Time passes; what a dead sender had sent may be carried out."""
        for _ in range(seconds):
            self.stage.tick()
            for waiting in [w for w in self.late if w[0] <= self.stage.monotonic()]:
                self.late.remove(waiting)
                if waiting[2] in self.stage.stores[waiting[1]].unserved:
                    self.stage.counts["request served late"] += 1
                    self.stage.deliver(waiting[1], waiting[2])

    def _calm(self) -> None:
        """Nothing goes wrong any more: leases, lags and doubts run out, and runs go on until nothing is left."""
        for store in self.stage.stores.values():
            store.calm()
        self._tick(self.stage.lag + self.stage.lease + self.stage.late + 3)
        for _ in range(ROUNDS + len(self.stage.crms) - 1):
            before = self.stage._planned()
            self._run_all()
            if self.stage._planned() == before and not self.stage.work_left():
                return

    def _run_all(self) -> None:
        self.stage.client.execute(
            "update crm_sync.parked set next_try_at = clock_timestamp() - interval '1 day' where next_try_at is not null"
        )
        for crm in self.stage.crms:
            run = self.stage.start(crm, objects=self.stage.scene.objects)
            while not run.dead:
                run.step()
                if run.at == "written":
                    self.stage.catch_up()
            self.stage.catch_up()
        self.stage.tick()


_STRIKES = {
    "kill",
    "kill before commit",
    "kill, served late",
    "lease runs out",
    "machine sleeps",
    "overtaken",
}


def _is_at(moment: Moment, stood: dict[str, int], steps: int) -> bool:
    return moment.label in stood and steps >= stood[moment.label] + moment.steps
