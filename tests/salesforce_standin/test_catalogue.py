"""Objects whose rows tell of the org itself: fields, statuses of leads, what a user may do, what was seen last."""

import pytest

from tests.salesforce_standin.running import ADMIN_TOKEN, Client, provide


@pytest.fixture
def anna(client, standin):
    """A sales person, who sees everybody's records as long as the org's defaults say so."""
    token = client.post("/standin/sessions", {"username": "anna.sales@example.com"}).json()["access_token"]
    made = Client(standin.base, token)
    yield made
    made.http.close()


def user_id(client: Client) -> str:
    return str(client.get("/services/oauth2/userinfo").json()["user_id"])


def access(client: Client, user: str, *records: str) -> list[dict[str, object]]:
    listed = ", ".join(f"'{one}'" for one in records)
    soql = (
        "SELECT RecordId, HasReadAccess, HasEditAccess, HasAllAccess, MaxAccessLevel FROM UserRecordAccess"
        f" WHERE UserId = '{user}' AND RecordId IN ({listed})"
    )
    return client.rows(soql)


def test_the_fields_of_an_object(client):
    provide(client, "Contact")
    soql = "SELECT QualifiedApiName, DataType, IsNillable FROM FieldDefinition WHERE EntityDefinition.QualifiedApiName = 'Contact'"
    found = {row["QualifiedApiName"]: row for row in client.rows(soql)}
    assert found["LastName"] == {
        "QualifiedApiName": "LastName",
        "DataType": "Text(80)",
        "IsNillable": False,
    }
    shown = {
        name: found[name]["DataType"]
        for name in ("AccountId", "Birthdate", "CreatedDate", "Email", "GPTWeb_Id__c")
    }
    assert shown == {
        "AccountId": "Lookup(Account)",
        "Birthdate": "Date",
        "CreatedDate": "Date/Time",
        "Email": "Email",
        "GPTWeb_Id__c": "Text(36)",
    }
    described = {one["name"] for one in client.get("/sobjects/Contact/describe").json()["fields"]}
    assert set(found) == described
    one = "SELECT Label FROM FieldDefinition WHERE DurableId = 'Lead.Company'"
    assert client.rows(one) == client.rows(one, "/tooling/query") == [{"Label": "Company"}]
    two = "SELECT COUNT() FROM FieldDefinition WHERE EntityDefinitionId IN ('Lead', 'Contact') AND DeveloperName = 'Email'"
    assert client.query(two).json()["totalSize"] == 2
    refused = client.query("SELECT DurableId FROM FieldDefinition").json()[0]
    assert refused["errorCode"] == "MALFORMED_QUERY"
    assert (
        "FieldDefinition: a filter on a reified column is required [EntityDefinitionId,DurableId]"
        in refused["message"]
    )


def test_the_statuses_of_leads(client):
    converted = client.rows("SELECT MasterLabel FROM LeadStatus WHERE IsConverted = true")
    assert converted == [{"MasterLabel": "Closed - Converted"}]
    lead = client.create("Lead", LastName="L", Company="C")
    (usual,) = client.rows("SELECT ApiName FROM LeadStatus WHERE IsDefault = true")
    assert client.rows(f"SELECT Status FROM Lead WHERE Id = '{lead}'") == [{"Status": usual["ApiName"]}]


def test_what_a_user_may_do_with_records(client, anna):
    mine, hers = client.create("Account", Name="Mine"), anna.create("Account", Name="Hers")
    full = {"HasReadAccess": True, "HasEditAccess": True, "HasAllAccess": True, "MaxAccessLevel": "All"}
    assert access(client, user_id(client), mine) == [{"RecordId": mine, **full}]
    assert access(client, user_id(anna), hers[:15]) == [{"RecordId": hers, **full}]
    (edits,) = access(client, user_id(anna), mine)
    assert (edits["MaxAccessLevel"], edits["HasAllAccess"]) == ("Edit", False)
    client.post("/standin/organization", {"DefaultAccountAccess": "Read"})
    assert [row["MaxAccessLevel"] for row in access(client, user_id(anna), mine, hers)] == ["Read", "All"]
    client.post("/standin/organization", {"DefaultAccountAccess": "None"})
    (none,) = access(client, user_id(anna), mine)
    assert (none["MaxAccessLevel"], none["HasReadAccess"]) == ("None", False)
    assert access(anna, user_id(anna), mine) == []  # who asks does not see the record either
    soql = f"SELECT RecordId FROM UserRecordAccess WHERE UserId = '{user_id(anna)}' AND RecordId = '{mine}' AND HasReadAccess = true"
    assert client.rows(soql) == []
    refused = client.query("SELECT RecordId FROM UserRecordAccess")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "MALFORMED_QUERY")


def test_what_was_seen_last(client, standin):
    account = client.create("Account", Name="Acme")
    contact = client.create("Contact", LastName="Doe", Email="doe@example.com")
    seen = client.rows("SELECT Id, Name, Type, Email FROM RecentlyViewed WHERE Type != 'Lead' ORDER BY Type")
    assert seen == [
        {"Id": account, "Name": "Acme", "Type": "Account", "Email": None},
        {"Id": contact, "Name": "Doe", "Type": "Contact", "Email": "doe@example.com"},
    ]
    other = Client(standin.base, ADMIN_TOKEN)
    assert other.rows("SELECT Id FROM RecentlyViewed") == []
    other.http.close()
