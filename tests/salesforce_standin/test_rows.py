"""One record at a time: statuses, bodies, external ids, conditional headers, and what a write refuses."""

import re
from typing import Any

import pytest

from tests.salesforce_standin.running import Client

UNREADABLE = "Cannot deserialize instance of {} from {} or request may be missing a required field at [line:1, column:2]"


def refused(client: Client, kind: str, **values: Any) -> Any:
    reply = client.post(f"/sobjects/{kind}", values)
    assert reply.status_code == 400, reply.text
    return reply.json()


class TestCrud:
    def test_create_read_change_delete(self, client):
        made = client.post("/sobjects/Account", {"Name": "Acme", "BillingCity": "Köln"})
        account = made.json()["id"]
        assert made.status_code == 201
        assert made.json() == {"id": account, "success": True, "errors": []}
        assert made.headers["Location"] == f"/services/data/v66.0/sobjects/Account/{account}"
        record = client.get(f"/sobjects/Account/{account}").json()
        assert list(record)[:5] == ["attributes", "Id", "IsDeleted", "MasterRecordId", "Name"]
        assert record["BillingAddress"] == {
            "city": "Köln", "country": None, "geocodeAccuracy": None, "latitude": None, "longitude": None,
            "postalCode": None, "state": None, "street": None,
        }  # fmt: skip
        assert (record["ShippingAddress"], record["Phone"], record["IsDeleted"]) == (None, None, False)
        changed = client.patch(f"/sobjects/Account/{account}", {"Phone": "1"})
        assert (changed.status_code, changed.content) == (204, b"")
        few = client.get(f"/sobjects/Account/{account[:15]}?fields=Name,phone").json()
        assert few == {
            "attributes": {"type": "Account", "url": f"/services/data/v66.0/sobjects/Account/{account}"},
            "Name": "Acme", "Phone": "1", "Id": account,
        }  # fmt: skip
        assert client.delete(f"/sobjects/Account/{account}").status_code == 204
        gone = client.get(f"/sobjects/Account/{account}")
        assert gone.status_code == 404
        assert gone.json() == [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
        for reply in (
            client.patch(f"/sobjects/Account/{account}", {"Phone": "1"}),
            client.delete(f"/sobjects/Account/{account}"),
        ):
            assert reply.status_code == 404
            assert reply.json() == [
                {"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}
            ]

    def test_ids(self, client):
        account = client.create("Account", Name="Acme")
        wrong_case = account.swapcase()
        reply = client.get(f"/sobjects/Account/{wrong_case}")
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "MALFORMED_ID")
        reply = client.get("/sobjects/Account/xyz")
        assert reply.status_code == 404
        assert reply.json() == [
            {
                "errorCode": "NOT_FOUND",
                "message": "Provided external ID field does not exist or is not accessible: xyz",
            }
        ]

    def test_an_unknown_field_of_a_read(self, client):
        account = client.create("Account", Name="Acme")
        reply = client.get(f"/sobjects/Account/{account}?fields=Nope")
        assert reply.json() == [
            {"message": "No such column 'Nope' on sobject of type Account", "errorCode": "INVALID_FIELD"}
        ]

    def test_null_and_empty_clear(self, client):
        account = client.create("Account", Name="  Acme ", Phone="1", Site="x", NumberOfEmployees=3)
        client.patch(f"/sobjects/Account/{account}", {"Phone": None, "Site": "  "})
        row = client.rows("SELECT Name, Phone, Site, NumberOfEmployees FROM Account")[0]
        assert row == {"Name": "Acme", "Phone": None, "Site": None, "NumberOfEmployees": 3}

    def test_a_write_without_change_still_moves_the_stamp(self, client, admin):
        account = client.create("Account", Name="Acme")
        before = client.rows("SELECT SystemModstamp FROM Account")[0]["SystemModstamp"]
        admin.post("/standin/clock", {"advance": 60})
        client.patch(f"/sobjects/Account/{account}", {"Name": "Acme"})
        after = client.rows("SELECT SystemModstamp, LastModifiedDate, CreatedDate FROM Account")[0]
        assert after["SystemModstamp"] == after["LastModifiedDate"] > before
        assert after["CreatedDate"] == before


class TestValidation:
    def test_required(self, client):
        assert refused(client, "Lead", FirstName="A") == [
            {
                "message": "Required fields are missing: [LastName, Company]",
                "errorCode": "REQUIRED_FIELD_MISSING",
                "fields": ["LastName", "Company"],
            }
        ]
        lead = client.create("Lead", LastName="A", Company="B")
        assert client.rows("SELECT Status, IsConverted FROM Lead") == [
            {"Status": "Open - Not Contacted", "IsConverted": False}
        ]
        reply = client.patch(f"/sobjects/Lead/{lead}", {"LastName": ""})
        assert reply.json()[0]["message"] == "Required fields are missing: [LastName]"

    def test_every_reason_is_told(self, client):
        reasons = refused(
            client, "Contact", LastName="x" * 81, Email="nope", Birthdate="2020-01-01", FirstName="y" * 41
        )
        assert [(r["errorCode"], r["fields"]) for r in reasons] == [
            ("STRING_TOO_LONG", ["LastName"]),
            ("INVALID_EMAIL_ADDRESS", ["Email"]),
            ("STRING_TOO_LONG", ["FirstName"]),
        ]
        assert reasons[0]["message"] == f"Last Name: data value too large: {'x' * 81} (max length=80)"
        assert reasons[1]["message"] == "Email: invalid email address: nope"

    def test_unknown_and_closed_fields(self, client):
        assert refused(client, "Contact", LastName="A", Nope=1) == [
            {"message": "No such column 'Nope' on sobject of type Contact", "errorCode": "INVALID_FIELD"}
        ]
        assert refused(client, "Contact", LastName="A", Name="B", CreatedDate="2020-01-01") == [
            {
                "message": "Unable to create/update fields: Name, CreatedDate. Please check the security settings of this"
                " field and verify that it is read/write for your profile or permission set.",
                "errorCode": "INVALID_FIELD_FOR_INSERT_UPDATE",
                "fields": ["Name", "CreatedDate"],
            }
        ]
        contact = client.create("Contact", lastname="Case")
        reply = client.patch(f"/sobjects/Contact/{contact}", {"Id": contact})
        assert reply.json() == [
            {
                "message": "The Id field should not be specified in the sobject data.",
                "errorCode": "INVALID_FIELD",
            }
        ]

    @pytest.mark.parametrize(
        ("field", "value", "kind", "token"),
        [
            ("NumberOfEmployees", "many", "int", "VALUE_STRING value many"),
            ("AnnualRevenue", True, "currency", "VALUE_TRUE value True"),
            ("Name", {"a": 1}, "string", "START_OBJECT"),
        ],
    )
    def test_values_of_the_wrong_kind(self, client, field, value, kind, token):
        reason = refused(client, "Account", **{"Name": "A", field: value})
        assert reason == [{"message": UNREADABLE.format(kind, token), "errorCode": "JSON_PARSER_ERROR"}]

    def test_numbers(self, client):
        account = client.create("Account", Name="A", NumberOfEmployees="10000", AnnualRevenue=1234.9)
        row = client.get(f"/sobjects/Account/{account}?fields=NumberOfEmployees,AnnualRevenue")
        assert '"NumberOfEmployees":10000,"AnnualRevenue":1234.0' in row.text
        assert refused(client, "Account", Name="A", NumberOfEmployees=123456789) == [
            {
                "message": "Employees: value outside of valid range on numeric field: 123456789",
                "errorCode": "NUMBER_OUTSIDE_VALID_RANGE",
                "fields": ["NumberOfEmployees"],
            }
        ]

    def test_custom_numbers_are_cut_to_their_scale(self, keyed):
        contact = keyed.create("Contact", LastName="A", Score__c=1.239, Is_DQL__c="1")
        row = keyed.rows("SELECT Score__c, Is_DQL__c FROM Contact")[0]
        assert row == {"Score__c": 1.23, "Is_DQL__c": True}
        reply = keyed.patch(f"/sobjects/Contact/{contact}", {"Score__c": 1000})
        assert reply.json()[0]["errorCode"] == "NUMBER_OUTSIDE_VALID_RANGE"
        reply = keyed.patch(f"/sobjects/Contact/{contact}", {"Is_DQL__c": None})
        assert reply.json() == [
            {
                "message": "Is DQL: value not of required type: null",
                "errorCode": "INVALID_TYPE_ON_FIELD_IN_RECORD",
                "fields": ["Is_DQL__c"],
            }
        ]

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000+0000"),
            ("2026-01-02T03:04:05.678+0200", "2026-01-02T01:04:05.000+0000"),
            ("2026-01-02T03:04:05-05:00", "2026-01-02T08:04:05.000+0000"),
            ("2026-01-02", "2026-01-02T00:00:00.000+0000"),
            ("", None),
        ],
    )
    def test_times(self, keyed, given, kept):
        keyed.create("Contact", LastName="A", Last_Visit__c=given)
        assert keyed.rows("SELECT Last_Visit__c FROM Contact") == [{"Last_Visit__c": kept}]

    def test_picklists(self, client):
        client.create("Lead", LastName="A", Company="B", Status="working - contacted", LeadSource="Own idea")
        assert client.rows("SELECT Status, LeadSource FROM Lead") == [
            {"Status": "Working - Contacted", "LeadSource": "Own idea"}
        ]
        assert refused(client, "Account", Name="A", CleanStatus="Spotless") == [
            {
                "message": "Clean Status: bad value for restricted picklist field: Spotless",
                "errorCode": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                "fields": ["CleanStatus"],
            }
        ]

    def test_references(self, client):
        account = client.create("Account", Name="A")
        contact = client.create("Contact", LastName="C", AccountId=account[:15])
        assert client.rows("SELECT AccountId FROM Contact") == [{"AccountId": account}]
        assert refused(client, "Contact", LastName="C", AccountId=contact) == [
            {
                "message": f"Account ID: id value of incorrect type: {contact}",
                "errorCode": "MALFORMED_ID",
                "fields": ["AccountId"],
            }
        ]
        missing = refused(client, "Contact", LastName="C", AccountId="001000000000000AAA")
        assert missing == [
            {
                "message": "invalid cross reference id",
                "errorCode": "INVALID_CROSS_REFERENCE_KEY",
                "fields": [],
            }
        ]
        assert refused(client, "Contact", LastName="C", AccountId="rubbish")[0]["errorCode"] == "MALFORMED_ID"
        client.delete(f"/sobjects/Account/{account}")
        reply = client.post("/sobjects/Contact", {"LastName": "C", "AccountId": account})
        assert reply.json()[0]["errorCode"] == "ENTITY_IS_DELETED"

    def test_a_parent_by_its_external_id(self, keyed):
        key = keyed.create("Contact", LastName="Boss", GPTWeb_Id__c="k1")
        keyed.create("Contact", LastName="Other", ReportsTo={"GPTWeb_Id__c": "K1"})
        assert keyed.rows("SELECT ReportsToId FROM Contact WHERE LastName = 'Other'") == [
            {"ReportsToId": key}
        ]
        assert refused(keyed, "Contact", LastName="C", ReportsTo={"GPTWeb_Id__c": "zz"}) == [
            {
                "message": "Foreign key external ID: zz not found for field GPTWeb_Id__c in entity Contact",
                "errorCode": "INVALID_FIELD",
            }
        ]

    def test_an_inactive_owner(self, client, admin):
        user = admin.rows("SELECT Id FROM User WHERE Username = 'admin@gptweb.example'")[0]["Id"]
        client.patch(f"/sobjects/User/{user}", {"IsActive": False})
        assert refused(client, "Account", Name="A", OwnerId=user) == [
            {
                "message": f"operation performed with inactive user [{user}] as owner of account",
                "errorCode": "INACTIVE_OWNER_OR_USER",
                "fields": [],
            }
        ]

    def test_unique_values(self, keyed):
        first = keyed.create("Contact", LastName="A", GPTWeb_Id__c="Key")
        assert refused(keyed, "Contact", LastName="B", GPTWeb_Id__c="kEY") == [
            {
                "message": f"duplicate value found: GPTWeb_Id__c duplicates value on record with id: {first[:15]}",
                "errorCode": "DUPLICATE_VALUE",
                "fields": [],
            }
        ]
        keyed.delete(f"/sobjects/Contact/{first}")
        keyed.create("Contact", LastName="B", GPTWeb_Id__c="key")

    def test_an_id_in_the_body_of_a_new_record(self, client):
        """REST:create-a-record; in a collection the same is told otherwise."""
        body = refused(client, "Account", id="001000000000001AAA", Name="A")
        message = "The Id field should not be specified in the sobject data."
        assert body == [{"message": message, "errorCode": "INVALID_FIELD"}]


class TestByExternalId:
    @pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
    def test_a_blank_key(self, client, method):
        reply = client.call(method, "/sobjects/Contact/Email/%20", json={"LastName": "A"})
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "MISSING_ARGUMENT")

    def test_upsert(self, keyed):
        made = keyed.patch("/sobjects/Contact/GPTWeb_Id__c/k%201", {"LastName": "A"})
        contact = made.json()["id"]
        assert made.status_code == 201
        assert made.json() == {"id": contact, "success": True, "errors": [], "created": True}
        again = keyed.patch("/sobjects/Contact/GPTWeb_Id__c/k%201", {"FirstName": "Z"})
        assert again.status_code == 200
        assert again.json() == {"id": contact, "success": True, "errors": [], "created": False}
        assert keyed.rows("SELECT Name, GPTWeb_Id__c FROM Contact") == [
            {"Name": "Z A", "GPTWeb_Id__c": "k 1"}
        ]
        read = keyed.get("/sobjects/Contact/GPTWeb_Id__c/K%201")
        assert read.json()["Id"] == contact

    def test_update_only(self, keyed):
        reply = keyed.patch("/sobjects/Contact/GPTWeb_Id__c/k1?updateOnly=true", {"LastName": "A"})
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (404, "NOT_FOUND")

    def test_old_versions_answer_without_a_body(self, keyed):
        old = "/services/data/v45.0/sobjects/Contact/GPTWeb_Id__c/k1"
        assert keyed.patch(old, {"LastName": "A"}).json().keys() == {"id", "success", "errors"}
        reply = keyed.patch(old, {"LastName": "A"})
        assert (reply.status_code, reply.content) == (204, b"")

    def test_any_lookup_field_will_do_and_may_be_ambiguous(self, client):
        ids = [client.create("Contact", LastName=name, Email="Same@x.example") for name in "AB"]
        reply = client.patch("/sobjects/Contact/Email/same@x.example", {"Title": "T"})
        assert reply.status_code == 300
        assert reply.json() == [f"/services/data/v66.0/sobjects/Contact/{one}" for one in ids]
        assert client.get("/sobjects/Contact/Email/same@x.example").status_code == 300

    def test_a_field_that_is_no_key(self, client):
        reply = client.patch("/sobjects/Account/Name/Acme", {"Phone": "1"})
        assert reply.status_code == 404
        assert reply.json() == [
            {
                "errorCode": "NOT_FOUND",
                "message": "Provided external ID field does not exist or is not accessible: Name",
            }
        ]

    def test_the_key_in_the_body(self, keyed):
        reply = keyed.patch("/sobjects/Contact/GPTWeb_Id__c/k1", {"LastName": "A", "GPTWeb_Id__c": "k1"})
        assert (
            reply.json()[0]["message"]
            == "The GPTWeb_Id__c field should not be specified in the sobject data."
        )

    def test_create_through_the_id_resource(self, client):
        assert client.post("/sobjects/Account/Id", {"Name": "A"}).status_code == 201


class TestConditionalHeaders:
    def test_optimistic_lock(self, client, admin):
        admin.post("/standin/clock", {"frozen": True})  # the header has whole seconds
        account = client.create("Account", Name="Acme")
        seen = client.get(f"/sobjects/Account/{account}").headers["Last-Modified"]
        path = f"/sobjects/Account/{account}"
        assert client.get(path, headers={"If-Modified-Since": seen}).status_code == 304
        assert client.patch(path, {"Phone": "1"}, headers={"If-Unmodified-Since": seen}).status_code == 204
        admin.post("/standin/clock", {"advance": 2})
        assert client.patch(path, {"Phone": "2"}, headers={"If-Unmodified-Since": seen}).status_code == 204
        assert client.patch(path, {"Phone": "3"}, headers={"If-Unmodified-Since": seen}).status_code == 412
        assert client.patch(path, {"Phone": "3"}, headers={"If-Unmodified-Since": "soon"}).status_code == 400
        assert client.rows("SELECT Phone FROM Account") == [{"Phone": "2"}]

    def test_tags_of_accounts(self, client):
        path = "/sobjects/Account/" + client.create("Account", Name="Acme")
        tag = client.get(path).headers["ETag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
        assert client.patch(path, {"Phone": "1"}, headers={"If-Match": tag}).status_code == 204
        assert client.patch(path, {"Phone": "2"}, headers={"If-Match": tag}).status_code == 412

    def test_a_tag_is_spelled_as_recorded_and_known_with_the_mark_of_compression(self, client):
        """Grouparoo's fixtures: "gTI7lF2oYMlDxM+gTW1a62nzqxfxxihRqAygUNh9DPs="; REST:conditional-request-headers."""
        path = "/sobjects/Account/" + client.create("Account", Name="Acme")
        tag = client.get(path).headers["ETag"]
        assert re.fullmatch(r'"[A-Za-z0-9+/]{43}="', tag)
        for known in (f'"other", {tag[:-1]}-gzip"', f'{tag[:-1]}--gzip"', f"W/{tag}"):
            assert client.get(path, headers={"If-None-Match": known}).status_code == 304


class TestRecorded:
    """What records of Grouparoo's fixtures have beside what was written."""

    def test_reading_a_record_is_looking_at_it(self, client, admin):
        """REST:mru-header: single records are looked at, unless the header says otherwise; queries never are."""
        admin.post("/standin/clock", {"frozen": True})
        path = "/sobjects/Contact/" + client.create("Contact", LastName="A")
        now = admin.get("/standin/clock").json()["now"]
        shown = client.get(path).json()
        assert (shown["LastViewedDate"], shown["LastReferencedDate"]) == (now, now)
        assert client.get(path, headers={"Sforce-Mru": "updateMru=false"}).json()["LastViewedDate"] is None
        assert client.rows("SELECT LastViewedDate FROM Contact") == [{"LastViewedDate": None}]

    def test_nobody_cleaned_a_new_record(self, client):
        client.create("Contact", LastName="A")
        assert client.rows("SELECT CleanStatus FROM Contact") == [{"CleanStatus": "Pending"}]

    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    def test_an_id_of_another_object(self, client, method):
        """REST:status-codes-and-error-responses; who reads finds nothing."""
        account = client.create("Account", Name="A")
        reply = client.call(method, f"/sobjects/Contact/{account}", json={"Phone": "1"})
        message = f"Contact ID: id value of incorrect type: {account}"
        assert (reply.status_code, reply.json()) == (
            400, [{"message": message, "errorCode": "MALFORMED_ID", "fields": ["Id"]}],
        )  # fmt: skip
        assert client.get(f"/sobjects/Contact/{account}").status_code == 404


def test_person_names(client):
    contact = client.create("Contact", FirstName="Ada", LastName="Lovelace")
    client.patch(f"/sobjects/Contact/{contact}", {"FirstName": None})
    row = client.rows("SELECT Name, PhotoUrl FROM Contact")[0]
    assert row == {"Name": "Lovelace", "PhotoUrl": f"/services/images/photo/{contact}"}
