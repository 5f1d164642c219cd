"""Accounts of contacts, merged in the CRM while the sync runs: algorithm.md 6.3 and its hole 49."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from crm_sync.stores.memory import MemoryStore
from tests.crm_sync.engine.world import LEASE, World

MakeWorld = Callable[..., World]
ALL = ("account", "contact")


class Family:
    """Two accounts and a contact of the first, known on both sides."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.watched = False
        self.crm: MemoryStore = world.crms["crm"]
        self.a, self.b = self.account("A"), self.account("B")
        new = "insert into gptweb.contacts (last_name, account_id) values ('Doe', %s) returning id::text"
        self.contact = self.one(new, self.a)
        self.settle()

    def one(self, query: str, *parameters: object) -> Any:
        row = self.world.client.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return row[0]

    def account(self, name: str) -> str:
        return str(self.one("insert into gptweb.accounts (name) values (%s) returning id::text", name))

    def theirs(self, our_id: str) -> str:
        return str(self.one("select their_id from crm_sync.link where our_id = %s", our_id))

    def move(self, account: str | None) -> None:
        """Somebody of ours gives the contact another account."""
        self.world.client.execute("update gptweb.contacts set account_id = %s", (account,))

    @property
    def ours_says(self) -> str | None:
        account = self.one("select account_id::text from gptweb.contacts")
        return None if account is None else str(account)

    @property
    def theirs_says(self) -> object:
        return self.crm.image(self.theirs(self.contact)).values["account_id"]

    def stranger(self) -> str:
        """An account that only they have."""
        return self.crm.person_creates("account", name="W")

    def merge(self, winner: str, account: str) -> None:
        """Somebody there merges an account of ours away; its contacts move over."""
        self.crm.person_merges(self.theirs(account), winner)

    def run(self) -> None:
        self.world.run(objects=ALL)

    def settle(self, waiting: int = 0) -> None:
        """Some runs, and then one that has nothing to say; ``waiting`` contacts refer to an account that is not there."""
        for _ in range(3):
            self.world.tick(LEASE + 20)
            self.run()
        planned, calls = self.world._planned(), self.crm.calls
        self.run()
        assert (self.world._planned(), self.crm.calls) == (planned, calls + 1)
        assert self.world.count("select count(*) from crm_sync.link where dirty") == waiting
        assert len(self.world.outbox()) == waiting
        assert self.world._miscounted() == []

    def parked(self) -> list[str]:
        rows = self.world.client.execute(
            "select code from crm_sync.parked where lifted_at is null order by 1"
        )
        return [row[0] for row in rows]


def test_parent_of_a_stranger_is_no_clear(make_world: MakeWorld) -> None:
    """An account that we can't see is no blank."""
    f = Family(make_world())
    hidden = f.stranger()
    f.crm.person_edits(f.theirs(f.contact), "account_id", hidden)
    f.world.run()  # contacts only: nobody reads accounts
    f.world.run()
    assert f.ours_says == f.a
    f.settle()
    assert f.one("select name from gptweb.accounts where id = %s", f.ours_says) == "W"


def test_reparented_by_a_merge_is_no_edit(make_world: MakeWorld) -> None:
    """The reference is compared in our ids: what the merge did to the contact overrules nobody's new account."""
    f = Family(make_world(policy="crm_wins"))
    winner = f.stranger()
    f.move(f.b)
    f.merge(winner, f.a)
    f.settle()
    assert f.theirs(f.a) == winner
    assert f.ours_says == f.b
    assert f.theirs_says == f.theirs(f.b)


def test_contact_of_a_merged_account_stays_where_it_is(make_world: MakeWorld) -> None:
    f = Family(make_world())
    winner = f.stranger()
    f.merge(winner, f.a)
    planned = f.one("select max(change_id) from crm_sync.change")
    f.settle()
    assert f.ours_says == f.a
    assert f.theirs_says == winner
    assert (
        f.world.count(
            "select count(*) from crm_sync.change where object = 'contact' and change_id > %s", planned
        )
        == 0
    )


def test_contact_read_before_merged_account(make_world: MakeWorld) -> None:
    """The contact still names the merged account: an id that the link had before is known."""
    f = Family(make_world())
    winner = f.stranger()
    old = f.theirs(f.a)
    f.merge(winner, f.a)
    record = f.crm._records[f.theirs(f.contact)]
    record.values["account_id"] = old  # its page was read before
    record.stamp -= timedelta(days=1)
    f.world.client.execute("update gptweb.contacts set title = 'O1'")
    f.settle()
    assert f.theirs(f.a) == winner
    f.crm.person_edits(record.id, "account_id", winner)
    f.settle()
    assert f.ours_says == f.a


def test_contact_moved_to_an_account_that_is_merged_before_the_plan(make_world: MakeWorld) -> None:
    """What was read names the account by the id that it had before: the contact moves there without another read."""
    f = Family(make_world())
    winner = f.stranger()
    f.crm.person_edits(f.theirs(f.contact), "account_id", f.theirs(f.b))
    run = f.world.start(objects=ALL).to("pull")
    f.merge(winner, f.b)
    f.world.tick()
    f.world.run(objects=("account",))
    assert f.theirs(f.b) == winner
    run.finish()
    assert f.ours_says == f.b
    f.settle()
    assert f.theirs_says == winner


def test_parent_relinked_between_plan_and_push(make_world: MakeWorld) -> None:
    """The account's id there is looked up when the contact is claimed, not when it is planned."""
    f = Family(make_world())
    f.move(f.b)
    run = f.world.start(objects=ALL).to("push_ours")
    winner = f.stranger()
    f.merge(winner, f.b)
    f.world.start(kind="backfill", objects=ALL).to("plan")
    assert f.theirs(f.b) == winner
    run.finish()
    assert f.theirs_says == winner
    for other in f.world.runs:
        other.finish()
    f.settle()
    assert f.ours_says == f.b


def test_parent_merged_between_plan_and_push(make_world: MakeWorld) -> None:
    """INVALID_CROSS_REFERENCE_KEY: the account is read again, nothing is held back."""
    f = Family(make_world())
    f.move(f.b)
    run = f.world.start(objects=ALL).to("push_ours")
    winner = f.stranger()
    f.merge(winner, f.b)
    f.world.move_cursor(1)
    run.finish()
    assert f.world.count("select count(*) from crm_sync.parked where held") == 0
    f.settle()
    assert f.parked() == []
    assert f.theirs_says == winner
    assert f.ours_says == f.b


def test_contact_whose_parent_is_not_there_yet(make_world: MakeWorld) -> None:
    """It goes without the account, and that one field follows."""
    f = Family(make_world())
    late = f.account("Late")
    f.world.client.execute("insert into gptweb.contacts (last_name, account_id) values ('Late', %s)", (late,))
    f.world.run()  # contacts only
    made = [i for i in f.crm.images("contact") if i.values["last_name"] == "Late"]
    assert [i.values["account_id"] for i in made] == [None]
    f.settle()
    assert f.crm.image(made[0].id).values["account_id"] == f.theirs(late)


def test_contact_moved_to_a_parent_that_is_not_there_yet(make_world: MakeWorld) -> None:
    """It waits as work to do: no edit of the contact tells when its account is there."""
    f = Family(make_world())
    late = f.account("Late")
    f.move(late)
    f.world.run()  # contacts only
    f.world.run()
    assert f.theirs_says == f.theirs(f.a)
    f.settle()
    assert f.theirs_says == f.theirs(late)


def test_children_of_an_account_merged_into_a_known_one(make_world: MakeWorld) -> None:
    """Two of ours, one of theirs: the contacts go over to the one that goes on; the other is left to a person."""
    f = Family(make_world())
    f.merge(f.theirs(f.b), f.a)
    f.settle()
    assert f.ours_says == f.b
    assert f.parked() == ["merged"]
    f.move(f.a)  # somebody of ours puts it back
    f.settle()
    assert f.theirs_says == f.theirs(f.b)
    assert f.ours_says == f.b


def test_account_deleted_there_takes_its_contacts_along(make_world: MakeWorld) -> None:
    """Each deleted contact is decided by itself."""
    f = Family(make_world())
    f.world.client.execute("update gptweb.contacts set title = 'O1'")
    f.crm.person_deletes(f.theirs(f.a))
    f.settle(waiting=1)
    assert f.one("select archived_by from gptweb.accounts where id = %s", f.a) == "engine"
    assert f.one("select deleted_at is null from gptweb.contacts")
    assert f.crm.image(f.theirs(f.contact)).values["title"] == "O1"
