"""Which rules of the engine the soak sees: what it shows without each of them, and which ones it is blind to.

Each rule has a named schedule that fails without it all the same (``engine/mutants.py``, all of them in
``engine/test_mutants.py``): a rule needs two things in one instant, and a random schedule seldom has both.  Measured on
300 schedules of seed 1; rules in neither list were not measured, those of approvals, bulk and query jobs, undo, pacing and
scope for want of a scene that has any.  ``python -m tests.crm_sync.soak.blind RULE…`` measures.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from stack import postgres
from tests.crm_sync.engine.mutants import MUTANTS, without
from tests.crm_sync.soak.runner import soak

__all__ = ["BLIND", "SHOWN"]

SCHEDULES, SEED = 300, 1
SHOWN = {
    "our side is written only if the merge still says so": "wrong silence",
    "writing our key finishes nothing else": "wrong silence",
    "values are compared, never stamps": "wrong silence",
    "what was seen is the work list": "wrong silence",
    "a base moves per field": "wrong silence",
    "the first read after a create shows the spelling": "lost update",
    "the base moves with the outcome": "noise",
    "an intent is stored before it is sent": "lost update",
    "an intent is stored before a record is made there": "lost update",
    "a lost reply is resolved by the marker": "lost update",
    "a lost reply names its window": "lost update",
}
"""A rule, and the kind of problem that shows first without it."""
BLIND = (
    "their side is claimed only if the merge still says so",
    "a record of theirs is made only while nobody of theirs matches",
    "a record of theirs is made only while ours lives",
    "a record of ours is made only while nobody of ours matches",
    "a record of ours is made only of what was planned",
    "a record of ours is made in its chunk only of what was planned",
    "a record of ours is made in its chunk only while nobody matches",
    "a stranger that was read again meanwhile is looked at anew",
    "what our database holds its own way is looked at",
    "an edit before our key is written is seen",
    "writing our key leaves an edit of ours in the outbox",
    "one run at a time writes to a link",
    "the lease is checked just before sending",
    "a call is not sent when its answer could come after the lease",
    "reads are ordered by request numbers: a page",
    "reads are ordered by request numbers: a reply",
    "strangers obey the order of reads",
    "a row without news orders reads all the same",
    "nothing is decided on an image in doubt",
    "the base has two spellings",
    "only our own spelling is read back",
    "so does the first look of a write that follows a create",
    "a contact that our database refused is parked",
    "a link remembers the name too",
    "the values before our write are looked at",
    "the policy decides about an edit that slipped in",
    "a write that landed makes its link work again",
    "an intent stays open until it can no longer commit",
    "an intent closes once",
    "it is named also while the lease still runs",
    "an edit that came meanwhile keeps its outbox row",
    "a record that is there again is not done with",
)
"""Without these nothing shows in so few schedules; the schedule that their mutant names fails."""


def main(rules: list[str]) -> None:
    """Print what the schedules find without each of these rules."""
    with tempfile.TemporaryDirectory() as folder, postgres.temporary(Path(folder) / "data") as server:
        for number, mutant in enumerate(m for m in MUTANTS if m.rule in rules):
            place = Path(folder) / str(number)
            stale = without(mutant, place)
            found = stale or soak(server.database("postgres"), SCHEDULES, SEED, 1, place)
            print(f"{mutant.rule} [{mutant.schedule}]\n{found}")


if __name__ == "__main__":
    main(sys.argv[1:])
