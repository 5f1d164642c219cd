"""Random fault schedules as values: who does what at which point of which run, and what goes wrong there.

Pure, and fixed by a seed.  A *schedule* is one cast of people with their own sequence of edits and row faults, and is
judged alone.  A *scene* is the connection's settings and a course of runs with their faults; it carries several
schedules at once, because runs are what costs time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from crm_sync.model import ConflictPolicy, Direction, Object, RunKind, Value

__all__ = [
    "COLUMNS",
    "PER_SCENE",
    "REFUSED",
    "Act",
    "Character",
    "Fault",
    "Moment",
    "Scene",
    "Schedule",
    "Turn",
    "scene",
]

PER_SCENE = 10
COLUMNS: dict[Object, tuple[str, ...]] = {
    "account": ("phone", "industry", "total_score"),
    "contact": ("title", "phone", "department", "email", "do_not_call", "total_score", "account_id"),
    "lead": ("title", "phone", "status", "email", "total_score"),
}
"""What people type into, and what is looked at in the end."""
REFUSED = ("title", "phone")
"""Where the CRM refuses a value that begins with "bad"."""
STAGES = ("pull", "plan", "push_ours", "push_theirs")

Fault = Literal[
    "", "kill", "kill before commit", "kill, served late", "lease runs out", "machine sleeps", "overtaken",
    "not sent", "reply lost", "connection lost", "connection lost, served late", "page missing", "server down",
]  # fmt: skip
Verb = Literal[
    "edits", "types the same", "creates", "deletes", "takes back", "merges", "converts", "moves", "locks",
]  # fmt: skip
Side = Literal["ours", "theirs", "both"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a run: ``steps`` after it first stood at ``label``, or after its start.  Later than its end: its end."""

    label: str
    steps: int


@dataclass(frozen=True, slots=True)
class Character:
    """Who a schedule is about.  ``known``: both sides know it before anything goes wrong."""

    object: Object
    known: bool


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does during a run; ``crm`` counts connections, ``late``: seconds by which it shows up late."""

    turn: int
    moment: Moment
    verb: Verb
    side: Side
    who: int
    column: str = ""
    value: Value = None
    other: int = 0
    late: int = 0
    crm: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One run, or a stage of an earlier one once more (``again``: how many runs back)."""

    kind: RunKind = "sync"
    fault: Fault = ""
    moment: Moment = Moment("", 0)
    inner: int = 0
    call: int = 0
    again: int = 0
    stage: str = ""
    dry_run: bool = False
    limit: int | None = None
    direction: Direction | None = None
    gap: int = 1
    crm: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One cast and what it does."""

    cast: tuple[Character, ...]
    acts: tuple[Act, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """One connection (or two), a course of runs, and the schedules that they carry; ``calm``: runs before it begins."""

    name: str
    policy: ConflictPolicy = "crm_wins"
    direction: Direction = "bidirectional"
    their_delete: str = "archive"
    our_archive: str = "keep"
    creates: bool = True
    objects: tuple[Object, ...] = ("contact",)
    crms: int = 1
    page_size: int = 2000
    batch_size: int = 500
    skew: int = 0
    calm: int = 1
    jitter: bool = False
    spells: bool = False
    account_merges: bool = False
    turns: tuple[Turn, ...] = ()
    schedules: tuple[Schedule, ...] = ()


# ------------------------------------------------------------------------------------------------- the dice

POLICIES: tuple[ConflictPolicy, ...] = ("crm_wins", "gptweb_wins", "most_recent")
OBJECTS: tuple[tuple[Object, ...], ...] = (
    ("contact",), ("contact",), ("contact",), ("account", "contact"), ("lead", "contact"), ("account", "contact", "lead"),
)  # fmt: skip
LABELS = ("answered", "pull", "plan", "plan", "push_ours", "push_ours", "sent", "written", "push_theirs")
FAULTS: tuple[Fault, ...] = (
    "", "kill", "kill", "kill before commit", "kill, served late", "lease runs out", "machine sleeps", "overtaken",
    "overtaken", "overtaken", "not sent", "reply lost", "reply lost", "connection lost", "connection lost, served late",
    "page missing", "server down",
)  # fmt: skip


def scene(seed: int, number: int, size: int = PER_SCENE) -> Scene:
    """The scene of this number under this seed."""
    dice = Random(f"{seed}/{number}")
    crms = 2 if dice.random() < 0.08 else 1
    objects = ("contact",) if crms == 2 else dice.choice(OBJECTS)
    turns = _turns(dice, crms)
    made = Scene(
        f"{seed}/{number}",
        policy=dice.choice(POLICIES),
        direction=_direction(dice, number, crms),
        their_delete=dice.choice(("archive", "archive", "keep")),
        our_archive=dice.choice(("keep", "keep", "delete")),
        creates=crms == 2 or dice.random() < 0.95,
        objects=objects,
        crms=crms,
        page_size=dice.choice((2, 7, 2000, 2000)),
        batch_size=dice.choice((2, 5, 500, 500)),
        skew=dice.choice((0, 0, 0, 3, -3)),
        calm=dice.choice((1, 1, 2)),
        jitter=dice.random() < 0.25,
        spells=dice.random() < 0.25,
        account_merges=number % 5 == 4,
        turns=turns,
    )
    return replace(made, schedules=tuple(_schedule(dice, made, s) for s in range(size)))


def _direction(dice: Random, number: int, crms: int) -> Direction:
    """A seventh of the scenes goes one way by the dice, and every twentieth by its number, in turn either way."""
    if crms == 2:
        return "bidirectional"
    thrown: Direction = "bidirectional" if dice.random() < 0.85 else dice.choice(("push", "pull"))
    return thrown if number % 20 != 11 else ("push", "pull")[number // 20 % 2]


def _moment(dice: Random) -> Moment:
    if dice.random() < 0.6:
        return Moment(dice.choice(LABELS), dice.choice((0, 0, 0, 1, 2, 3)))
    return Moment("", dice.randrange(90))


def _turns(dice: Random, crms: int) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    while len(turns) < dice.choice((2, 3, 3, 4)):
        turn = _turn(dice, crms)
        turns.append(turn)
        turns += [_plain(dice, turn.crm) for _ in range(turn.inner)]
        if turns[-1].fault and dice.random() < 0.3:
            turns.append(
                Turn(
                    again=1,
                    stage=dice.choice(STAGES),
                    moment=_moment(dice),
                    gap=dice.choice((0, 1, 9)),
                    crm=turn.crm,
                )
            )
    return tuple(turns)


def _turn(dice: Random, crms: int) -> Turn:
    fault = dice.choice(FAULTS)
    return Turn(
        "backfill" if dice.random() < 0.2 else "sync",
        fault,
        _moment(dice),
        inner=dice.choice((1, 1, 2)) if fault == "overtaken" else 0,
        call=dice.choice((0, 0, 1, 2)),
        dry_run=dice.random() < 0.05,
        limit=dice.choice((1, 3)) if dice.random() < 0.08 else None,
        direction=dice.choice(("push", "pull")) if dice.random() < 0.08 else None,
        gap=dice.choice((0, 1, 1, 3, 9, 20)),
        crm=dice.randrange(crms),
    )


def _plain(dice: Random, crm: int) -> Turn:
    """A run that overtakes another: nothing goes wrong in it."""
    return Turn("backfill" if dice.random() < 0.4 else "sync", gap=dice.choice((0, 1, 9, 12)), crm=crm)


def _schedule(dice: Random, scene: Scene, number: int) -> Schedule:
    cast = [
        Character(dice.choice(scene.objects), dice.random() < 0.7) for _ in range(dice.choice((1, 1, 2, 3)))
    ]
    if "account" in scene.objects:
        cast = [Character("account", dice.random() < 0.7), *cast, Character("contact", dice.random() < 0.7)]
    acts = [_act(dice, scene, tuple(cast), f"{number}.{n}") for n in range(dice.choice((2, 3, 4, 5, 6, 7)))]
    # Whom nobody knows yet has to come from somewhere.
    acts += [
        Act(dice.randrange(len(scene.turns)), _moment(dice), "creates", dice.choice(("ours", "theirs", "both")), who,
            value=f"v{number}.{who}c", late=_lateness(dice), crm=dice.randrange(scene.crms))
        for who, character in enumerate(cast) if not character.known
    ]  # fmt: skip
    return Schedule(tuple(cast), tuple(sorted(acts, key=lambda act: act.turn)))


def _lateness(dice: Random) -> int:
    return dice.choice((0, 0, 0, 0, 2, 4))


def _act(dice: Random, scene: Scene, cast: tuple[Character, ...], fresh: str) -> Act:
    who = dice.randrange(len(cast))
    object = cast[who].object
    verb = dice.choice(_verbs(scene, object))
    side: Side = "theirs" if verb in ("merges", "converts", "locks") else dice.choice(("ours", "theirs"))
    column, value = _typed(dice, object, side, verb, fresh, known=cast[who].known)
    return Act(
        dice.randrange(len(scene.turns)), _moment(dice), verb, "both" if verb == "types the same" else side, who, column,
        value, other=dice.randrange(4), late=_lateness(dice) if side == "theirs" else 0, crm=dice.randrange(scene.crms),
    )  # fmt: skip


def _verbs(scene: Scene, object: Object) -> tuple[Verb, ...]:
    verbs: list[Verb] = ["edits"] * 12
    verbs += ["types the same", "types the same", "locks", "locks"]
    if scene.crms == 1:
        verbs += ["deletes", "deletes", "takes back"]
    if scene.crms == 1 and (object != "account" or scene.account_merges):
        verbs += ["merges"]
    if object == "contact" and "account" in scene.objects:
        verbs += ["moves"] * 5
    if object == "lead" and {"contact", "lead"} <= set(scene.objects):
        verbs += ["converts"]
    return tuple(verbs)


def _typed(
    dice: Random, object: Object, side: Side, verb: Verb, fresh: str, *, known: bool
) -> tuple[str, Value]:
    """A column and what is typed there: mostly a fresh value, at times none, one that is refused, the first one."""
    free = [c for c in COLUMNS[object] if c not in ("email", "do_not_call", "total_score", "account_id")]
    if verb == "types the same":
        return dice.choice(free), f"v{fresh}"
    column = dice.choice([free[0], *free, *COLUMNS[object]])
    if column == "account_id" or (column == "email" and not known):
        column = free[
            0
        ]  # an account is no text; and a stranger whose address is another one is somebody else
    if column == "total_score":
        return column, float(int(fresh.split(".", maxsplit=1)[0]) * 100 + int(fresh.split(".")[1]) + 10)
    if column == "do_not_call":
        return column, dice.random() < 0.6
    if column == "email":
        return column, f"v{fresh}@example.com"
    how = dice.choice(
        ("fresh",) * 7 + ("clear", "first") + (("refused",) if column in REFUSED and side == "ours" else ())
    )
    return column, {"clear": None, "first": "n0", "refused": f"bad{fresh}"}.get(how, f"v{fresh}")
