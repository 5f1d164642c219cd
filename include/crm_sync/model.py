"""The words of the sync: every other module speaks in these values.

ours / theirs: GPTWeb's value and the CRM's value.  base: the value last agreed on, in both spellings.
seen: the newest value of theirs that anyone read.  link: our id <-> their id.  change: one field-level write that
a plan decided.  intent: a change stored before it is sent to the CRM; in doubt while it has no answer.
A row maps our column names to canonical values (``decide.values``): an absent key was not in the reply, ``None`` is blank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

Object = Literal["account", "contact", "lead"]
OBJECTS: tuple[Object, ...] = ("account", "contact", "lead")
"""In the order in which a run pushes them: an account goes before its contacts."""

Side = Literal["ours", "theirs"]
Value = str | int | float | bool | None
Row = Mapping[str, Value]

Direction = Literal["bidirectional", "push", "pull"]
ConflictPolicy = Literal["crm_wins", "gptweb_wins", "most_recent"]
Heal = Literal["none", "safe", "all"]
"""What a reconciliation heals: nothing; what neither archives, deletes nor changes masses; everything."""
RunKind = Literal["sync", "backfill", "reconcile", "undo", "agent", "provision"]
LinkState = Literal["creating", "live", "gone", "merged", "converted", "lost"]
Archiver = Literal["person", "engine"]
TheirDelete = Literal["archive", "keep"]
"""What becomes of ours when a person deletes theirs."""
OurArchive = Literal["keep", "delete"]
"""What becomes of theirs when a person deletes ours; ``delete`` puts it into the CRM's recycle bin."""
Outcome = Literal[
    "acknowledged",
    "parked",
    "superseded",
    "in_doubt",
    "overruled",
    "restored",
    "agreed",
    "unseen_window",
    "noted",
]
FailureKind = Literal["permanent", "transient", "gone"]
"""What to do about a refused row: park the value; try again; ask whether the record still exists."""


@dataclass(frozen=True, slots=True)
class Image:
    """One record of a store as one read showed it.

    ``stamp`` is the store's own time of last change (Salesforce: SystemModstamp, whole seconds, UTC).
    ``our_id`` is our key as their record carries it, ``marker`` the id of the last intent written to it.
    ``merged_into``: the record that a deleted one was merged into.  ``converted_to``: the contact that a lead became.
    """

    id: str
    values: Row
    stamp: datetime
    our_id: str | None = None
    marker: str | None = None
    modified_by_us: bool = False
    deleted: bool = False
    merged_into: str | None = None
    converted_to: str | None = None

    @property
    def fate(self) -> str | bool:
        """What became of the record: False while it simply lives; part of what a read compares."""
        return self.converted_to or self.merged_into or self.deleted


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How far the other side's clock is ahead of the ledger's, and how sure that is."""

    offset: timedelta
    error: timedelta


@dataclass(frozen=True, slots=True)
class ApiUsage:
    """The org's calls of 24 hours as it counts them: late and not monotonic, a coarse guard (facts/salesforce.md 3.2)."""

    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class ChangedSince:
    """Read the records of ``object`` whose stamp lies in [since, until); ``None`` leaves that end open.

    ``job``: the query job of an earlier try, which reads just this; blank: none yet.  Who says either keeps the id that a
    page names, so the read may be left (JobUnderWay) while its job works; None: it is waited for to its end.
    """

    object: Object
    since: datetime | None = None
    until: datetime | None = None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class ById:
    """Read these records of theirs, deleted ones included (only so can a delete be told from no access)."""

    object: Object
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByOurKey:
    """Read the records of theirs that carry one of our ids, deleted ones included."""

    object: Object
    our_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByMatchKey:
    """Read the living records of theirs with one of these match keys (e-mails; accounts: domains and names)."""

    object: Object
    keys: tuple[str, ...]


Read = ChangedSince | ById | ByOurKey | ByMatchKey


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a read; ``last`` closes that read, and only then is it known to be complete.

    ``read_start`` is the server's own time when the read began, ``clock`` compares it with the local clock.  ``job``: the
    query job that brings what follows, as soon as it is made.
    """

    read: Read
    images: tuple[Image, ...]
    last: bool
    read_start: datetime
    clock: ClockReading
    job: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """One record to be written: ``id`` None creates it by upsert on our key, otherwise it is updated by its Id.

    ``values`` holds only the fields to be written, by our column names; ``None`` clears.  A reference already holds
    the id of the store that is written to.  ``stamp_key`` also writes our key into the record.  ``times``: when each value
    was edited at its origin (our side keeps them).  ``deletes`` puts the record into the recycle bin instead.
    """

    our_id: str
    id: str | None
    marker: str
    values: Row
    stamp_key: bool = False
    times: Mapping[str, datetime] = field(default_factory=dict)
    deletes: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a store refused a row: its code and words, and the columns it names (none = the whole record)."""

    kind: FailureKind
    code: str
    message: str
    fields: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What a store answered to one ``Write``, in the order of the batch.

    ``before`` and ``after`` are the record in the same call just before and just after (updates only; ``after`` only of
    a write that has values; None where the store showed nothing).  ``failures`` is empty exactly when the row was written.
    ``done_by``: of a bulk job's row, which shows no record, the CRM's time before which it was written.
    """

    our_id: str
    id: str | None
    created: bool = False
    before: Image | None = None
    after: Image | None = None
    failures: tuple[Failure, ...] = field(default=())
    done_by: datetime | None = None


EVERY_COLUMN = "*"
"""Among a record's column times: that of all columns which have none of their own."""


@dataclass(frozen=True, slots=True)
class OurRecord:
    """One record of ours.  ``times``: the last change per column.

    A column without one last changed with all others (``EVERY_COLUMN``), or else at ``created_at``.
    ``archived_by``: who deleted it, as long as it is deleted; only what the engine archived comes back by itself.
    """

    id: str
    version: int
    values: Row
    times: Mapping[str, datetime]
    created_at: datetime
    deleted: bool = False
    archived_by: Archiver | None = None

    def time_of(self, column: str) -> datetime:
        """When a column last changed, in our clock; for a value from the CRM: when it was edited there."""
        return self.times.get(column) or self.times.get(EVERY_COLUMN, self.created_at)


@dataclass(frozen=True, slots=True)
class Link:
    """Our id <-> their id with everything a decision needs: the two-sided base, what was seen, and what is parked.

    ``seen_lo`` and ``seen_hi`` bound, per field that moved since the base, when theirs must have changed (their clock).
    ``parked``: (side, column) -> the value that was refused there.  ``spelling_of``: the intent whose values have not
    yet been read back.  ``reread``: two reads could not be ordered, so nothing is decided until the next one.
    ``alive``: who was there when both sides last agreed on it, ours and theirs (algorithm.md 6.1).  ``merged_into`` and
    ``converted_to`` are what their record said when it was last seen.  ``withdrawn``: a person undid that theirs was made.
    """

    link_id: int
    object: Object
    our_id: str
    their_id: str | None
    state: LinkState = "live"
    keyed: bool = False
    their_alive: bool = True
    reread: bool = False
    claim_run: int | None = None
    claim_until: datetime | None = None
    seen_stamp: datetime | None = None
    seen_recv: int = 0
    spelling_of: str | None = None
    base_ours: Row = field(default_factory=dict)
    base_theirs: Row = field(default_factory=dict)
    seen: Row = field(default_factory=dict)
    seen_lo: Mapping[str, datetime] = field(default_factory=dict)
    seen_hi: Mapping[str, datetime] = field(default_factory=dict)
    parked: Mapping[tuple[Side, str], Value] = field(default_factory=dict)
    alive: tuple[bool, bool] = (True, True)
    merged_into: str | None = None
    converted_to: str | None = None
    withdrawn: bool = False

    @property
    def fate(self) -> str | bool:
        """What became of their record, as ``Image.fate``."""
        return self.converted_to or self.merged_into or not self.their_alive

    def claimed_by_another(self, run_id: int | None, now: datetime) -> bool:
        """Whether a live run other than this one is writing to the link."""
        return (
            self.claim_run not in (None, run_id) and self.claim_until is not None and self.claim_until > now
        )


class InJob(NamedTuple):
    """What an intent that goes by a bulk job keeps of its claim: what T2 compares, and the parent's id that went out.

    ``waits``: our record names a parent that did not go along.
    """

    job_id: int
    our_version: int
    seen_recv: int
    parent: Value
    waits: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """What was about to be sent to the CRM; ``settled`` are the fields whose fate is known.

    ``job``: None for what goes by a call; not loaded with the intents of a link.
    """

    id: str
    change_id: int
    run_id: int
    link_id: int
    creates: bool
    values: Row
    times: Mapping[str, datetime]
    expected: Row
    sent_at: datetime
    read_at: datetime | None
    claim_until: datetime
    expires_at: datetime
    settled: Sequence[str] = ()
    job: InJob | None = None
