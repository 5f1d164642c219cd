"""Functions in SOQL, and the description of a query's columns, which command lines ask for with every query."""

from datetime import datetime
from zoneinfo import ZoneInfo

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


@pytest.fixture(scope="module")
def counted():
    """Leads by status and source; these tests only read."""
    running = Running()
    client = Client(running.base, token_of(running.base))
    for status, source in (
        ("Open - Not Contacted", "Web"),
        ("Open - Not Contacted", "Other"),
        ("Working - Contacted", "Web"),
        ("Working - Contacted", None),
    ):
        client.create("Lead", LastName="L", Company="C", Status=status, LeadSource=source)
    yield client
    client.http.close()
    running.stop()


def lines(client: Client, soql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in client.rows(soql)]


def test_subtotals_from_right_to_left(counted):
    assert lines(counted, "SELECT LeadSource, COUNT(Id) FROM Lead GROUP BY ROLLUP(LeadSource)") == [
        ("Web", 2), ("Other", 1), (None, 1), (None, 4),
    ]  # fmt: skip
    soql = "SELECT Status, LeadSource, GROUPING(LeadSource) g, COUNT(Id) n FROM Lead GROUP BY ROLLUP(Status, LeadSource)"
    assert lines(counted, soql) == [
        ("Open - Not Contacted", "Web", 0, 1),
        ("Open - Not Contacted", "Other", 0, 1),
        ("Open - Not Contacted", None, 1, 2),
        ("Working - Contacted", "Web", 0, 1),
        ("Working - Contacted", None, 0, 1),
        ("Working - Contacted", None, 1, 2),
        (None, None, 1, 4),
    ]


def test_subtotals_of_every_combination(counted):
    soql = (
        "SELECT Status, LeadSource, GROUPING(Status) s, GROUPING(LeadSource) l, COUNT(Id) n FROM Lead"
        " GROUP BY CUBE(Status, LeadSource) HAVING GROUPING(Status) = 1"
        " ORDER BY GROUPING(Status), GROUPING(LeadSource), COUNT(Id) DESC"
    )
    assert lines(counted, soql) == [
        (None, "Web", 1, 0, 2),
        (None, "Other", 1, 0, 1),
        (None, None, 1, 0, 1),
        (None, None, 1, 1, 4),
    ]
    refused = counted.query("SELECT GROUPING(Status) FROM Lead GROUP BY Status").json()[0]
    assert refused["errorCode"] == "MALFORMED_QUERY"


def test_a_total_of_all_rows_takes_no_limit(counted):
    refused = counted.query("SELECT MAX(CreatedDate) FROM Lead LIMIT 1")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "MALFORMED_QUERY")
    assert "Non-grouped query that uses overall aggregate functions cannot also use LIMIT" in refused.text
    assert counted.query("SELECT COUNT() FROM Lead LIMIT 3").json()["totalSize"] == 3


def test_whose_records(counted):
    assert len(counted.rows("SELECT Id FROM Lead USING SCOPE mine")) == 4
    assert len(counted.rows("SELECT Id FROM Lead USING SCOPE everything")) == 4
    other = counted.rows("SELECT Id FROM User WHERE Username = 'anna.sales@example.com'")[0]["Id"]
    mine = counted.rows("SELECT Id FROM Lead LIMIT 1")[0]["Id"]
    counted.patch(f"/sobjects/Lead/{mine}", {"OwnerId": other})
    assert len(counted.rows("SELECT Id FROM Lead USING SCOPE mine WHERE Company = 'C'")) == 3
    refused = counted.query("SELECT Id FROM Lead USING SCOPE delegated")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_QUERY_SCOPE")


def test_values_as_people_see_them(dated):
    me = dated.get("/services/oauth2/userinfo").json()["user_id"]
    dated.patch(f"/sobjects/User/{me}", {"TimeZoneSidKey": "America/Los_Angeles"})
    (row,) = dated.rows(
        "SELECT AnnualRevenue, FORMAT(AnnualRevenue) a, FORMAT(convertCurrency(AnnualRevenue)) b, FORMAT(NumberOfEmployees)"
        " c, FORMAT(Name) d FROM Account"
    )
    assert row == {"AnnualRevenue": 5, "a": "$5", "b": "$5", "c": None, "d": "Acme"}
    born = "SELECT FORMAT(Birthdate) FROM Contact WHERE LastName = 'A'"
    assert dated.rows(born) == [{"Birthdate": "1/7/2024"}]
    moment = "SELECT CreatedDate, FORMAT(CreatedDate) shown FROM Contact WHERE LastName = 'A'"
    (row,) = dated.rows(moment)
    local = datetime.fromisoformat(row["CreatedDate"]).astimezone(ZoneInfo("America/Los_Angeles"))
    assert row["shown"] == f"{local:%-m/%-d/%Y, %-I:%M %p}"
    hours = "SELECT HOUR_IN_DAY(convertTimezone(CreatedDate)) h FROM Contact GROUP BY HOUR_IN_DAY(convertTimezone(CreatedDate))"
    assert {"h": local.hour} in dated.rows(hours)
    refused = dated.query("SELECT FORMAT(CALENDAR_YEAR(CreatedDate)) FROM Contact").json()[0]
    assert refused["errorCode"] == "MALFORMED_QUERY"
