"""What every Store must do: one suite, one small subclass per store.

A subclass supplies two fixtures: ``store``, and ``people``, who work in the same records by the store's own means.
Where a store can't do a thing, a class attribute says so.  Only contacts and accounts are used.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

import pytest

from crm_sync.model import (
    ById,
    ByMatchKey,
    ByOurKey,
    ChangedSince,
    Image,
    Object,
    Page,
    Read,
    Row,
    Value,
    Write,
    Written,
)
from crm_sync.ports import Store

__all__ = ["People", "StoreContract"]

AWKWARD_TEXTS = [
    pytest.param("Zoë 🦊👩‍👩‍👧 𝒳", id="emoji"),
    pytest.param("שלום عالم", id="right-to-left"),
    pytest.param('O\'Brien "The" Łuk', id="quotes"),
    pytest.param("first\nsecond\n\nfourth", id="newlines"),
    pytest.param("back\\slash \\n \\' %_ ?&=#+", id="backslashes"),
    pytest.param("a, b; c\t|d", id="separators"),
    pytest.param("null", id="the word null"),
    pytest.param("#N/A", id="the mark of a clear in Bulk"),
    pytest.param("x" * 255, id="255 characters"),
]


class People(Protocol):
    """Somebody who works at the other side, past our store."""

    def creates(self, object: Object, **values: Value) -> str:
        """Make a record and answer its id."""

    def edits(self, id: str, column: str, value: Value) -> None:
        """Type a value; None clears."""

    def deletes(self, id: str) -> None:
        """Delete a record."""

    def creates_many(self, object: Object, count: int) -> list[str]:
        """Make many records at once, with as few different stamps as possible."""


class StoreContract:
    """Collected only in subclasses."""

    refused: tuple[str, Value] = ("email", "nobody at all")
    """A column of contacts and a value that this store refuses."""
    unknown_id = "003000000000000AAA"
    """An id that no record has."""
    keeps_markers = True
    """Whether a record carries the id of the last intent, and our key beside its own id."""
    reads_deleted = True

    # ---------------------------------------------------------------------------------------- writing

    def test_what_was_written_is_read_back(self, store: Store) -> None:
        values = {"last_name": "Gray", "email": "gray@example.com", "phone": None}
        created = write_one(store, values)
        assert created.created
        image = read_one(store, created.id)
        assert {c: image.values[c] for c in values} == values

    @pytest.mark.parametrize("text", AWKWARD_TEXTS)
    def test_text_comes_back_as_it_was_sent(self, store: Store, text: str) -> None:
        created = write_one(store, {"last_name": "Text", "description": text})
        assert read_one(store, created.id).values["description"] == text
        updated = write_one(store, {"description": text + "!"}, id=created.id, our_id=created.our_id)
        assert updated.after is not None
        assert updated.after.values["description"] == text + "!"

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("total_score", 87.25),
            ("total_score", 0.0),
            ("total_score", -3.1),
            ("visit_count", 0),
            ("visit_count", 1234567),
            ("is_dql", True),
            ("is_dql", False),
            ("last_visit_at", "2026-02-28T23:59:59Z"),
            ("last_visit_at", None),
            ("total_score", None),
        ],
    )
    def test_typed_values_come_back_canonical(self, store: Store, column: str, value: Value) -> None:
        created = write_one(store, {"last_name": "Typed", column: value})
        read = read_one(store, created.id).values[column]
        assert (read, type(read)) == (value, type(value))

    def test_one_answer_a_row_in_the_order_of_the_batch(self, store: Store) -> None:
        creates = [new(last_name=f"Row {n}") for n in range(450)]
        created = store.write("contact", creates, soon())
        assert [w.our_id for w in created] == [w.our_id for w in creates]
        updates = [
            Write(c.our_id, c.id, fresh(), {"title": f"Title {n}"})
            for n, c in reversed(list(enumerate(created)))
        ]
        answers = store.write("contact", updates, soon())
        assert [(a.our_id, a.id, a.failures) for a in answers] == [(u.our_id, u.id, ()) for u in updates]
        assert [a.after and a.after.values["title"] for a in answers] == [u.values["title"] for u in updates]

    def test_an_empty_batch_costs_nothing(self, store: Store) -> None:
        assert list(store.write("contact", [], soon())) == []

    def test_null_clears_and_absent_leaves_alone(self, store: Store) -> None:
        created = write_one(store, {"last_name": "Blank", "title": "Dr", "phone": "1", "department": "D"})
        answer = write_one(store, {"title": None, "phone": "2"}, id=created.id, our_id=created.our_id)
        assert answer.after is not None
        shown = {c: answer.after.values[c] for c in ("title", "phone", "department")}
        assert shown == {"title": None, "phone": "2", "department": "D"}

    def test_before_and_after_are_the_record_around_the_write(self, store: Store, people: People) -> None:
        id = people.creates("contact", last_name="Around", title="typed by a person", phone="1")
        marker = fresh()
        answer = write_one(store, {"title": "written by us"}, id=id, marker=marker)
        assert answer.before is not None
        assert answer.after is not None
        assert (answer.before.values["title"], answer.after.values["title"]) == (
            "typed by a person",
            "written by us",
        )
        assert answer.before.values["phone"] == answer.after.values["phone"] == "1"
        assert answer.before.stamp <= answer.after.stamp
        if self.keeps_markers:
            assert (answer.before.marker, answer.after.marker) == (None, marker)
            assert (answer.before.modified_by_us, answer.after.modified_by_us) == (False, True)

    def test_our_key_alone_is_looked_at_only_before(self, store: Store, people: People) -> None:
        if not self.keeps_markers:
            pytest.skip("this store's key is its id")
        ids = [people.creates("contact", last_name=f"Keyed {n}") for n in range(2)]
        keys = [fresh(), fresh()]
        alone, beside = store.write("contact", [
            Write(keys[0], ids[0], fresh(), {}, stamp_key=True),
            Write(keys[1], ids[1], fresh(), {"title": "T"}, stamp_key=True),
        ], soon())  # fmt: skip
        assert alone.before is not None
        assert (alone.before.our_id, alone.before.values["last_name"]) == (None, "Keyed 0")
        assert alone.after is None
        assert beside.after is not None
        assert (beside.after.our_id, beside.after.values["title"]) == (keys[1], "T")
        assert [read_one(store, id).our_id for id in ids] == keys

    def test_a_delete_goes_to_the_recycle_bin(self, store: Store, people: People) -> None:
        if not self.keeps_markers:
            pytest.skip("our side is archived, not deleted")
        id = people.creates("contact", last_name="Bin", title="last")
        delete = Write(str(uuid.uuid4()), id, fresh(), {}, deletes=True)
        (answer,) = store.write("contact", [delete], soon())
        assert (answer.id, answer.failures) == (id, ())
        assert answer.before is not None
        assert answer.before.values["title"] == "last"
        image = read_one(store, id)
        assert (image.deleted, image.values["title"]) == (True, "last")
        (again,) = store.write("contact", [delete], soon())
        assert [f.kind for f in again.failures] == ["gone"]

    def test_a_create_shows_no_images(self, store: Store) -> None:
        answer = write_one(store, {"last_name": "Created"})
        assert (answer.before, answer.after, answer.failures) == (None, None, ())

    def test_creating_twice_by_our_key_makes_one_record(self, store: Store) -> None:
        first = write_one(store, {"last_name": "Once"})
        second = write_one(store, {"last_name": "Twice"}, our_id=first.our_id)
        assert (second.id, second.created, second.failures) == (first.id, False, ())
        assert read_one(store, first.id).values["last_name"] == "Twice"

    def test_marker_and_key_come_back(self, store: Store, people: People) -> None:
        if not self.keeps_markers:
            pytest.skip("this store keeps neither")
        marker = fresh()
        created = write_one(store, {"last_name": "Marked"}, marker=marker)
        image = read_one(store, created.id)
        assert (image.our_id, image.marker, image.modified_by_us) == (created.our_id, marker, True)
        people.edits(image.id, "title", "edited since")
        assert read_one(store, created.id).marker == marker
        assert not read_one(store, created.id).modified_by_us

    def test_our_key_is_written_to_a_linked_record_only_when_asked(
        self, store: Store, people: People
    ) -> None:
        if not self.keeps_markers:
            pytest.skip("this store's key is its id")
        id = people.creates("contact", last_name="Linked by e-mail")
        our_id = fresh()
        write_one(store, {"title": "A"}, id=id, our_id=our_id)
        assert read_one(store, id).our_id is None
        store.write("contact", [Write(our_id, id, fresh(), {"title": "B"}, stamp_key=True)], soon())
        assert read_one(store, id).our_id == our_id

    # --------------------------------------------------------------------------------------- refusals

    def test_an_unknown_id_is_gone(self, store: Store, people: People) -> None:
        alive, dead = (people.creates("contact", last_name=name) for name in ("Alive", "Dead"))
        people.deletes(dead)
        writes = [Write(fresh(), id, fresh(), {"title": "T"}) for id in (dead, alive)]
        gone, fine = store.write("contact", writes, soon())
        assert ([f.kind for f in gone.failures], gone.before, gone.after) == (["gone"], None, None)
        assert fine.failures == ()

    def test_a_refused_value_names_its_column_and_the_rest_goes_through(self, store: Store) -> None:
        column, value = self.refused
        good = [new(last_name=f"Good {n}") for n in range(3)]
        bad = new(last_name="Bad", **{column: value})
        answers = store.write("contact", [good[0], bad, *good[1:]], soon())
        assert [bool(a.failures) for a in answers] == [False, True, False, False]
        [failure] = answers[1].failures
        assert (failure.kind, failure.fields, answers[1].id) == ("permanent", (column,), None)
        assert failure.code
        assert failure.message
        assert failure.remedy

    def test_a_refused_value_of_an_update_changes_nothing_of_its_row(self, store: Store) -> None:
        column, value = self.refused
        created = write_one(store, {"last_name": "Before", "title": "kept"})
        answer = write_one(store, {column: value, "title": "lost"}, id=created.id, our_id=created.our_id)
        assert [f.fields for f in answer.failures] == [(column,)]
        assert read_one(store, created.id).values["title"] == "kept"

    # ---------------------------------------------------------------------------------------- reading

    def test_changed_since_includes_its_start_and_excludes_its_end(
        self, store: Store, people: People
    ) -> None:
        id = people.creates("contact", last_name="Edge")
        stamp = read_one(store, id).stamp
        second = timedelta(seconds=1)
        assert id in ids(store.read([ChangedSince("contact", since=stamp)]))
        assert id not in ids(store.read([ChangedSince("contact", since=stamp + second)]))
        assert id not in ids(store.read([ChangedSince("contact", since=stamp - second, until=stamp)]))
        assert id in ids(store.read([ChangedSince("contact", since=stamp, until=stamp + second)]))
        assert id in ids(store.read([ChangedSince("contact")]))

    def test_equal_stamps_over_page_borders_lose_nothing(self, store: Store, people: People) -> None:
        made = people.creates_many("contact", 2001)
        pages = list(store.read([ChangedSince("contact", since=read_one(store, made[0]).stamp)]))
        seen = [image.id for page in pages for image in page.images]
        assert len(pages) > 1
        assert len(seen) == len(set(seen))
        assert set(made) <= set(seen)
        stamps = [(image.stamp, image.id) for page in pages for image in page.images]
        assert stamps == sorted(stamps)

    def test_each_read_is_closed_by_its_last_page(self, store: Store, people: People) -> None:
        people.creates_many("contact", 3)
        reads: list[Read] = [
            ChangedSince("contact"),
            ById("contact", ()),
            ById("contact", (self.unknown_id,)),
            ByOurKey("contact", (fresh(),)),
            ByMatchKey("contact", ("nobody@example.com",)),
            ChangedSince("account"),
            ChangedSince("lead"),
        ]
        pages = list(store.read(reads))
        assert [page.read for page in pages if page.last] == reads
        order = [reads.index(page.read) for page in pages]
        assert order == sorted(order)

    def test_no_reads_give_no_pages(self, store: Store) -> None:
        assert list(store.read([])) == []

    def test_a_page_tells_the_servers_time_at_which_its_read_began(
        self, store: Store, people: People
    ) -> None:
        id = people.creates("contact", last_name="Timed")
        stamp = read_one(store, id).stamp
        [page] = store.read([ById("contact", (id,))])
        assert page.read_start.tzinfo is not None
        # A record made before the read began carries no later stamp, give or take the grain of the stamps.
        assert stamp - timedelta(seconds=5) <= page.read_start
        assert page.clock.error >= timedelta(0)

    def test_reading_by_id_answers_only_what_exists(self, store: Store, people: People) -> None:
        made = [people.creates("contact", last_name=f"By id {n}") for n in range(3)]
        assert ids(store.read([ById("contact", (*made[:2], self.unknown_id))])) == set(made[:2])
        assert ids(store.read([ById("contact", tuple(made))])) == set(made)

    def test_more_ids_than_one_statement_takes(self, store: Store, people: People) -> None:
        made = people.creates_many("contact", 1201)
        assert ids(store.read([ById("contact", tuple(made))])) == set(made)

    def test_deleted_records_come_by_id_and_as_changes(self, store: Store, people: People) -> None:
        if not self.reads_deleted:
            pytest.skip("this store shows no deleted records")
        id = people.creates("contact", last_name="Deleted", email="deleted@example.com")
        before = read_one(store, id)
        people.deletes(id)
        image = read_one(store, id)
        assert image.deleted
        assert image.values["last_name"] == "Deleted"
        assert id in ids(store.read([ChangedSince("contact", since=before.stamp)]))
        assert ids(store.read([ByMatchKey("contact", ("deleted@example.com",))])) == set()

    def test_reading_by_our_key(self, store: Store) -> None:
        created = [write_one(store, {"last_name": f"Key {n}"}) for n in range(3)]
        found = images(store.read([ByOurKey("contact", tuple(c.our_id for c in created[:2]))]))
        assert {(i.id, i.our_id) for i in found} == {(c.id, c.our_id) for c in created[:2]}

    def test_contacts_match_by_email_whatever_its_case(self, store: Store, people: People) -> None:
        id = people.creates("contact", last_name="Match", email="Mixed.Case@Example.com")
        people.creates("contact", last_name="Other", email="other@example.com")
        assert ids(store.read([ByMatchKey("contact", ("mixed.case@example.com", "o'none@example.com"))])) == {
            id
        }

    @pytest.mark.parametrize(
        "website",
        [
            "acme.example",
            "www.acme.example",
            "http://acme.example/",
            "https://www.acme.example",
            "HTTPS://Acme.Example/",
        ],
    )
    def test_accounts_match_by_domain(self, store: Store, people: People, website: str) -> None:
        id = people.creates("account", name=f"Some Name {fresh()}", website=website)
        assert id in ids(store.read([ByMatchKey("account", ("acme.example",))]))

    def test_accounts_match_by_name(self, store: Store, people: People) -> None:
        name = f"O'Hara & Sons {fresh()}"
        id = people.creates("account", name=name, website="https://elsewhere.example")
        assert ids(store.read([ByMatchKey("account", (name.casefold(),))])) == {id}

    def test_a_reference_is_the_stores_own_id(self, store: Store, people: People) -> None:
        parent = people.creates("account", name="Parent")
        child = write_one(store, {"last_name": "Child", "account_id": parent})
        assert read_one(store, child.id).values["account_id"] == parent


# ------------------------------------------------------------------------------------------------ helpers


def fresh() -> str:
    """A key that nothing has yet."""
    return str(uuid.uuid4())


def soon() -> float:
    """A deadline that does not matter."""
    return time.monotonic() + 600


def new(**values: Value) -> Write:
    """The write that creates a contact."""
    return Write(fresh(), None, fresh(), values)


def write_one(
    store: Store,
    values: Row,
    *,
    id: str | None = None,
    our_id: str | None = None,
    marker: str | None = None,
) -> Written:
    """Write one contact and expect that it went through, unless its failures are what the test looks at."""
    [answer] = store.write("contact", [Write(our_id or fresh(), id, marker or fresh(), values)], soon())
    return answer


def images(pages: Iterable[Page]) -> list[Image]:
    """All records of all pages."""
    return [image for page in pages for image in page.images]


def ids(pages: Iterable[Page]) -> set[str]:
    """The ids of all records of all pages."""
    return {image.id for image in images(pages)}


def read_one(store: Store, id: str | None, object: Object = "contact") -> Image:
    """The record as the store shows it now."""
    assert id is not None
    [image] = images(store.read([ById(object, (id,))]))
    return image
