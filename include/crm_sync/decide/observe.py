"""What a read of their record teaches: the new image of a link, which unanswered writes landed, what stays in doubt.

Pure (algorithm.md 1.3, 1.7).  Reads are ordered by request numbers, never by a clock; values are compared, never
stamps, because two edits in one second share a stamp.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crm_sync.decide.existence import EXISTS
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.decide.values import same
from crm_sync.model import Image, Intent, Link, Row, Value

__all__ = ["Closed", "Observation", "is_newer", "observe", "read_back", "resolve"]


@dataclass(frozen=True, slots=True)
class Closed:
    """An intent whose fate became known by a read: ``landed`` are the fields of it that were found written."""

    intent: Intent
    landed: tuple[str, ...]
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """The link after a read, and the intents that the read closed (wholly, or some of their fields)."""

    link: Link
    closed: tuple[Closed, ...] = ()


def is_newer(sent_no: int, stamp: datetime, seen_recv: int, seen_stamp: datetime | None) -> bool:
    """Whether a read is newer than the stored image: it left after that one had arrived, or its stamp is greater."""
    return sent_no > seen_recv or seen_stamp is None or stamp > seen_stamp


def observe(
    mapping: ObjectMapping, link: Link, image: Image, sent_no: int, recv_no: int, before: Image | None = None,
    spelt: Collection[str] = (),
) -> Link:  # fmt: skip
    """The link with ``image`` as what was seen, or marked ``reread`` when the two reads can't be ordered.

    ``before`` is the image of the same call just before our own write: a field that already had its value there
    takes that image's stamp, because our write bumped the record's stamp without changing the field.
    ``spelt``: the fields of the intent ``spelling_of``.
    """
    if not is_newer(sent_no, image.stamp, link.seen_recv, link.seen_stamp):
        differs = _differs(link.seen, image.values) or image.fate != link.fate
        return replace(link, reread=True) if differs else link
    seen, lo, hi = dict(link.seen), dict(link.seen_lo), dict(link.seen_hi)
    for column, value in image.values.items():
        if column in seen and seen[column] == value:
            continue
        earlier = before is not None and before.values.get(column) == value and column in before.values
        seen[column] = value
        hi[column] = before.stamp if earlier and before is not None else image.stamp
        if link.seen_stamp is not None:
            lo[column] = min(link.seen_stamp, image.stamp)
    return replace(
        read_back(link, image, spelt), seen=seen, seen_lo=lo, seen_hi=hi, seen_stamp=image.stamp, seen_recv=recv_no, reread=False,
        their_alive=not image.deleted, keyed=_is_keyed(link, image), spelling_of=None,
        merged_into=image.merged_into, converted_to=image.converted_to,
    )  # fmt: skip


def resolve(
    link: Link, intents: Sequence[Intent], image: Image, read_began: datetime, *, came_back: bool = False
) -> Observation:
    """Which unanswered writes to this link landed, and the base they leave: what was sent, before any decision.

    Proof is our marker on the record; for a create also that the record exists under our key; for want of both, a
    field that shows the value sent.  A record that ``came_back`` had our key before, so its key proves nothing; a delete
    that landed means that neither side was there (algorithm.md 6.1.5).  An intent expires once a read began after its last possible commit.
    """
    base_ours, base_theirs = dict(link.base_ours), dict(link.base_theirs)
    alive = link.alive
    closed = []
    for intent in intents:
        proven = image.marker == intent.id or (
            intent.creates and image.our_id == link.our_id and not image.deleted and not came_back
        )
        landed = []
        for column, value in intent.values.items():
            if column in intent.settled:
                continue
            shown = image.values.get(column)
            if column == KEY:
                shown = image.our_id
            elif column == EXISTS:
                shown = not image.deleted or image.merged_into is not None
            if not (proven or same(shown, value)):
                continue
            landed.append(column)
            if column == EXISTS:
                alive = (link.withdrawn, False)
            elif column != KEY:
                base_ours[column] = value
                base_theirs[column] = (
                    shown if _is_our_spelling(image, intent, shown, value, proven=proven) else value
                )
        done = {*intent.settled, *landed} >= set(intent.values)
        expired = not done and intent.expires_at < read_began
        if landed or expired:
            closed.append(Closed(replace(intent, settled=(*intent.settled, *landed)), tuple(landed), expired))
    based = replace(
        link,
        base_ours=base_ours,
        base_theirs=base_theirs,
        alive=alive,
        withdrawn=link.withdrawn and alive == link.alive,
    )
    return Observation(based, tuple(closed))


def _is_our_spelling(image: Image, intent: Intent, shown: Value, value: Value, *, proven: bool) -> bool:
    return same(shown, value) or (proven and image.marker == intent.id and image.modified_by_us)


def read_back(link: Link, image: Image, columns: Collection[str]) -> Link:
    """The first look after a create or a bulk job shows how the CRM spells what we sent, unless somebody edited it since."""
    if link.spelling_of is None or image.marker != link.spelling_of or not image.modified_by_us:
        return link
    spelt = {c: image.values[c] for c in columns if link.base_theirs.get(c) is not None and c in image.values}
    return replace(link, base_theirs={**link.base_theirs, **spelt}, seen={**link.seen, **spelt})


def _is_keyed(link: Link, image: Image) -> bool:
    return image.our_id is not None and image.our_id == link.our_id


def _differs(seen: Row, values: Mapping[str, Value]) -> bool:
    return any(column not in seen or seen[column] != value for column, value in values.items())
