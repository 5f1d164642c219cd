"""sObject Collections: an outcome per row, and the limits of a call."""

from typing import Any

import requests

from tests.salesforce_standin.running import Client

ROLLED_BACK = {
    "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "message": "Record rolled back because not all records were valid and the request was using AllOrNone header",
    "fields": [],
}
MISSING = {
    "statusCode": "REQUIRED_FIELD_MISSING",
    "message": "Required fields are missing: [Name]",
    "fields": ["Name"],
}


def record(kind: str, **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind}, **values}


def contacts(*keys: str, **values: Any) -> list[dict[str, Any]]:
    return [record("Contact", GPTWeb_Id__c=key, LastName=f"L {key}", **values) for key in keys]


def upsert(client: Client, records: list[dict[str, Any]], **options: Any) -> requests.Response:
    return client.patch("/composite/sobjects/Contact/GPTWeb_Id__c", {"records": records, **options})


def test_create_update_delete(client):
    reply = client.post(
        "/composite/sobjects",
        {"allOrNone": False, "records": [record("Account", Name="A"), record("Account")]},
    )
    good, bad = reply.json()
    assert reply.status_code == 200
    assert good == {"id": good["id"], "success": True, "errors": []}
    assert bad == {"success": False, "errors": [MISSING]}
    reply = client.patch(
        "/composite/sobjects",
        {
            "records": [
                record("Account", id=good["id"], Phone="1"),
                record("Account", Phone="2"),
                record("Account", Id="zz"),
            ]
        },
    )
    assert reply.json() == [
        {"id": good["id"], "success": True, "errors": []},
        {
            "success": False,
            "errors": [
                {
                    "statusCode": "MISSING_ARGUMENT",
                    "message": "Id not specified in an update call",
                    "fields": [],
                }
            ],
        },
        {
            "success": False,
            "errors": [
                {
                    "statusCode": "MALFORMED_ID",
                    "message": "Account ID: id value of incorrect type: zz",
                    "fields": ["Id"],
                }
            ],
        },
    ]
    reply = client.delete(f"/composite/sobjects?ids={good['id']},{good['id']}&allOrNone=false")
    assert reply.json() == [
        {"id": good["id"], "success": True, "errors": []},
        {
            "success": False,
            "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted", "fields": []}],
        },
    ]


def test_upsert_says_what_was_created(keyed):
    assert [item["created"] for item in upsert(keyed, contacts("a", "b")).json()] == [True, True]
    assert [item["created"] for item in upsert(keyed, contacts("b", "c")).json()] == [False, True]


def test_upsert_with_the_same_key_twice(keyed):
    items = upsert(keyed, contacts("a", "b", "A")).json()
    assert [item["success"] for item in items] == [False, True, False]
    assert items[0]["errors"] == [
        {
            "statusCode": "DUPLICATE_VALUE",
            "message": "Duplicate external id specified: a",
            "fields": ["GPTWeb_Id__c"],
        }
    ]


def test_upsert_without_a_key(keyed):
    item = upsert(keyed, [record("Contact", LastName="A", GPTWeb_Id__c="")]).json()[0]
    assert item["errors"] == [
        {"statusCode": "MISSING_ARGUMENT", "message": "GPTWeb_Id__c not specified", "fields": []}
    ]


def test_upsert_by_email_and_by_a_null_id(client):
    rows = [record("Contact", LastName="A", Email="a@x.example")]
    first = client.patch("/composite/sobjects/Contact/Email", {"records": rows}).json()[0]
    assert first["created"] is True
    assert client.patch("/composite/sobjects/Contact/Email", {"records": rows}).json() == [
        {**first, "created": False}
    ]
    made = client.patch(
        "/composite/sobjects/Account/Id", {"records": [record("Account", Name="A", Id=None)]}
    ).json()[0]
    assert made == {"id": made["id"], "success": True, "errors": [], "created": True}


def test_upsert_of_an_ambiguous_key(client):
    for name in "AB":
        client.create("Contact", LastName=name, Email="a@x.example")
    rows = [record("Contact", LastName="C", Email="a@x.example")]
    item = client.patch("/composite/sobjects/Contact/Email", {"records": rows}).json()[0]
    assert item["errors"][0]["statusCode"] == "DUPLICATE_EXTERNAL_ID"


def test_all_or_none(client):
    rows = [record("Account", Name="A"), record("Account"), record("Account", Name="C")]
    items = client.post("/composite/sobjects", {"allOrNone": True, "records": rows}).json()
    assert items == [
        {"success": False, "errors": [ROLLED_BACK]},
        {"success": False, "errors": [MISSING]},
        {"success": False, "errors": [ROLLED_BACK]},
    ]
    assert client.rows("SELECT Id FROM Account") == []


def test_rows_of_one_call_share_their_stamp(keyed):
    upsert(keyed, contacts(*[f"k{i}" for i in range(200)]))
    assert len({row["SystemModstamp"] for row in keyed.rows("SELECT SystemModstamp FROM Contact")}) == 1


def test_the_cap_of_200(client):
    reply = client.post("/composite/sobjects", {"records": [record("Account", Name="A")] * 201})
    assert reply.status_code == 400
    assert reply.json() == [
        {
            "message": "record limit reached. cannot submit more than 200 records into this call",
            "errorCode": "EXCEEDED_ID_LIMIT",
        }
    ]


def test_ten_runs_of_a_type(client):
    mixed = [record("Account", Name="A"), record("Contact", LastName="B")]
    assert all(item["success"] for item in client.post("/composite/sobjects", {"records": mixed * 5}).json())
    reply = client.post("/composite/sobjects", {"records": mixed * 5 + mixed[:1]})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


def test_malformed_calls(client):
    for body in ({}, {"records": [1]}, {"records": [{"Name": "A"}]}):
        assert client.post("/composite/sobjects", body).status_code == 400


def test_retrieve(client):
    first, second = client.create("Account", Name="A"), client.create("Account", Name="B")
    client.delete(f"/sobjects/Account/{first}")
    shown = {
        "attributes": {"type": "Account", "url": f"/services/data/v66.0/sobjects/Account/{second}"},
        "Id": second,
        "Name": "B",
    }
    wanted = [second, first, "001000000000000AAA", second[:15]]
    posted = client.post("/composite/sobjects/Account", {"ids": wanted, "fields": ["id", "name"]})
    assert posted.json() == [shown, None, None, shown]
    got = client.get(f"/composite/sobjects/Account?ids={','.join(wanted)}&fields=Id,Name")
    assert got.json() == posted.json()
    bad = client.post("/composite/sobjects/Account", {"ids": wanted, "fields": ["Nope"]})
    assert (bad.status_code, bad.json()[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_converted_leads_are_read_only(client, admin):
    lead = client.create("Lead", LastName="L", Company="C")
    admin.post("/standin/records/convert", {"leadId": lead})
    item = client.patch("/composite/sobjects", {"records": [record("Lead", id=lead, Phone="1")]}).json()[0]
    assert item["errors"] == [
        {
            "statusCode": "CANNOT_UPDATE_CONVERTED_LEAD",
            "message": "cannot reference converted lead",
            "fields": [],
        }
    ]
