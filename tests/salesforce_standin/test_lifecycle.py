"""Deletes, merges, conversions, and the two ways to hear of changes."""

import pytest

from salesforce_standin import ids
from salesforce_standin.clock import epoch_of, stamp_of


def iso(stamp: str) -> str:
    return stamp.replace(".000+0000", "Z")


@pytest.fixture
def family(client):
    account = client.create("Account", Name="Acme")
    contacts = [client.create("Contact", LastName=name, AccountId=account) for name in "AB"]
    return account, contacts


class TestDelete:
    def test_an_account_takes_its_contacts_along(self, client, admin, family):
        account, contacts = family
        before = client.rows("SELECT SystemModstamp FROM Contact LIMIT 1")[0]["SystemModstamp"]
        admin.post("/standin/clock", {"advance": 5})
        admin.delete(f"/sobjects/Account/{account}")
        rows = client.rows(
            "SELECT Id, IsDeleted, AccountId, SystemModstamp, LastModifiedBy.Username FROM Contact",
            "/queryAll",
        )
        assert [row["Id"] for row in rows] == contacts
        assert all(row["IsDeleted"] and row["AccountId"] == account for row in rows)
        assert all(row["SystemModstamp"] > before for row in rows)
        assert {row["LastModifiedBy"]["Username"] for row in rows} == {"admin@gptweb.example"}

    def test_undelete_brings_them_back(self, client, admin, family):
        account, contacts = family
        client.delete(f"/sobjects/Contact/{contacts[0]}")
        admin.post("/standin/clock", {"advance": 5})
        client.delete(f"/sobjects/Account/{account}")
        reply = admin.post("/standin/records/undelete", {"ids": [account]})
        assert reply.json() == {"ids": [account, contacts[1]]}
        assert [row["Id"] for row in client.rows("SELECT Id FROM Contact")] == [contacts[1]]

    def test_undelete_with_a_taken_key(self, keyed, admin):
        old = keyed.create("Contact", LastName="A", GPTWeb_Id__c="k")
        keyed.delete(f"/sobjects/Contact/{old}")
        keyed.create("Contact", LastName="B", GPTWeb_Id__c="k")
        reply = admin.post("/standin/records/undelete", {"ids": [old]})
        assert reply.json()[0]["errorCode"] == "DUPLICATE_VALUE"

    def test_purge(self, client, admin, family):
        _, contacts = family
        client.delete(f"/sobjects/Contact/{contacts[0]}")
        admin.post("/standin/records/purge", {"ids": [contacts[0]]})
        assert len(client.rows("SELECT Id FROM Contact", "/queryAll")) == 1


def test_automation_moves_the_stamp_alone(client, admin, family):
    _, contacts = family
    admin.post("/standin/clock", {"advance": 100})
    stamp = admin.post("/standin/records/touch", {"ids": [contacts[0]], "seconds": -30}).json()[
        "SystemModstamp"
    ]
    row = client.rows(
        f"SELECT SystemModstamp, LastModifiedDate FROM Contact WHERE SystemModstamp >= {iso(stamp)}"
    )
    assert len(row) == 1
    assert row[0]["SystemModstamp"] == stamp > row[0]["LastModifiedDate"]


def test_merge(client, admin, family):
    account, _ = family
    other = client.create("Account", Name="Acme again")
    moved = client.create("Contact", LastName="C", AccountId=other)
    reply = admin.post(
        "/standin/records/merge", {"masterId": account, "loserIds": [other], "values": {"Phone": "1"}}
    )
    assert reply.json() == {"id": account, "mergedRecordIds": [other]}
    loser = client.rows(f"SELECT IsDeleted, MasterRecordId FROM Account WHERE Id = '{other}'", "/queryAll")
    assert loser == [{"IsDeleted": True, "MasterRecordId": account}]
    assert client.rows(f"SELECT AccountId FROM Contact WHERE Id = '{moved}'") == [{"AccountId": account}]
    assert client.rows("SELECT Name, Phone FROM Account") == [{"Name": "Acme", "Phone": "1"}]


def test_conversion(client, admin):
    lead = client.create(
        "Lead", FirstName="Ada", LastName="L", Company="Acme", Email="a@x.example", City="Paris"
    )
    made = admin.post("/standin/records/convert", {"leadId": lead}).json()
    row = client.rows(
        "SELECT IsConverted, Status, ConvertedAccountId, ConvertedContactId, ConvertedDate FROM Lead"
    )[0]
    assert (row["IsConverted"], row["Status"]) == (True, "Closed - Converted")
    assert (row["ConvertedAccountId"], row["ConvertedContactId"]) == (made["accountId"], made["contactId"])
    contact = client.rows("SELECT Name, Email, MailingCity, Account.Name FROM Contact")[0]
    assert (contact["Name"], contact["MailingCity"], contact["Account"]["Name"]) == ("Ada L", "Paris", "Acme")


class TestReplication:
    @pytest.fixture
    def hours(self, admin):
        admin.post("/standin/clock", {"advance": -7200})

        def ago(seconds: float) -> str:
            now = admin.get("/standin/clock").json()["now"]
            return iso(stamp_of(epoch_of(now) - seconds))

        return ago

    def test_updated(self, client, admin, hours, family):
        account, contacts = family
        admin.post("/standin/clock", {"advance": 3600})
        client.patch(f"/sobjects/Contact/{contacts[1]}", {"Phone": "1"})
        client.delete(f"/sobjects/Contact/{contacts[0]}")
        admin.post("/standin/clock", {"advance": 600})
        window = {"start": hours(1200), "end": hours(60)}
        body = client.get("/sobjects/Contact/updated/", params=window).json()
        assert body == {"ids": [contacts[1]], "latestDateCovered": window["end"][:17] + "00.000+0000"}
        assert client.get("/sobjects/Account/updated/", params=window).json()["ids"] == []
        earlier = client.get("/sobjects/Account/updated", params={**window, "start": hours(6000)}).json()
        assert earlier["ids"] == [account]

    def test_deleted(self, client, admin, hours, family):
        _, contacts = family
        client.delete(f"/sobjects/Contact/{contacts[0]}")
        gone = client.rows("SELECT SystemModstamp FROM Contact WHERE IsDeleted = true", "/queryAll")[0][
            "SystemModstamp"
        ]
        admin.post("/standin/clock", {"advance": 600})
        body = client.get(
            "/sobjects/Contact/deleted/", params={"start": hours(1200), "end": hours(60)}
        ).json()
        assert list(body) == ["deletedRecords", "earliestDateAvailable", "latestDateCovered"]
        assert body["deletedRecords"] == [{"id": contacts[0], "deletedDate": gone}]

    def test_seconds_are_cut_off_at_both_ends(self, client, admin, hours, family):
        """As recorded: "latestDateCovered": "2015-08-19T08:17:00.000+0000" (restforce's fixtures)."""
        window = {"start": hours(600), "end": hours(-600)}
        body = client.get("/sobjects/Contact/updated/", params=window).json()
        assert body["latestDateCovered"].endswith(":00.000+0000")
        assert body["latestDateCovered"] <= admin.get("/standin/clock").json()["now"]

    @pytest.mark.parametrize(
        ("kind", "start", "end"),
        [("updated", 31 * 86400, 60), ("deleted", 16 * 86400, 60), ("updated", 60, 120), ("updated", 60, 60)],
    )
    def test_windows_that_are_refused(self, client, hours, kind, start, end):
        window = {"start": hours(start), "end": hours(end)}
        reply = client.get(f"/sobjects/Contact/{kind}", params=window)
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


def test_checksums_of_ids():
    assert ids.to18("001D000000IqhSL") == "001D000000IqhSLIAZ"
    assert ids.to18("003D000000QV9n2") == "003D000000QV9n2IAD"
    assert ids.normalise("001D000000IqhSLIAZ") == "001D000000IqhSLIAZ"
    assert ids.normalise("001d000000iqhsliaz") is None
    assert ids.normalise("001D000000IqhSLIAA") is None
    assert ids.normalise("short") is None
