"""What a read brings is stored here, a page a transaction: images of links, strays, and the fate of unanswered writes.

Order comes from request numbers (``crm_sync.request_seq``), never from a clock: one before the request leaves, one
when its reply is stored (algorithm.md 1.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.observe import Closed, is_newer, observe, resolve
from crm_sync.ledger import doubts, erasure, existence, former, intents, links, parking
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import digest_of
from crm_sync.ledger.strays import store_strays
from crm_sync.model import Image, Link, Object

__all__ = ["next_number", "store_page"]


@dataclass(frozen=True, slots=True)
class _Observed:
    """A link before and after an image of its record, and the doubts that the image ended."""

    image: Image
    before: Link
    after: Link
    closed: Sequence[Closed]

    @property
    def existence_changed(self) -> bool:
        """Whether anything is new about who is there and what their record became."""
        was, now = self.before, self.after
        return (was.alive, was.merged_into, was.converted_to) != (
            now.alive,
            now.merged_into,
            now.converted_to,
        )

    @property
    def moved(self) -> list[str]:
        """The fields that show another value than before."""
        was = self.before.seen
        return [column for column, value in self.after.seen.items() if column in was and was[column] != value]

    def is_work(self, mapping: ObjectMapping) -> bool:
        """Whether the link has to be planned.

        A write found landed moves the base, so that what ours holds by now may have to travel once more.
        """
        stale = bool(self.closed) or self.after.state != self.before.state
        return stale or _differs_from_base(mapping, self.after)


def next_number(tx: Transaction) -> int:
    """The next request number."""
    return int(tx.one("select nextval('crm_sync.request_seq')"))


def store_page(
    tx: Transaction, connection: str, run_id: int, mapping: ObjectMapping, images: Sequence[Image], sent_no: int,
    read_began: datetime,
) -> int:  # fmt: skip
    """Store one page; returns how many records differ from what was known."""
    if not images:
        return 0
    recv_no = next_number(tx)
    by_id = {image.id: image for image in images}
    known = {row[1]: row for row in links.load_by_their_ids(tx, connection, mapping.theirs, list(by_id))}
    unchanged: list[tuple[int, datetime]] = []
    differing: dict[int, Image] = {}
    for their_id, (link_id, _, digest, stamp, recv, _, spelling, in_doubt) in known.items():
        image = by_id[their_id]
        if spelling or in_doubt or digest != digest_of(mapping, image.values, image.our_id, fate=image.fate):
            differing[link_id] = image
        elif is_newer(sent_no, image.stamp, recv, stamp):
            unchanged.append((link_id, image.stamp))
    _touch(tx, unchanged, recv_no)
    strangers = erasure.kept_out(
        tx, connection, mapping, [image for their_id, image in by_id.items() if their_id not in known]
    )
    back: dict[int, Image] = {}
    if strangers:
        back, known_before = former.recognise(tx, run_id, connection, mapping, strangers, sent_no)
        strangers = [image for image in strangers if image.id not in known_before]
    taken = _take_over(tx, connection, mapping, strangers)
    differing.update(taken | back)
    _observe(tx, run_id, connection, mapping, differing, sent_no, recv_no, read_began, set(back))
    new = {image.id for image in taken.values()}
    store_strays(
        tx, connection, mapping, [image for image in strangers if image.id not in new], sent_no, recv_no
    )
    return len(differing) + len(strangers) - len(taken)


def _touch(tx: Transaction, unchanged: list[tuple[int, datetime]], recv_no: int) -> None:
    """Even an unchanged row was read: a slower, older read of it must not pass for newer (schedule 42)."""
    if unchanged:
        tx.run(
            """update crm_sync.link l set seen_recv = %s, seen_stamp = u.stamp, reread = false
            from unnest(%s::bigint[], %s::timestamptz[]) as u (link_id, stamp) where l.link_id = u.link_id""",
            (recv_no, [link_id for link_id, _ in unchanged], [stamp for _, stamp in unchanged]),
        )


def _take_over(
    tx: Transaction, connection: str, mapping: ObjectMapping, strangers: Sequence[Image]
) -> dict[int, Image]:
    """A record that carries our key belongs to the link that was being created: this is the answer that got lost."""
    by_life = sorted(
        strangers, key=lambda image: not image.deleted
    )  # of two with our key the living one is it
    keyed = {image.our_id: image for image in by_life if image.our_id is not None}
    if not keyed:
        return {}
    rows = tx.rows(
        "select link_id, our_id::text from crm_sync.link where connection = %s and object = %s and their_id is null "
        "and our_id::text = any(%s) order by link_id for update",
        (connection, mapping.object, list(keyed)),
    )
    taken = {link_id: keyed[our_id] for link_id, our_id in rows}
    for link_id, image in taken.items():
        tx.run(
            "update crm_sync.link set their_id = %s, state = 'live', dirty = true, seen_stamp = null, seen_recv = 0 "
            "where link_id = %s",
            (image.id, link_id),
        )
    tx.run(
        "delete from crm_sync.stray where connection = %s and their_object = %s and their_id = any(%s)",
        (connection, mapping.theirs, [image.id for image in taken.values()]),
    )
    return taken


def _observe(
    tx: Transaction, run_id: int, connection: str, mapping: ObjectMapping, differing: dict[int, Image], sent_no: int,
    recv_no: int, read_began: datetime, came_back: set[int],
) -> None:  # fmt: skip
    if not differing:
        return
    loaded = links.load(tx, list(differing))
    in_doubt = intents.open_of(tx, list(differing))
    spelt = intents.columns_of(tx, [link.spelling_of for link in loaded if link.spelling_of])
    seen: list[_Observed] = []
    for link in loaded:
        image = differing[link.link_id]
        resolved = resolve(
            link, in_doubt.get(link.link_id, ()), image, read_began, came_back=link.link_id in came_back
        )
        after = observe(
            mapping, resolved.link, image, sent_no, recv_no, spelt=spelt.get(link.spelling_of or "", ())
        )
        if link.state == "lost":
            after = replace(after, state="live")
        seen.append(_Observed(image, link, after, resolved.closed))
    links.store(tx, mapping, [(s.after, s.is_work(mapping)) for s in seen], keep_dirty=True)
    existence.store(tx, [s.after for s in seen if s.existence_changed])
    _lift(tx, connection, mapping.object, seen)
    closed = [c for s in seen for c in s.closed]
    doubts.close(tx, run_id, connection, mapping.object, closed, {s.before.link_id: s.after for s in seen})


def _lift(tx: Transaction, connection: str, object: Object, seen: Sequence[_Observed]) -> None:
    """What was refused beside the old value of theirs may be accepted beside the new one (algorithm.md 1.1)."""
    if found := [s.image.id for s in seen if s.before.state == "lost"]:
        parking.lift_linked(tx, connection, object, [], found)
    moved = [(s.before.link_id, column) for s in seen for column in s.moved]
    parking.lift_changed(tx, [(link_id, "theirs", column) for link_id, column in moved])
    parking.lift_unnamed(tx, sorted({link_id for link_id, _ in moved}))
    parking.lift_busy(
        tx, [s.before.link_id for s in seen if s.before.their_alive and not s.after.their_alive]
    )


def _differs_from_base(mapping: ObjectMapping, link: Link) -> bool:
    """Whether planning could find anything: cheap, and wrong only on the side of planning once too often."""
    alive = link.state == "live"
    return (
        link.reread
        or not link.keyed
        or link.their_alive != alive
        or link.their_alive != link.alive[1]
        or any(c not in link.base_theirs or link.base_theirs[c] != v for c, v in link.seen.items())
    )
