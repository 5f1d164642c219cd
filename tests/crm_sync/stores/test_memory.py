"""The fake CRM passes the same contract as the real ones, and its people do what people do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from crm_sync.errors import NotSent, Unanswered
from crm_sync.mapping_files import load_mappings
from crm_sync.model import ById, ChangedSince, Object, Value, Write
from crm_sync.stores.memory import MemoryStore
from tests.crm_sync.stores.contract import StoreContract, ids, new, read_one, soon, write_one

NOW = datetime(2026, 11, 22, 10, 0, 0, 700_000, UTC)


class MemoryPeople:
    """People who work in a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def creates(self, object: Object, **values: Value) -> str:
        return self.store.person_creates(object, **values)

    def edits(self, id: str, column: str, value: Value) -> None:
        self.store.person_edits(id, column, value)

    def deletes(self, id: str) -> None:
        self.store.person_deletes(id)

    def creates_many(self, object: Object, count: int) -> list[str]:
        return [self.store.person_creates(object, last_name=f"Many {n}") for n in range(count)]


@pytest.fixture
def store() -> MemoryStore:
    refusals: dict[tuple[Object, str], Callable[[Value], bool]] = {
        ("contact", "email"): lambda value: isinstance(value, str) and "@" not in value
    }
    return MemoryStore(load_mappings("salesforce"), clock=lambda: NOW, page_size=1, refusals=refusals)


@pytest.fixture
def people(store: MemoryStore) -> MemoryPeople:
    return MemoryPeople(store)


class TestMemoryStore(StoreContract):
    pass


def test_the_first_pages_of_all_reads_share_a_call(store: MemoryStore) -> None:
    store.page_size = 2
    for n in range(5):
        store.person_creates("contact", last_name=str(n))
    list(store.read([ChangedSince("contact"), ChangedSince("account"), ChangedSince("lead")]))
    assert store.calls == 3  # one for the first pages, two more pages of contacts


def test_a_page_that_nobody_asks_for_is_not_called(store: MemoryStore) -> None:
    for n in range(5):
        store.person_creates("contact", last_name=str(n))
    next(iter(store.read([ChangedSince("contact")])))
    assert store.calls == 1


def test_stamps_are_whole_seconds(store: MemoryStore) -> None:
    id = store.person_creates("contact", last_name="A")
    assert store.image(id).stamp == NOW.replace(microsecond=0)


def test_a_written_value_is_kept_in_the_stores_own_spelling(store: MemoryStore) -> None:
    store.render = lambda _object, _column, value: value.strip() if isinstance(value, str) else value
    id = store.person_creates("contact", last_name="A")
    answer = write_one(store, {"title": " Dr "}, id=id)
    assert answer.after is not None
    assert answer.after.values["title"] == "Dr"


def test_nothing_is_sent_after_the_deadline(store: MemoryStore) -> None:
    with pytest.raises(NotSent):
        store.write("contact", [new(last_name="A")], 0.0)
    assert (store.calls, store.written) == (0, 0)


def test_a_reply_can_be_lost_after_the_write(store: MemoryStore) -> None:
    def lose(step: str) -> None:
        if step == "answered":
            raise Unanswered("the reply was lost")

    store.on_step = lose
    with pytest.raises(Unanswered):
        store.write("contact", [new(last_name="A")], soon())
    assert store.written == 1


def test_a_person_can_edit_inside_our_call(store: MemoryStore) -> None:
    id = store.person_creates("contact", last_name="A", title="before")

    def edit(step: str) -> None:
        if step == "retrieved":
            store.person_edits(id, "title", "typed inside")

    store.on_step = edit
    answer = write_one(store, {"phone": "1"}, id=id)
    assert answer.before is not None
    assert answer.after is not None
    assert (answer.before.values["title"], answer.after.values["title"]) == ("before", "typed inside")


def test_a_long_transaction_commits_with_an_old_stamp(store: MemoryStore) -> None:
    id = store.person_creates("contact", last_name="A")
    old = NOW.replace(microsecond=0) - timedelta(minutes=5)
    store.person_edits(id, "title", "late", stamp=old)
    assert ids(store.read([ChangedSince("contact", since=NOW - timedelta(minutes=1))])) == set()
    assert store.image(id).values["title"] == "late"


def test_a_hidden_column_is_absent_and_cannot_be_written(store: MemoryStore) -> None:
    id = store.person_creates("contact", last_name="A", title="T")
    store.hidden.add(("contact", "title"))
    assert "title" not in read_one(store, id).values
    assert [f.fields for f in write_one(store, {"title": "B"}, id=id).failures] == [("title",)]


def test_a_key_is_unique(store: MemoryStore) -> None:
    first = write_one(store, {"last_name": "A"})
    id = store.person_creates("contact", last_name="B")
    [answer] = store.write("contact", [Write(first.our_id, id, "m", {}, stamp_key=True)], soon())
    assert [f.code for f in answer.failures] == ["DUPLICATE_VALUE"]


def test_deleting_an_account_takes_its_contacts_along(store: MemoryStore) -> None:
    account = store.person_creates("account", name="A")
    contact = store.person_creates("contact", last_name="B", account_id=account)
    store.person_deletes(account)
    assert store.image(contact).deleted


def test_a_merge_names_the_winner_and_moves_the_children(store: MemoryStore) -> None:
    loser, winner = (store.person_creates("account", name=name) for name in ("L", "W"))
    contact = store.person_creates("contact", last_name="C", account_id=loser)
    store.person_merges(loser, winner)
    assert (store.image(loser).deleted, store.image(loser).merged_into) == (True, winner)
    assert store.image(contact).values["account_id"] == winner


def test_an_undeleted_record_loses_a_key_that_was_taken(store: MemoryStore) -> None:
    first = write_one(store, {"last_name": "A"})
    assert first.id is not None
    store.person_deletes(first.id)
    second = write_one(store, {"last_name": "A"}, our_id=first.our_id)
    assert second.created
    store.person_undeletes(first.id)
    assert [i.our_id for i in map(store.image, (first.id, second.id or ""))] == [None, first.our_id]
    assert ids(store.read([ById("contact", (first.id,))])) == {first.id}
