"""The Salesforce Store passes the contract against the stand-in, over a socket; and what it costs and survives there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crm_sync.errors import IncompleteRead, Misconfigured, NotSent, Unanswered
from crm_sync.model import ById, ByOurKey, ChangedSince, Write
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.stores.contract import StoreContract, fresh, ids, images, new, read_one, soon, write_one
from tests.crm_sync.stores.standin import SalesforcePeople, StandinOrg, standin_org


@pytest.fixture(scope="module")
def org() -> Iterator[StandinOrg]:
    with standin_org() as org:
        yield org


@pytest.fixture
def people(org: StandinOrg) -> Iterator[SalesforcePeople]:
    org.meter.booked.clear()
    yield org.people
    org.people.mends()


@pytest.fixture
def store(org: StandinOrg, people: SalesforcePeople) -> SalesforceStore:
    return org.store(page_size=200)


class TestSalesforceStore(StoreContract):
    pass


# ------------------------------------------------------------------------------------------------------ calls


def test_an_idle_look_at_all_objects_is_one_call(org: StandinOrg, people: SalesforcePeople) -> None:
    store = org.store()  # with the usual 2,000 rows a page
    people.ask("POST", "/standin/clock", json={"advance": 2})  # no other record has this stamp
    since = read_one(store, people.creates("contact", last_name="Newest")).stamp
    org.meter.booked.clear()
    list(
        store.read(
            [ChangedSince("account", since), ChangedSince("contact", since), ChangedSince("lead", since)]
        )
    )
    assert org.meter.booked == ["sync"]


def test_a_page_that_nobody_asks_for_is_not_called(store: SalesforceStore, org: StandinOrg) -> None:
    since = read_one(store, org.people.creates_many("contact", 401)[0]).stamp
    org.meter.booked.clear()
    next(iter(store.read([ChangedSince("contact", since)])))
    assert org.meter.booked == ["sync"]


def test_a_batch_of_500_is_one_call_with_its_images(store: SalesforceStore, org: StandinOrg) -> None:
    created = store.write("contact", [new(last_name=f"Row {n}") for n in range(500)], soon())
    assert org.meter.booked == ["sync contact"]
    updates = [Write(c.our_id, c.id, fresh(), {"title": f"T {n}"}) for n, c in enumerate(created)]
    answers = store.write("contact", updates, soon())
    assert org.meter.booked == ["sync contact"] * 2
    assert all(a.before and a.before.values["title"] is None for a in answers)
    assert [a.after and a.after.values["title"] for a in answers] == [u.values["title"] for u in updates]


def test_the_images_show_how_the_org_spells_what_was_sent(store: SalesforceStore) -> None:
    created = write_one(store, {"last_name": "Spelling"})
    answer = write_one(store, {"title": "  Dr  "}, id=created.id)
    assert answer.after is not None
    assert answer.after.values["title"] == "Dr"


def test_before_is_never_our_own_value(store: SalesforceStore) -> None:
    """The stand-in shuffles the sub-requests of a collated composite, as Salesforce may."""
    created = write_one(store, {"last_name": "Order", "title": "0"})
    for n in range(1, 20):
        answer = write_one(store, {"title": str(n)}, id=created.id)
        assert answer.before is not None
        assert answer.after is not None
        assert (answer.before.values["title"], answer.after.values["title"]) == (str(n - 1), str(n))


def test_new_records_belong_to_the_chosen_owner(org: StandinOrg) -> None:
    admin = org.people.rest(
        "GET", "/query", params={"q": "SELECT Id FROM User WHERE Username = 'admin@gptweb.example'"}
    )
    owner = admin["records"][0]["Id"]
    created = write_one(org.store(owner_id=owner), {"last_name": "Owned"})
    record = org.people.rest("GET", f"/sobjects/Contact/{created.id}", params={"fields": "OwnerId"})
    assert record["OwnerId"] == owner


# -------------------------------------------------------------------------------------------------- trouble


def test_a_lost_reply_leaves_the_write_in_doubt_and_the_key_finds_it(
    store: SalesforceStore, people: SalesforcePeople
) -> None:
    write = new(last_name="In doubt")
    people.breaks(action="reset_after", path="composite")
    with pytest.raises(Unanswered):
        store.write("contact", [write], soon())
    [image] = images(store.read([ByOurKey("contact", (write.our_id,))]))
    assert (image.marker, image.values["last_name"]) == (write.marker, "In doubt")


def test_a_broken_request_wrote_nothing_and_is_in_doubt_all_the_same(
    store: SalesforceStore, people: SalesforcePeople
) -> None:
    write = new(last_name="Never arrived")
    people.breaks(action="reset_before", path="composite")
    with pytest.raises(Unanswered):
        store.write("contact", [write], soon())
    assert ids(store.read([ByOurKey("contact", (write.our_id,))])) == set()


def test_a_write_is_not_repeated_but_a_read_is(
    store: SalesforceStore, people: SalesforcePeople, org: StandinOrg
) -> None:
    people.forgets()
    people.breaks(action="reply", path="composite", status=503, reply=[], count=1)
    with pytest.raises(Unanswered):
        store.write("contact", [new(last_name="Once only")], soon())
    assert len(people.calls()) == 1
    people.breaks(action="reply", path="composite", status=503, reply=[], count=2)
    list(store.read([ById("contact", ("003000000000000AAA",))]))
    assert len(people.calls()) == 4
    assert len(org.meter.booked) == 4


def test_a_truncated_reply_of_a_write_is_in_doubt(store: SalesforceStore, people: SalesforcePeople) -> None:
    people.breaks(action="truncate", path="composite")
    with pytest.raises(Unanswered):
        store.write("contact", [new(last_name="Cut off")], soon())


def test_nothing_is_sent_when_the_answer_could_be_late(
    store: SalesforceStore, people: SalesforcePeople, org: StandinOrg
) -> None:
    people.forgets()
    with pytest.raises(NotSent):
        store.write("contact", [new(last_name="Late")], soon() - 590)
    assert (people.calls(), org.meter.booked) == ([], [])


def test_a_page_that_never_comes_is_an_incomplete_read(
    store: SalesforceStore, people: SalesforcePeople
) -> None:
    since = read_one(store, people.creates_many("contact", 201)[0]).stamp
    body = [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]
    people.breaks(action="reply", path="/query/01g", status=400, reply=body)
    with pytest.raises(IncompleteRead):
        list(store.read([ChangedSince("contact", since)]))


def test_a_merged_record_names_its_winner(store: SalesforceStore, people: SalesforcePeople) -> None:
    winner, loser = (people.creates("contact", last_name=name) for name in ("Winner", "Loser"))
    people.merges(winner, loser)
    image = read_one(store, loser)
    assert (image.deleted, image.merged_into) == (True, winner)


def test_a_field_without_permission_stops_the_read_with_its_remedy(
    org: StandinOrg, people: SalesforcePeople
) -> None:
    hidden = "Contact.GPTWeb_Lead_Source__c"
    rows = people.rest(
        "GET", "/query", params={"q": f"SELECT Id FROM FieldPermissions WHERE Field = '{hidden}'"}
    )
    [row] = people.rest(
        "GET",
        "/query",
        params={
            "q": f"SELECT Id, ParentId, SobjectType, Field FROM FieldPermissions WHERE Id = '{rows['records'][0]['Id']}'"
        },
    )["records"]
    people.rest("DELETE", f"/sobjects/FieldPermissions/{row['Id']}")
    try:
        with pytest.raises(
            Misconfigured, match=r"GPTWeb_Lead_Source__c is missing or hidden .* crm_provision__"
        ):
            list(org.store().read([ChangedSince("contact")]))
    finally:
        again = {name: row[name] for name in ("ParentId", "SobjectType", "Field")}
        again |= {"PermissionsRead": True, "PermissionsEdit": True}
        people.rest("POST", "/sobjects/FieldPermissions", json=again)
