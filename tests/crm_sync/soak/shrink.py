"""The smallest scene that still goes wrong in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.crm_sync.soak.plot import Act, Moment, Scene, Schedule, Turn

__all__ = ["shrink"]

PLAIN = Scene("plain")
SETTINGS = ("crms", "skew", "jitter", "spells", "account_merges", "calm", "page_size", "batch_size", "creates", "their_delete", "our_archive", "direction")  # fmt: skip


def shrink(scene: Scene, fails: Callable[[Scene], bool]) -> Scene:
    """Leave out and simplify, kind by kind, as long as it still ``fails``."""
    before = None
    while before != scene:
        before = scene
        for kind in (
            _one_schedule,
            _fewer_turns,
            _fewer_acts,
            _plainer_turns,
            _plainer_settings,
            _simpler_acts,
        ):
            position = 0
            while len(candidates := list(kind(scene))) > position:
                if fails(candidates[position]):
                    scene = candidates[position]
                else:
                    position += 1
    return scene


def _one_schedule(scene: Scene) -> Iterator[Scene]:
    if len(scene.schedules) > 1:
        yield from (replace(scene, schedules=(schedule,)) for schedule in scene.schedules)


def _fewer_turns(scene: Scene) -> Iterator[Scene]:
    if len(scene.turns) > 1:
        yield from (_without_turn(scene, n) for n in reversed(range(len(scene.turns))))


def _fewer_acts(scene: Scene) -> Iterator[Scene]:
    for n, schedule in enumerate(scene.schedules):
        for a in range(len(schedule.acts)):
            yield _with(scene, n, replace(schedule, acts=(*schedule.acts[:a], *schedule.acts[a + 1 :])))


def _plainer_turns(scene: Scene) -> Iterator[Scene]:
    for n, turn in enumerate(scene.turns):
        yield from (
            replace(scene, turns=(*scene.turns[:n], t, *scene.turns[n + 1 :])) for t in _plainer(turn)
        )


def _plainer_settings(scene: Scene) -> Iterator[Scene]:
    for name in SETTINGS:
        if getattr(scene, name) != getattr(PLAIN, name):
            yield replace(scene, **{name: getattr(PLAIN, name)})


def _simpler_acts(scene: Scene) -> Iterator[Scene]:
    for n, schedule in enumerate(scene.schedules):
        for a, act in enumerate(schedule.acts):
            for simpler in _simpler(act):
                yield _with(
                    scene, n, replace(schedule, acts=(*schedule.acts[:a], simpler, *schedule.acts[a + 1 :]))
                )


def _with(scene: Scene, n: int, schedule: Schedule) -> Scene:
    return replace(scene, schedules=(*scene.schedules[:n], schedule, *scene.schedules[n + 1 :]))


def _simpler(act: Act) -> Iterator[Act]:
    if act.late:
        yield replace(act, late=0)
    if act.other:
        yield replace(act, other=0)
    if act.moment != Moment("", 0):
        yield replace(act, moment=Moment("", 0))
    if act.moment.steps and act.moment.label:
        yield replace(act, moment=Moment(act.moment.label, 0))


def _without_turn(scene: Scene, n: int) -> Scene:
    """The acts of the turn that goes happen before the following one, or after the last."""
    turns = scene.turns[:n] + scene.turns[n + 1 :]

    def moved(act: Act) -> Act:
        if act.turn < n:
            return act
        at = Moment("", 0) if act.turn == n else act.moment
        return replace(act, turn=min(act.turn if act.turn == n else act.turn - 1, len(turns) - 1), moment=at)

    return replace(
        scene,
        turns=turns,
        schedules=tuple(replace(s, acts=tuple(map(moved, s.acts))) for s in scene.schedules),
    )


def _plainer(turn: Turn) -> Iterator[Turn]:
    plain = Turn(crm=turn.crm)
    for name in Turn.__dataclass_fields__:
        if getattr(turn, name) != getattr(plain, name):
            yield replace(turn, **{name: getattr(plain, name)})
