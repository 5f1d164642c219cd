"""Functions in SOQL, and the description of a query's columns, which command lines ask for with every query."""

import pytest

from tests.salesforce_standin.running import Client, Running, token_of


@pytest.fixture(scope="module")
def dated():
    """Three contacts of three days; these tests only read."""
    running = Running()
    client = Client(running.base, token_of(running.base))
    account = client.create("Account", Name="Acme", AnnualRevenue=5)
    for name, born in (("A", "2024-01-07"), ("B", "2024-12-31"), ("C", "2025-04-10")):
        client.create("Contact", LastName=name, Birthdate=born, AccountId=account)
    yield client
    client.http.close()
    running.stop()


@pytest.mark.parametrize(
    ("function", "values"),
    [
        ("CALENDAR_YEAR", [2024, 2024, 2025]),
        ("CALENDAR_QUARTER", [1, 4, 2]),
        ("CALENDAR_MONTH", [1, 12, 4]),
        ("FISCAL_YEAR", [2024, 2024, 2025]),
        ("DAY_IN_MONTH", [7, 31, 10]),
        ("DAY_IN_WEEK", [1, 3, 5]),
        ("DAY_IN_YEAR", [7, 366, 100]),
        ("WEEK_IN_MONTH", [1, 5, 2]),
        ("WEEK_IN_YEAR", [1, 53, 15]),
    ],
)
def test_parts_of_a_date(dated, function, values):
    for name, value in zip("ABC", values, strict=True):
        soql = f"SELECT LastName FROM Contact WHERE {function}(Birthdate) = {value} ORDER BY LastName"
        assert {"LastName": name} in dated.rows(soql)
        assert len(dated.rows(soql)) == values.count(value)


def test_groups_by_a_part_of_a_date(dated):
    soql = (
        "SELECT CALENDAR_YEAR(Birthdate), COUNT(Id) n, MAX(LastName) FROM Contact"
        " GROUP BY CALENDAR_YEAR(Birthdate) ORDER BY CALENDAR_YEAR(Birthdate) DESC"
    )
    assert dated.rows(soql) == [{"expr0": 2025, "n": 1, "expr1": "C"}, {"expr0": 2024, "n": 2, "expr1": "B"}]


def test_the_day_and_the_hour_of_a_moment(dated):
    stamp = dated.rows("SELECT CreatedDate FROM Contact LIMIT 1")[0]["CreatedDate"]
    soql = (
        f"SELECT DAY_ONLY(CreatedDate) d, HOUR_IN_DAY(CreatedDate) h FROM Contact WHERE CreatedDate <= {stamp[:-5]}Z"
        " GROUP BY DAY_ONLY(CreatedDate), HOUR_IN_DAY(CreatedDate)"
    )
    assert dated.rows(soql) == [{"d": stamp[:10], "h": int(stamp[11:13])}]


def test_where_a_function_may_not_stand(dated):
    no_group = dated.query("SELECT CALENDAR_YEAR(Birthdate) FROM Contact").json()[0]
    assert no_group["errorCode"] == "MALFORMED_QUERY"
    no_date = dated.query("SELECT Id FROM Contact WHERE CALENDAR_YEAR(LastName) = 1").json()[0]
    assert no_date["errorCode"] == "INVALID_FIELD"


def test_a_label_under_a_name_of_its_own(dated):
    (row,) = dated.rows("SELECT Name, toLabel(Industry) shown, convertCurrency(AnnualRevenue) FROM Account")
    assert row == {"Name": "Acme", "shown": None, "AnnualRevenue": 5}


def test_columns_of_a_query(dated):
    soql = "SELECT Id, Name, Owner.Name, Owner.Email, (SELECT LastName FROM Contacts) FROM Account"
    body = dated.query(soql).json()
    assert "columnMetadata" not in body
    told = dated.get("/query", params={"q": soql, "columns": "true"}).json()
    columns = told.pop("columnMetadata")
    assert told == {"entityName": "Account", "groupBy": False, "idSelected": True, "keyPrefix": "001"}
    assert columns[1] == {
        "aggregate": False,
        "apexType": "String",
        "booleanType": False,
        "columnName": "Name",
        "custom": False,
        "displayName": "Name",
        "foreignKeyName": None,
        "insertable": True,
        "joinColumns": [],
        "numberType": False,
        "textType": True,
        "updatable": True,
    }
    owner, contacts = columns[2:]
    assert (owner["columnName"], owner["foreignKeyName"]) == ("Owner", "OwnerId")
    assert [one["columnName"] for one in owner["joinColumns"]] == ["Name", "Email"]
    assert (contacts["columnName"], contacts["aggregate"]) == ("Contacts", True)
    assert [one["columnName"] for one in contacts["joinColumns"]] == ["LastName"]


def test_columns_of_aggregates(dated):
    soql = "SELECT LeadSource, COUNT(Id), MAX(LastName) last FROM Contact GROUP BY LeadSource"
    told = dated.get("/query", params={"q": soql, "columns": "true"}).json()
    shown = [(c["columnName"], c["displayName"], c["aggregate"]) for c in told["columnMetadata"]]
    assert shown == [
        ("LeadSource", "LeadSource", False),
        ("expr0", "count(Id)", True),
        ("last", "max(LastName)", True),
    ]
    assert told["groupBy"] is True
