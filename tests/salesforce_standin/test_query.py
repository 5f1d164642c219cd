"""SOQL: what it finds, how it is shown, how it is refused."""

from typing import Any

import pytest

from tests.salesforce_standin.running import Client, Running, provide, token_of

HELP = "Please reference your WSDL or the describe call for the appropriate names."
NO_FIELD = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    + HELP
)
NO_TYPE = (
    "If you are attempting to use a custom object, be sure to append the '__c' after the entity name. " + HELP
)
NO_RELATION = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. "
    + HELP
)


@pytest.fixture(scope="module")
def filled():
    """Three accounts and five contacts, one of them deleted; these tests only read."""
    running = Running()
    keyed = Client(running.base, token_of(running.base))
    provide(keyed, "Contact")
    _fill(keyed)
    yield keyed
    keyed.http.close()
    running.stop()


def _fill(keyed: Client) -> None:
    accounts = [
        keyed.create("Account", Name=name, NumberOfEmployees=size, Industry=industry)
        for name, size, industry in (
            ("Acme", 10, "Energy"),
            ("beta", 200, "Energy"),
            ("Ćevap & Söhne", None, None),
        )
    ]
    people = [
        ("Ada", "Lovelace", 0),
        ("Bob", "O'Brien", 0),
        (None, "zorro", 1),
        ("Émile", "Zola", None),
        ("Gone", "Away", 0),
    ]
    contact = ""
    for place, (first, last, owner) in enumerate(people):
        contact = keyed.create(
            "Contact",
            FirstName=first,
            LastName=last,
            AccountId=None if owner is None else accounts[owner],
            GPTWeb_Id__c=f"Key-{place}",
            Email=f"P{place}@Example.com",
            Score__c=place * 1.5,
            Description="100%_sure" if place == 0 else None,
            Last_Visit__c=f"2026-11-{10 + place}T10:00:00Z",
            Birthdate=f"198{place}-05-05",
        )
    keyed.delete(f"/sobjects/Contact/{contact}")


def names(client: Client, where: str, path: str = "/query") -> list[str]:
    order = " ORDER BY GPTWeb_Id__c"
    return [
        row["LastName"] for row in client.rows(f"SELECT LastName FROM Contact WHERE {where}{order}", path)
    ]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("LastName = 'LOVELACE'", ["Lovelace"]),
        ("LastName = 'O\\'Brien'", ["O'Brien"]),
        ("LastName != 'zola'", ["Lovelace", "O'Brien", "zorro"]),
        ("FirstName = null", ["zorro"]),
        ("FirstName != null AND LastName LIKE '%O%'", ["Lovelace", "O'Brien", "Zola"]),
        ("LastName LIKE 'Z_la'", ["Zola"]),
        ("Name LIKE 'ada %'", ["Lovelace"]),
        ("LastName > 'o'", ["O'Brien", "zorro", "Zola"]),
        ("LastName IN ('zola', 'LOVELACE')", ["Lovelace", "Zola"]),
        ("LastName NOT IN ('zola', 'LOVELACE')", ["O'Brien", "zorro"]),
        ("Score__c >= 1.5 AND Score__c < 4.5", ["O'Brien", "zorro"]),
        ("Score__c = 0", ["Lovelace"]),
        ("Email = 'p1@example.com'", ["O'Brien"]),
        ("GPTWeb_Id__c IN ('key-0', 'KEY-2')", ["Lovelace", "zorro"]),
        ("Is_DQL__c = false", ["Lovelace", "O'Brien", "zorro", "Zola"]),
        ("Is_DQL__c = null", ["Lovelace", "O'Brien", "zorro", "Zola"]),
        ("Account.Name = 'acme'", ["Lovelace", "O'Brien"]),
        ("Account.Industry = null", ["Zola"]),
        ("AccountId = null", ["Zola"]),
        ("AccountId IN (SELECT Id FROM Account WHERE NumberOfEmployees > 100)", ["zorro"]),
        ("AccountId NOT IN (SELECT Id FROM Account WHERE NumberOfEmployees > 100) AND AccountId != null",
         ["Lovelace", "O'Brien"]),
        ("(LastName = 'Zola' OR LastName = 'zorro') AND FirstName != null", ["Zola"]),
        ("NOT (LastName LIKE 'z%')", ["Lovelace", "O'Brien"]),
        ("NOT LastName = 'Zola' AND NOT LastName = 'zorro'", ["Lovelace", "O'Brien"]),
        ("Last_Visit__c > 2026-11-11T10:00:00Z", ["zorro", "Zola"]),
        ("Last_Visit__c >= 2026-11-11T11:00:00+01:00", ["O'Brien", "zorro", "Zola"]),
        ("Last_Visit__c = 2026-11-11T10:00:00.000Z", ["O'Brien"]),
        ("Birthdate < 1982-01-01", ["Lovelace", "O'Brien"]),
        ("CreatedDate = TODAY", ["Lovelace", "O'Brien", "zorro", "Zola"]),
        ("CreatedDate >= LAST_N_DAYS:3", ["Lovelace", "O'Brien", "zorro", "Zola"]),
        ("CreatedDate < YESTERDAY", []),
        ("SystemModstamp >= 2020-01-01T00:00:00Z AND LastName = 'Zola'", ["Zola"]),
        ("Owner.Username LIKE 'integration@%'", ["Lovelace", "O'Brien", "zorro", "Zola"]),
        ("Name = 'x' OR LastName = 'Zola'", ["Zola"]),
    ],
)  # fmt: skip
def test_conditions(filled, where, found):
    assert names(filled, where) == found


def test_deleted_rows(filled):
    assert names(filled, "LastName = 'Away'") == []
    assert names(filled, "LastName = 'Away'", "/queryAll") == ["Away"]
    assert names(filled, "IsDeleted = true", "/queryAll") == ["Away"]
    assert names(filled, "GPTWeb_Id__c = 'key-4'", "/queryAll") == ["Away"]


def test_a_boundary_of_ids(filled):
    first = filled.rows("SELECT Id FROM Contact ORDER BY Id LIMIT 1")[0]["Id"]
    assert len(filled.rows(f"SELECT Id FROM Contact WHERE Id > '{first[:15]}'")) == 3
    assert len(filled.rows(f"SELECT Id FROM Contact WHERE Id = '{first[:15]}'")) == 1


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("LastName", ["Lovelace", "O'Brien", "Zola", "zorro"]),
        ("LastName DESC", ["zorro", "Zola", "O'Brien", "Lovelace"]),
        ("FirstName", ["zorro", "Lovelace", "O'Brien", "Zola"]),
        ("FirstName ASC NULLS LAST, Id", ["Lovelace", "O'Brien", "Zola", "zorro"]),
        ("Account.Name, LastName DESC", ["Zola", "O'Brien", "Lovelace", "zorro"]),
        ("SystemModstamp, Id", ["Lovelace", "O'Brien", "zorro", "Zola"]),
        ("LastName LIMIT 2 OFFSET 1", ["O'Brien", "Zola"]),
    ],
)
def test_order(filled, order, found):
    assert [row["LastName"] for row in filled.rows(f"SELECT LastName FROM Contact ORDER BY {order}")] == found


def test_shapes(filled):
    soql = "SELECT Id, lastname, Account.Name, Account.Owner.Alias FROM Contact WHERE LastName IN ('Zola', 'zorro') ORDER BY Name"  # É sorts as E
    body = filled.query(soql).json()
    assert list(body) == ["totalSize", "done", "records"]
    zola, zorro = body["records"]
    assert list(zola) == ["attributes", "Id", "LastName", "Account"]
    assert zola["Account"] is None
    assert zola["attributes"] == {
        "type": "Contact",
        "url": f"/services/data/v66.0/sobjects/Contact/{zola['Id']}",
    }
    assert list(zorro["Account"]) == ["attributes", "Name", "Owner"]
    assert (zorro["Account"]["Name"], zorro["Account"]["Owner"]["Alias"]) == ("beta", "gptweb")
    assert (
        filled.query("SELECT Id FROM Contact WHERE LastName = 'nobody'").text
        == '{"totalSize":0,"done":true,"records":[]}'
    )


def test_children(filled):
    rows = filled.rows(
        "SELECT Name, (SELECT LastName FROM Contacts ORDER BY LastName DESC) FROM Account ORDER BY Name"
    )
    acme = rows[0]["Contacts"]
    assert (acme["totalSize"], acme["done"]) == (2, True)
    assert [child["LastName"] for child in acme["records"]] == ["O'Brien", "Lovelace"]
    assert rows[2]["Contacts"] is None


class TestPolymorphicOwners:
    """SOQL:typeof, on the owner of a lead, which is a user or a queue."""

    @pytest.fixture
    def owned(self, client):
        queue = client.create("Group", Name="Fair", Type="Queue")
        mine = client.create("Lead", LastName="Mine", Company="C")
        client.create("Lead", LastName="Nobody's", Company="C", OwnerId=queue)
        return client, mine

    def owners(self, client: Client, typeof: str) -> list[Any]:
        rows = client.rows(f"SELECT TYPEOF Owner {typeof} END FROM Lead ORDER BY LastName")
        return [
            owner and {k: v for k, v in owner.items() if k != "attributes"}
            for owner in (r["Owner"] for r in rows)
        ]

    def test_fields_depend_on_the_kind(self, owned):
        client, _ = owned
        found = self.owners(client, "WHEN User THEN Username, Profile.Name WHEN Group THEN Name")
        assert list(found[0]) == ["Username", "Profile"]
        assert found[1] == {"Name": "Fair"}
        assert self.owners(client, "WHEN Group THEN Type") == [None, {"Type": "Queue"}]
        assert list(self.owners(client, "WHEN group THEN Type ELSE Name")[0]) == ["Name"]

    def test_the_kind_can_be_shown_and_asked_for(self, owned):
        client, mine = owned
        rows = client.rows("SELECT Owner.Type FROM Lead ORDER BY LastName")
        assert [row["Owner"]["Type"] for row in rows] == ["User", "Queue"]
        assert [row["Id"] for row in client.rows("SELECT Id FROM Lead WHERE Owner.Type = 'User'")] == [mine]

    @pytest.mark.parametrize(
        "soql",
        [
            "SELECT TYPEOF Account WHEN Account THEN Name END FROM Contact",
            "SELECT TYPEOF Owner WHEN Account THEN Name END FROM Lead",
            "SELECT TYPEOF Owner WHEN User THEN Name FROM Lead",
            "SELECT TYPEOF Owner ELSE Name END FROM Lead",
            "SELECT TYPEOF Owner WHEN User THEN Nope END FROM Lead",
            "SELECT TYPEOF Nothing WHEN User THEN Name END FROM Lead",
        ],
    )
    def test_what_is_refused(self, client, soql):
        reply = client.query(soql)
        assert (reply.status_code, reply.json()[0]["errorCode"]) in (
            (400, "MALFORMED_QUERY"),
            (400, "INVALID_FIELD"),
        )
        bulk = client.post(
            "/jobs/query",
            {"operation": "query", "query": "SELECT TYPEOF Owner WHEN User THEN Name END FROM Lead"},
        )
        assert bulk.status_code == 400


def test_counting_and_grouping(filled):
    assert filled.query("SELECT COUNT() FROM Contact").json() == {"totalSize": 4, "done": True, "records": []}
    assert filled.query("select count(Id) from Contact").json()["records"] == [
        {"attributes": {"type": "AggregateResult"}, "expr0": 4}
    ]
    rows = filled.rows(
        "SELECT Industry, COUNT(Id) n, MAX(NumberOfEmployees), MIN(Name) FROM Account GROUP BY Industry ORDER BY Industry"
    )
    assert rows == [
        {"Industry": None, "n": 1, "expr0": None, "expr1": "Ćevap & Söhne"},
        {"Industry": "Energy", "n": 2, "expr0": 200, "expr1": "Acme"},
    ]
    rows = filled.rows("SELECT Industry FROM Account GROUP BY Industry HAVING COUNT(Id) > 1")
    assert rows == [{"Industry": "Energy"}]


def test_fields_functions(filled):
    row = filled.rows("SELECT FIELDS(CUSTOM) FROM Contact LIMIT 1")[0]
    assert list(row) == ["GPTWeb_Id__c", "Score__c", "Is_DQL__c", "Last_Visit__c"]
    assert len(filled.rows("SELECT FIELDS(STANDARD) FROM Contact")[0]) == 61
    reply = filled.query("SELECT FIELDS(ALL) FROM Contact")
    assert reply.json()[0]["message"].endswith("The SOQL FIELDS function must have a LIMIT of at most 200")


@pytest.mark.parametrize(
    ("soql", "caret", "code", "text"),
    [
        ("select count() from XYZZY", 21, "INVALID_TYPE", f"sObject type 'XYZZY' is not supported. {NO_TYPE}"),
        ("SELECT Id, Nope FROM Contact", 12, "INVALID_FIELD", f"No such column 'Nope' on entity 'Contact'. {NO_FIELD}"),
        ("SELECT Id FROM Contact WHERE No__c = 1", 30, "INVALID_FIELD",
         f"No such column 'No__c' on entity 'Contact'. {NO_FIELD}"),
        ("SELECT Id FORM Contact", 11, "MALFORMED_QUERY", "unexpected token: 'FORM'"),
        ("SELECT Id FROM Contact WHERE Name = 'a' AND Email = 'b' OR Phone = 'c'", 57, "MALFORMED_QUERY",
         "unexpected token: 'OR'"),
        ("SELECT Id FROM Contact LIMIT x", 30, "MALFORMED_QUERY", "unexpected token: 'x'"),
        ("SELECT Id FROM Contact WHERE Description = 'x'", 30, "INVALID_FIELD",
         "field 'Description' can not be filtered in a query call"),
        ("SELECT Id FROM Contact ORDER BY Description", 33, "INVALID_FIELD",
         "field 'Description' can not be sorted in a query call"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2020'", 30, "INVALID_FIELD",
         "value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE LastName = 3", 30, "INVALID_FIELD",
         "value of filter criterion for field 'LastName' must be of type string and should be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE Id = 'xyz'", 30, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: xyz"),
        ("SELECT Id, Foo.Name FROM Contact", 12, "INVALID_FIELD",
         f"Didn't understand relationship 'Foo' in field path. {NO_RELATION}"),
        ("SELECT Id, Id FROM Contact", 12, "MALFORMED_QUERY", "duplicate field selected: Id"),
        ("SELECT COUNT(Id) FROM Contact ORDER BY Name", 40, "MALFORMED_QUERY",
         "Ordered field must be grouped or aggregated: Name"),
        ("SELECT Name, COUNT(Id) FROM Contact", 8, "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
    ],
)  # fmt: skip
def test_refusals(client, soql, caret, code, text):
    reply = client.query(soql)
    assert reply.status_code == 400
    message = f"\n{soql}\n{' ' * (caret - 1)}^\nERROR at Row:1:Column:{caret}\n{text}"
    assert reply.json() == [{"message": message, "errorCode": code}]


def test_the_row_of_an_error(client):
    message = client.query("SELECT Id,\n  Nope\nFROM Contact").json()[0]["message"]
    assert message.startswith("\n  Nope\n  ^\nERROR at Row:2:Column:3\n")


@pytest.mark.parametrize(
    ("query", "message"),
    [({}, "A query string has to be specified"), ({"q": " "}, "SOQL statements cannot be empty or null")],
)
def test_no_query(client, query, message):
    """Seen in replies that public clients keep as examples."""
    reply = client.get("/query", params=query)
    assert (reply.status_code, reply.json()) == (400, [{"message": message, "errorCode": "MALFORMED_QUERY"}])


def test_a_query_is_explained_and_not_run(client):
    """REST:get-feedback-on-query-performance-beta."""
    for name in "ABCD":
        client.create("Account", Name=name)
    body = client.get(
        "/query", params={"explain": "SELECT Id FROM Account WHERE Name = 'A' AND Fax = '1'"}
    ).json()
    assert list(body) == ["plans"]
    first, second = body["plans"]
    assert list(first) == [
        "cardinality", "fields", "leadingOperationType", "notes", "relativeCost", "sobjectCardinality", "sobjectType",
    ]  # fmt: skip
    assert (first["leadingOperationType"], first["fields"], first["sobjectCardinality"]) == (
        "Index",
        ["Name"],
        4,
    )
    assert (second["leadingOperationType"], second["fields"]) == ("TableScan", [])
    assert first["notes"][0]["tableEnumOrId"] == first["sobjectType"] == "Account"
    refused = client.get("/query", params={"explain": "SELECT Nope FROM Account"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_offset_limit(client):
    reply = client.query("SELECT Id FROM Account OFFSET 2001")
    assert reply.json() == [
        {"message": "Maximum SOQL offset allowed is 2000", "errorCode": "NUMBER_OUTSIDE_VALID_RANGE"}
    ]


class TestPages:
    @pytest.fixture
    def many(self, keyed):
        for start in range(0, 600, 200):
            rows = [
                {"attributes": {"type": "Contact"}, "GPTWeb_Id__c": f"k{i:04}", "LastName": f"L{i}"}
                for i in range(start, start + 200)
            ]
            keyed.patch("/composite/sobjects/Contact/GPTWeb_Id__c", {"records": rows})
        return keyed

    def test_pages_show_the_rows_as_they_were(self, many, standin):
        soql = "SELECT Id, LastName FROM Contact ORDER BY GPTWeb_Id__c"
        first = many.query(soql, headers={"Sforce-Query-Options": "batchSize=250"}).json()
        assert list(first) == ["totalSize", "done", "nextRecordsUrl", "records"]
        assert (first["totalSize"], first["done"], len(first["records"])) == (600, False, 250)
        last = many.rows("SELECT Id FROM Contact WHERE LastName = 'L599'")[0]["Id"]
        many.patch(f"/sobjects/Contact/{last}", {"LastName": "changed"})
        address = first["nextRecordsUrl"]
        assert address.startswith("/services/data/v66.0/query/01g")
        assert address.endswith("-250")
        second = many.get(address).json()
        third = many.get(second["nextRecordsUrl"]).json()
        assert (third["done"], third["records"][-1]["LastName"], len(third["records"])) == (True, "L599", 100)

    def test_a_bad_or_old_cursor(self, many, admin):
        assert many.get("/query/nonsense").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
        reply = many.get("/query/01g5g0000000001AAA-2000")
        assert reply.status_code == 400
        assert reply.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
        options = {"Sforce-Query-Options": "batchSize=200"}
        address = admin.query("SELECT Id FROM Contact", headers=options).json()["nextRecordsUrl"]
        admin.post("/standin/clock", {"advance": 2 * 86400 + 1})
        assert admin.get(address).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"

    def test_the_least_batch_is_200(self, many):
        body = many.query("SELECT Id FROM Contact", headers={"Sforce-Query-Options": "batchSize=5"}).json()
        assert len(body["records"]) == 200
