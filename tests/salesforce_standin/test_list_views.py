"""List views, compact layouts, tabs and themes: what clients ask of an org to show it to people."""

import re

import pytest

from tests.salesforce_standin.running import Client, Running, token_of


@pytest.fixture(scope="module")
def shown():
    """An org with three accounts, one of which is somebody else's."""
    running = Running()
    client = Client(running.base, token_of(running.base))
    client.create("Account", Name="Acme", Phone="1", Type="Prospect")
    client.create("Account", Name="Blank")
    other = client.rows("SELECT Id FROM User WHERE Username = 'anna.sales@example.com'")[0]["Id"]
    client.create("Account", Name="Corner", OwnerId=other)
    yield client
    client.http.close()
    running.stop()


def view(client: Client, kind: str, name: str) -> str:
    listed = client.get(f"/sobjects/{kind}/listviews").json()["listviews"]
    return next(str(one["url"]).removeprefix(client.root) for one in listed if one["developerName"] == name)


def test_the_list_views_of_an_object(shown):
    listed = shown.get("/sobjects/account/listviews").json()
    assert (listed["done"], listed["size"], listed["sobjectType"], listed["nextRecordsUrl"]) == (
        True,
        3,
        "Account",
        None,
    )
    first = listed["listviews"][0]
    assert first["url"] == f"{shown.root}/sobjects/Account/listviews/{first['id']}"
    assert shown.get(f"/sobjects/Account/listviews/{first['id'][:15]}").json() == first
    assert shown.get("/sobjects/Account/listviews/recent").json() == listed
    rows = shown.rows("SELECT Id, Name FROM ListView WHERE SobjectType = 'Account' ORDER BY Id")
    assert rows == [{"Id": one["id"], "Name": one["label"]} for one in listed["listviews"]]
    assert shown.get("/sobjects/Contact/listviews/" + first["id"]).status_code == 404
    assert shown.get("/sobjects/Nope/listviews").status_code == 404


def test_a_list_view_described(shown):
    said = shown.get(view(shown, "Account", "MyAccounts") + "/describe").json()
    assert said["query"] == (
        "SELECT name, site, billingstate, phone, tolabel(type), owner.alias, id, createddate, lastmodifieddate,"
        " systemmodstamp FROM Account USING SCOPE mine ORDER BY Name ASC NULLS FIRST, Id ASC NULLS FIRST"
    )
    assert (said["scope"], said["sobjectType"], len(said["id"])) == ("mine", "Account", 15)
    kind = next(one for one in said["columns"] if one["fieldNameOrPath"] == "Type")
    assert (kind["selectListItem"], kind["ascendingLabel"], kind["hidden"]) == (
        "toLabel(Type)",
        "Low to High",
        False,
    )
    week = shown.get(view(shown, "Contact", "NewThisWeekContacts") + "/describe").json()
    assert week["whereCondition"] == {
        "field": "CreatedDate",
        "operator": "equals",
        "values": ["THIS_WEEK"],
    }


def test_the_results_of_a_list_view(shown):
    path = view(shown, "Account", "AllAccounts")
    page = shown.get(f"{path}/results?limit=2").json()
    assert (page["size"], page["done"], page["label"], len(page["records"])) == (3, False, "All Accounts", 2)
    cells = {one["fieldNameOrPath"]: one["value"] for one in page["records"][0]["columns"]}
    assert (cells["Name"], cells["Phone"], cells["Type"], cells["Site"]) == ("Acme", "1", "Prospect", None)
    assert cells["Owner.Alias"] == "gptweb"
    assert re.fullmatch(r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d GMT \d{4}", cells["CreatedDate"])
    rest = shown.get(f"{path}/results?limit=2&offset=2").json()
    assert (rest["done"], len(rest["records"])) == (True, 1)
    assert shown.get(view(shown, "Account", "MyAccounts") + "/results").json()["size"] == 2
    assert shown.get(f"{path}/results?limit=0").status_code == 400


def test_every_list_view_runs_and_is_explained(shown):
    for kind in ("Account", "Contact", "Lead"):
        views = shown.get(f"/sobjects/{kind}/listviews").json()["listviews"]
        assert views, kind
        for one in views:
            assert shown.get(one["resultsUrl"]).status_code == 200
            plan = shown.get("/query", params={"explain": one["id"]})
            assert plan.json()["plans"][0]["sobjectType"] == kind


def test_compact_layouts(shown):
    said = shown.get("/sobjects/Contact/describe/compactLayouts").json()
    (layout,) = said["compactLayouts"]
    assert (layout["id"], layout["name"], layout["label"]) == (None, "SYSTEM", "System Default")
    fields = [one["layoutComponents"][0]["value"] for one in layout["fieldItems"]]
    assert fields == ["Name", "Title", "AccountId", "Phone", "Email"]
    assert layout["fieldItems"][0]["layoutComponents"][0]["details"]["type"] == "string"
    assert said["recordTypeCompactLayoutMappings"][0]["recordTypeId"] == "012000000000000AAA"
    assert shown.get(said["urls"]["primary"]).json() == layout
    assert shown.get("/compactLayouts?q=Account,Contact").json()["Contact"] == layout
    assert shown.get("/sobjects/User/describe/compactLayouts").status_code == 404


def test_tabs_and_themes(shown):
    (tab,) = [one for one in shown.get("/tabs").json() if one["sobjectName"] == "Lead"]
    assert (tab["name"], tab["label"], tab["url"]) == ("standard-Lead", "Leads", f"{shown.base}/00Q/o")
    (look,) = [one for one in shown.get("/theme").json()["themeItems"] if one["name"] == "Lead"]
    assert look["colors"] == tab["colors"]


def test_what_an_org_has_none_of(shown):
    assert shown.get("/sobjects/Account/describe/approvalLayouts").json() == {"approvalLayouts": []}
    assert shown.get("/quickActions").json() == shown.get("/sobjects/Lead/quickActions").json() == []
    assert shown.get("/process/rules").json() == {"rules": {}}
    assert shown.get("/process/approvals").json() == {"approvals": {}}
