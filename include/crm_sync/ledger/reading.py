"""What a read brings is stored here, a page a transaction: images of links, strays, and the fate of unanswered writes.

Order comes from request numbers (``crm_sync.request_seq``), never from a clock: one before the request leaves, one
when its reply is stored (algorithm.md 1.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.decide.observe import Closed, is_newer, observe, resolve
from crm_sync.ledger import erasure, existence, former, intents, links, parking
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import digest_of
from crm_sync.ledger.strays import store_strays
from crm_sync.ledger.trail import Line, note, outcomes
from crm_sync.model import Image, Intent, Link

__all__ = ["mark_absent", "move_cursor", "next_number", "position", "store_page"]

LOST = (
    "restore it or the integration user's access to it, or delete ours; it is taken up again when it shows up"
)


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


def position(tx: Transaction, connection: str, object: str) -> datetime | None:
    """How far theirs has been read; None before the first read."""
    at: datetime | None = tx.one(
        "select position from crm_sync.cursor where connection = %s and object = %s", (connection, object)
    )
    return at


def move_cursor(
    tx: Transaction, connection: str, object: str, position: datetime, ahead: timedelta, lag: timedelta
) -> timedelta:
    """Everything up to ``position`` has been read; a cursor never moves back, unless their clock did.

    ``ahead``: how far their clock is ahead of ours.  Where it was set back by more than ``lag`` since the cursor moved, the
    cursor moves back as far: edits since then have stamps that lie before it.  Returns how far it moved for that.
    """
    rows = tx.rows(
        "select ahead - %s from crm_sync.cursor where connection = %s and object = %s and ahead - %s > %s for update",
        (ahead, connection, object, ahead, lag),
    )
    back: timedelta = rows[0][0] if rows else timedelta(0)
    tx.run(
        """insert into crm_sync.cursor as c (connection, object, position, ahead)
          values (%(connection)s, %(object)s, %(position)s, %(ahead)s)
        on conflict (connection, object) do update set ahead = excluded.ahead, moved_at = clock_timestamp(),
          position = case when %(back)s > interval '0' then least(c.position - %(back)s, excluded.position)
            else greatest(c.position, excluded.position) end""",
        {"connection": connection, "object": object, "position": position, "ahead": ahead, "back": back},
    )
    return back


def mark_absent(
    tx: Transaction, connection: str, run_id: int, mapping: ObjectMapping, their_ids: Iterable[str],
    our_ids: Iterable[str], read_began: datetime,
) -> None:  # fmt: skip
    """Records that were asked for and did not come: purged or out of sight, or a create that never happened.

    Absence proves no delete (algorithm.md 6.1.4): the link is lost, nothing is archived.
    """
    lost = tx.rows(
        "update crm_sync.link set state = 'lost', reread = false, dirty = false "
        "where connection = %(c)s and their_object = %(t)s and state not in ('lost', 'merged', 'converted') "
        "and link_id = any(array(select link_id from crm_sync.link where connection = %(c)s and their_object = %(t)s "
        "and their_id = any(%(ids)s) union all select link_id from crm_sync.link where connection = %(c)s "
        "and object = %(o)s and merged_into = any(%(ids)s) and merged_into is not null and state in ('live', 'gone'))) "
        "returning our_id::text, their_id",
        {"c": connection, "o": mapping.object, "t": mapping.theirs, "ids": list(their_ids)},
    )
    detail = "their record can't be read any more: purged, or the integration user lost access; restore it or its access"
    note(tx, run_id, connection, mapping.object, [
        Line("lost", "noted", our_id=our_id, their_id=their_id, side="theirs", detail=detail) for our_id, their_id in lost
    ])  # fmt: skip
    parking.park(tx, run_id, connection, [
        parking.Refusal(mapping.object, "theirs", "lost", "their record can't be read any more", LOST, our_id=our_id, their_id=their_id)
        for our_id, their_id in lost
    ])  # fmt: skip
    tx.run(
        "delete from crm_sync.stray where connection = %s and their_object = %s and their_id = any(%s) and reread",
        (connection, mapping.theirs, list(their_ids)),
    )
    waiting = tx.rows(
        """select link_id from crm_sync.link where link_id = any(array(
          select link_id from crm_sync.link where connection = %(c)s and object = %(o)s and their_id is null
            and our_id = any(%(ours)s::uuid[])
          union all
          select link_id from crm_sync.link where connection = %(c)s and their_object = %(t)s and their_id = any(%(theirs)s)))
        order by link_id for update""",
        {
            "c": connection,
            "o": mapping.object,
            "t": mapping.theirs,
            "ours": list(our_ids),
            "theirs": list(their_ids),
        },
    )
    open_intents = intents.open_of(tx, [row[0] for row in waiting])
    expired = [
        Closed(i, (), expired=True)
        for found in open_intents.values()
        for i in found
        if i.expires_at < read_began
    ]
    _close(tx, run_id, connection, mapping.object, expired, {})


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
    in_doubt = intents.open_of(tx, list(differing))
    stored: list[tuple[Link, bool]] = []
    closed: list[Closed] = []
    owners: dict[int, Link] = {}
    moved: list[tuple[int, str]] = []
    died: list[int] = []
    changed: list[Link] = []
    found: list[str] = []
    loaded = links.load(tx, list(differing))
    spelt = intents.columns_of(tx, [link.spelling_of for link in loaded if link.spelling_of])
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
            found.append(image.id)
        if (after.alive, after.merged_into, after.converted_to) != (
            link.alive,
            link.merged_into,
            link.converted_to,
        ):
            changed.append(after)
        if link.their_alive and not after.their_alive:
            died.append(link.link_id)
        # A write found landed moves the base, so that what ours holds by now may have to travel once more.
        stale = bool(resolved.closed) or after.state != link.state
        stored.append((after, stale or _differs_from_base(mapping, after)))
        closed.extend(resolved.closed)
        owners[link.link_id] = after
        moved += [(link.link_id, c) for c, v in after.seen.items() if c in link.seen and link.seen[c] != v]
    links.store(tx, mapping, stored, keep_dirty=True)
    existence.store(tx, changed)
    if found:
        parking.lift_linked(tx, connection, mapping.object, [], found)
    # What was refused beside the old value of theirs may be accepted beside the new one (algorithm.md 1.1).
    parking.lift_changed(tx, [(link_id, "theirs", column) for link_id, column in moved])
    parking.lift_unnamed(tx, sorted({link_id for link_id, _ in moved}))
    parking.lift_busy(tx, died)
    _close(tx, run_id, connection, mapping.object, closed, owners)


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


def _close(
    tx: Transaction, run_id: int, connection: str, object: str, closed: Sequence[Closed], owners: dict[int, Link]
) -> None:  # fmt: skip
    """Each doubt ends with a line of its own; a reply that was lost also names the window in which an edit may be.

    Also while the lease still runs: whether its holder waits for the reply or is dead, nobody knows.
    """
    if not closed:
        return
    intents.settle(tx, closed)
    outcomes(tx, run_id, [
        (c.intent.change_id, "acknowledged", c.landed, None, "its answer was lost; a later read found it written")
        for c in closed if c.landed
    ] + [
        (c.intent.change_id, "superseded", tuple(f for f in c.intent.values if f not in c.intent.settled), None,
         "it never arrived; what is still wanted is planned again")
        for c in closed if c.expired
    ])  # fmt: skip
    note(tx, run_id, connection, object, [
        Line("reply_lost", "unseen_window", our_id=owners[c.intent.link_id].our_id,
             their_id=owners[c.intent.link_id].their_id, side="theirs", field=column, before=..., detail=_window(c.intent),
             after=c.intent.values[column])
        for c in closed if not c.intent.creates
        for column in c.landed if column != KEY
    ])  # fmt: skip


def _window(intent: Intent) -> str:
    since = f"{intent.read_at:%Y-%m-%d %H:%M:%S}" if intent.read_at else "the last read"
    return (
        f"reply lost: a value typed between {since} (last read) and {intent.sent_at:%Y-%m-%d %H:%M:%S} UTC (write) may "
        "have been overwritten unseen; field history tracking, if on, shows it"
    )
