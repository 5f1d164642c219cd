"""SOSL and parameterized search."""

import pytest

from tests.salesforce_standin.running import Client, Running, token_of


@pytest.fixture(scope="module")
def filled():
    """An account and three people; these tests only read."""
    running = Running()
    client = Client(running.base, token_of(running.base))
    account = client.create("Account", Name="Acme North", Phone="030 1234", Site="Ann's")
    for first, last, email in (
        ("Ann", "Smith", "ann.smith@acme.example"),
        ("Joe", "Smithson", "joe@other.example"),
        ("Joe", "Brown", None),
    ):
        client.create("Contact", FirstName=first, LastName=last, Email=email, AccountId=account)
    client.create("Lead", LastName="Acme", Company="Smith & Co")
    yield client
    client.http.close()
    running.stop()


def names(client: Client, sosl: str) -> list[str]:
    reply = client.get("/search", params={"q": sosl})
    assert reply.status_code == 200, reply.text
    return [record["Name"] for record in reply.json()["searchRecords"]]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("Smith", ["Ann Smith"]),
        ("smith*", ["Ann Smith", "Joe Smithson"]),
        ("sm?th", ["Ann Smith"]),
        ("joe smithson", ["Joe Smithson"]),
        ('"ann smith"', ["Ann Smith"]),
        ('"smith ann"', []),
        ("smithson OR brown", ["Joe Smithson", "Joe Brown"]),
        ("joe AND NOT brown", ["Joe Smithson"]),
        ("(ann OR joe) AND smith*", ["Ann Smith", "Joe Smithson"]),
        ("ann.smith@acme.example", ["Ann Smith"]),
        (r"ann\.smith", ["Ann Smith"]),
        ("nobody", []),
    ],
)
def test_terms(filled, term, found):
    assert names(filled, f"FIND {{{term}}} IN ALL FIELDS RETURNING Contact(Name)") == found


def test_the_fields_that_are_looked_through(filled):
    assert names(filled, "FIND {acme} IN NAME FIELDS RETURNING Contact(Name), Account(Name)") == [
        "Acme North"
    ]
    assert names(filled, "FIND {acme} IN EMAIL FIELDS RETURNING Contact(Name), Account(Name)") == [
        "Ann Smith"
    ]
    assert names(filled, "find {1234} in phone fields returning Account(Name)") == ["Acme North"]


def test_clauses_and_limits(filled):
    where = "FIND {joe OR ann} RETURNING Contact(Name WHERE LastName LIKE 'S%' AND Title IN (null) ORDER BY Name DESC)"
    assert names(filled, where) == ["Joe Smithson", "Ann Smith"]
    one = "FIND {joe} RETURNING Contact(Name ORDER BY LastName LIMIT 1 OFFSET 1), Lead(Name) LIMIT 5"
    assert names(filled, one) == ["Joe Smithson"]
    assert names(filled, "FIND {smith*} RETURNING Contact(Name) WITH METADATA='LABELS' LIMIT 1") == [
        "Ann Smith"
    ]


def test_without_objects_all_are_searched_and_ids_come(filled):
    records = filled.get("/search", params={"q": "FIND {Acme}"}).json()["searchRecords"]
    assert [(one["attributes"]["type"], list(one)) for one in records] == [
        ("Account", ["attributes", "Id"]),
        ("Contact", ["attributes", "Id"]),
        ("Lead", ["attributes", "Id"]),
    ]
    old = filled.get("/services/data/v36.0/search", params={"q": "FIND {Acme} RETURNING Lead"})
    assert [one["attributes"]["type"] for one in old.json()] == ["Lead"]


@pytest.mark.parametrize(
    ("sosl", "code"),
    [
        ("FIND Acme", "MALFORMED_SEARCH"),
        ("FIND {A}", "MALFORMED_SEARCH"),
        ("FIND {joe AND} RETURNING Contact", "MALFORMED_SEARCH"),
        ("FIND {(joe} RETURNING Contact", "MALFORMED_SEARCH"),
        ("FIND {joe)} RETURNING Contact", "MALFORMED_SEARCH"),
        ("FIND {joe} RETURNING Contact(Name", "MALFORMED_SEARCH"),
        ("FIND {joe} RETURNING Contact(Name) Lead", "MALFORMED_SEARCH"),
        ("FIND {joe} nonsense", "MALFORMED_SEARCH"),
        ("FIND {joe} RETURNING Nope", "INVALID_TYPE"),
        ("FIND {joe} RETURNING Contact(Nope)", "INVALID_FIELD"),
    ],
)
def test_refusals(filled, sosl, code):
    reply = filled.get("/search", params={"q": sosl})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)


def test_parameters_in_the_address_and_in_the_body(filled):
    asked = {"q": "smith*", "sobject": "Contact", "Contact.fields": "Name,Email", "Contact.limit": "1"}
    (record,) = filled.get("/parameterizedSearch", params=asked).json()["searchRecords"]
    assert (record["Name"], record["Email"]) == ("Ann Smith", "ann.smith@acme.example")
    body = {
        "q": "Smith*",
        "in": "NAME",
        "fields": ["Name"],
        "sobjects": [{"name": "Contact", "where": "LastName = 'Smithson'"}, {"name": "Lead"}],
        "overallLimit": 10,
    }
    records = filled.post("/parameterizedSearch", body).json()["searchRecords"]
    assert [one["Name"] for one in records] == ["Joe Smithson"]
    assert filled.post("/parameterizedSearch", {}).json()[0]["errorCode"] == "MISSING_ARGUMENT"
