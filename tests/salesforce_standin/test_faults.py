"""Each way of going wrong, switched on for the requests or rows that a rule means."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from salesforce_standin.fault_replies import NAMED
from tests.salesforce_standin.browser import soap_login
from tests.salesforce_standin.running import Client, token_of

PAGE = "/query/01g"


def fault(admin: Client, action: str, **settings: object) -> None:
    reply = admin.post("/standin/faults", {"action": action, **settings})
    assert reply.status_code == 201, reply.text


def many(client: Client, count: int, kind: str = "Contact") -> list[str]:
    """Create contacts, 200 a call."""
    made: list[str] = []
    for start in range(0, count, 200):
        records = [
            {"attributes": {"type": kind}, "LastName": f"L{number:05}"}
            for number in range(start, min(start + 200, count))
        ]
        made += [item["id"] for item in client.post("/composite/sobjects", {"records": records}).json()]
    return made


class TestWhichRequests:
    def test_a_probability_falls_the_same_for_the_same_seed(self, client, admin):
        def struck(seed: int) -> list[int]:
            admin.delete("/standin/faults")
            fault(admin, "reply", probability=0.5, seed=seed, count=None, error="server_unavailable")
            return [client.get("/limits").status_code for _ in range(30)]

        first = struck(7)
        assert {200, 503} == set(first)
        assert struck(7) == first
        assert struck(8) != first

    def test_no_end_and_a_method(self, client, admin):
        fault(admin, "reply", method="PATCH|POST", path="/sobjects", count=None, error="maintenance")
        for _ in range(3):
            reply = client.post("/sobjects/Account", {"Name": "A"})
            assert reply.json()[0]["errorCode"] == "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"
        assert client.get("/sobjects/Account/describe").status_code == 200
        listed = admin.get("/standin/faults").json()["faults"][0]
        assert (listed["hits"], listed["count"]) == (3, None)

    @pytest.mark.parametrize(
        "rule",
        [
            {"action": "explode"},
            {"action": "reply", "error": "nothing"},
            {"action": "reply", "path": "("},
            {"action": "delay", "color": "red"},
        ],
    )
    def test_nonsense(self, admin, rule):
        reply = admin.post("/standin/faults", rule)
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "INVALID_INPUT")
        assert admin.get("/standin/faults").json() == {"faults": []}


class TestReplies:
    @pytest.mark.parametrize("name", sorted(NAMED))
    def test_by_name(self, client, admin, name):
        status, body, _ = NAMED[name]
        fault(admin, "reply", path="/limits", error=name)
        reply = client.get("/limits")
        assert reply.status_code == status
        if isinstance(body, bytes):
            assert reply.headers["Content-Type"].startswith("text/html")
            assert reply.content == body
        else:
            assert reply.json() == body
        assert client.get("/limits").status_code == 200

    def test_the_two_limits_share_their_code(self, client, admin):
        codes, messages = set(), set()
        for name in ("daily_limit", "concurrent_limit"):
            fault(admin, "reply", path="/limits", error=name)
            body = client.get("/limits").json()[0]
            codes.add(body["errorCode"])
            messages.add(body["message"])
        assert (len(codes), len(messages)) == (1, 2)

    def test_a_failed_refresh(self, standin, admin):
        fault(admin, "reply", path="/oauth2/token", error="login_rate")
        form = {"grant_type": "client_credentials"}
        reply = requests.post(f"{standin.base}/services/oauth2/token", data=form, timeout=5)
        assert reply.json()["error"] == "rate_limit_exceeded"


class TestOtherApis:
    def test_bulk_in_its_own_words(self, client, admin):
        fault(admin, "reply", path="/services/async", error="daily_limit", count=2)
        address = f"{client.base}/services/async/59.0/job"
        headers = {"X-SFDC-Session": client.token, "Content-Type": "application/json"}
        reply = requests.post(address, headers=headers, data="{}", timeout=5)
        assert (reply.status_code, reply.json()) == (
            403, {"exceptionCode": "ExceededQuota", "exceptionMessage": "TotalRequests Limit exceeded."},
        )  # fmt: skip
        headers["Content-Type"] = "application/xml"
        assert (
            "<exceptionCode>ExceededQuota</exceptionCode>"
            in requests.post(address, headers=headers, data="<x/>", timeout=5).text
        )

    def test_soap_as_a_fault(self, standin, admin):
        fault(admin, "reply", path="/services/Soap", error="server_unavailable")
        reply = soap_login(standin.base, "admin@gptweb.example")
        assert reply.status_code == 500
        assert "<faultstring>SERVER_UNAVAILABLE: Server is too busy</faultstring>" in reply.text


class TestConcurrency:
    def test_long_requests_keep_others_out(self, standin, client, admin):
        admin.post("/standin/settings", {"long_request_seconds": 0, "concurrent_requests": 2})
        fault(admin, "delay", path="/sobjects/Account", seconds=1.5, count=2)
        with ThreadPoolExecutor(2) as pool:
            slow = [
                pool.submit(Client(standin.base, client.token).get, "/sobjects/Account") for _ in range(2)
            ]
            while sum(rule["hits"] for rule in admin.get("/standin/faults").json()["faults"]) < 2:
                time.sleep(0.01)
            reply = client.get("/limits")
            assert [one.result().status_code for one in slow] == [200, 200]
        assert (reply.status_code, reply.json()[0]) == (
            403,
            {
                "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
                "errorCode": "REQUEST_LIMIT_EXCEEDED",
            },
        )
        assert client.get("/limits").status_code == 200


class TestPages:
    @pytest.fixture(autouse=True)
    def _rows(self, client):
        many(client, 450)

    def read(self, client: Client) -> list[requests.Response]:
        """Read all pages of 200, up to the first that fails."""
        pages = [client.query("SELECT Id FROM Contact", headers={"Sforce-Query-Options": "batchSize=200"})]
        while pages[-1].status_code == 200 and "nextRecordsUrl" in pages[-1].json():
            pages.append(client.get(pages[-1].json()["nextRecordsUrl"]))
        return pages

    @pytest.mark.parametrize("page", [2, 3])
    def test_a_refused_token_at_any_page(self, client, admin, page):
        fault(admin, "reply", path=PAGE, skip=page - 2, error="session_expired")
        pages = self.read(client)
        assert [reply.status_code for reply in pages] == (page - 1) * [200] + [401]
        assert pages[-1].json()[0]["errorCode"] == "INVALID_SESSION_ID"

    def test_the_session_ends_amid_a_locator(self, standin, client, admin):
        fault(admin, "end_session", path=PAGE)
        pages = self.read(client)
        assert [reply.status_code for reply in pages] == [200, 401]
        assert client.get("/limits").status_code == 401
        again = Client(standin.base, token_of(standin.base))
        assert again.get(pages[0].json()["nextRecordsUrl"]).status_code == 200
        again.http.close()

    def test_the_locator_is_gone(self, client, admin):
        fault(admin, "reply", path=PAGE, error="query_locator")
        assert self.read(client)[-1].json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"

    def test_not_done_and_no_address(self, client, admin):
        fault(admin, "edit", path="/query", drop=["nextRecordsUrl"])
        body = self.read(client)[-1].json()
        assert (body["done"], "nextRecordsUrl" in body, len(body["records"])) == (False, False, 200)

    def test_fewer_rows_than_announced(self, client, admin):
        fault(admin, "edit", path="/query", drop=["records.0", "records.-1"])
        body = self.read(client)[0].json()
        assert (body["totalSize"], len(body["records"])) == (450, 198)

    def test_another_count_in_a_composite(self, client, admin):
        fault(admin, "edit", path="/composite", put={"compositeResponse.*.body.totalSize": 7})
        one = {"method": "GET", "url": f"{client.root}/query?q=SELECT+Id+FROM+Contact", "referenceId": "r"}
        assert client.composite(one)[0]["body"]["totalSize"] == 7
        assert client.composite(one)[0]["body"]["totalSize"] == 450

    def test_another_count_of_a_bulk_query(self, client, admin):
        made = client.post("/jobs/query", {"operation": "query", "query": "SELECT Id FROM Contact"}).json()[
            "id"
        ]
        while client.get(f"/jobs/query/{made}").json()["state"] != "JobComplete":
            time.sleep(0.02)
        fault(admin, "edit", path="/results", headers={"Sforce-NumberOfRecords": "9"})
        reply = client.get(f"/jobs/query/{made}/results")
        assert (reply.headers["Sforce-NumberOfRecords"], len(reply.text.splitlines())) == ("9", 451)
        assert client.get(f"/jobs/query/{made}/results").headers["Sforce-NumberOfRecords"] == "450"


class TestSilence:
    def test_no_answer_and_nothing_done(self, client, admin):
        fault(admin, "hang", path="/sobjects/Account")
        with pytest.raises(requests.ReadTimeout):
            client.http.post(client.base + client.root + "/sobjects/Account", json={"Name": "A"}, timeout=0.3)
        assert client.rows("SELECT Id FROM Account") == []

    def test_no_answer_but_all_done(self, client, admin):
        fault(admin, "hang_after", path="/sobjects/Account")
        with pytest.raises(requests.ReadTimeout):
            client.http.post(client.base + client.root + "/sobjects/Account", json={"Name": "A"}, timeout=0.3)
        assert client.rows("SELECT Name FROM Account") == [{"Name": "A"}]
        lost = [c for c in admin.get("/standin/calls").json()["calls"] if c["status"] == 0]
        assert [(call["counted"], call["rows_written"]) for call in lost] == [(1, 1)]

    def test_silence_that_ends_in_a_reset(self, client, admin):
        fault(admin, "hang", path="/limits", seconds=0.1)
        with pytest.raises(requests.ConnectionError):
            client.get("/limits")

    def test_a_slow_body(self, client, admin):
        client.create("Account", Name="A")
        fault(admin, "drip", path="/query", seconds=0.2)
        assert client.rows("SELECT Name FROM Account") == [{"Name": "A"}]
        fault(admin, "drip", path="/query", seconds=20)
        with pytest.raises(requests.ConnectionError, match="Read timed out"):
            client.http.get(f"{client.base}{client.root}/query?q=SELECT+Id+FROM+Account", timeout=0.5)


class TestRows:
    LOCKED = "unable to obtain exclusive access to this record or 1 records: "

    def test_a_locked_row_of_a_list(self, client, admin):
        ids = many(client, 3)
        fault(admin, "lock_rows", path="/REST/Contact/update", body=ids[1])
        records = [{"attributes": {"type": "Contact"}, "id": one, "Phone": "1"} for one in ids]
        items = client.patch("/composite/sobjects", {"records": records}).json()
        assert [item["success"] for item in items] == [True, False, True]
        assert items[1]["errors"] == [
            {"statusCode": "UNABLE_TO_LOCK_ROW", "message": self.LOCKED + ids[1], "fields": []}
        ]
        assert len(client.rows("SELECT Id FROM Contact WHERE Phone = '1'")) == 2

    def test_a_locked_row_by_itself(self, client, admin):
        made = client.create("Account", Name="A")
        fault(admin, "lock_rows", path="/REST/Account")
        reply = client.patch(f"/sobjects/Account/{made}", {"Phone": "1"})
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (500, "UNABLE_TO_LOCK_ROW")
        assert client.patch(f"/sobjects/Account/{made}", {"Phone": "1"}).status_code == 204

    def test_every_row_of_a_call(self, client, admin):
        fault(admin, "lock_rows", count=3)
        records = [{"attributes": {"type": "Account"}, "Name": str(n)} for n in range(3)]
        items = client.post("/composite/sobjects", {"records": records}).json()
        assert [item["success"] for item in items] == [False] * 3
        assert all(
            item["success"] for item in client.post("/composite/sobjects", {"records": records}).json()
        )

    def test_some_rows_fail_for_another_reason(self, client, admin):
        fault(
            admin, "refuse_rows", code="CANNOT_EXECUTE_FLOW_TRIGGER", message="The flow failed.", fields=["Phone"],
            probability=0.5, count=None,
        )  # fmt: skip
        records = [{"attributes": {"type": "Account"}, "Name": str(n)} for n in range(20)]
        items = client.post("/composite/sobjects", {"records": records}).json()
        failed = [item["errors"][0] for item in items if not item["success"]]
        assert 0 < len(failed) < 20
        assert failed[0] == {
            "statusCode": "CANNOT_EXECUTE_FLOW_TRIGGER", "message": "The flow failed.", "fields": ["Phone"],
        }  # fmt: skip
        assert len(client.rows("SELECT Id FROM Account")) == 20 - len(failed)

    def test_a_row_that_can_not_be_deleted(self, client, admin):
        made = client.create("Account", Name="A")
        fault(admin, "refuse_rows", path="/REST/Account/delete", code="DELETE_FAILED", message="No.")
        assert client.delete(f"/sobjects/Account/{made}").json()[0]["errorCode"] == "DELETE_FAILED"
        assert client.delete(f"/sobjects/Account/{made}").status_code == 204


class TestTime:
    def test_records_that_come_late_with_an_older_stamp(self, client, admin):
        old = client.create("Contact", LastName="Old")
        admin.post("/standin/records/hold", {"object": "Contact"})
        client.create("Contact", LastName="New")
        client.patch(f"/sobjects/Contact/{old}", {"LastName": "Changed"})
        assert client.rows("SELECT LastName FROM Contact") == [{"LastName": "Old"}]
        before = admin.get("/standin/clock").json()["now"]
        admin.post("/standin/clock", {"advance": 600})
        assert client.rows("SELECT COUNT(Id) n FROM Contact") == [{"n": 1}]
        assert admin.post("/standin/records/release", {"object": "Contact"}).json() == {"held": []}
        rows = client.rows("SELECT LastName, SystemModstamp FROM Contact ORDER BY LastName")
        assert [row["LastName"] for row in rows] == ["Changed", "New"]
        assert all(row["SystemModstamp"] <= before for row in rows)

    def test_getupdated_covers_no_more_than_it_shows(self, client, admin):
        admin.post("/standin/records/hold", {"object": "Contact"})
        held = admin.get("/standin/clock").json()["now"]
        admin.post("/standin/clock", {"advance": 300})
        client.create("Contact", LastName="New")
        admin.post("/standin/clock", {"advance": 300})
        window = {"start": held, "end": admin.get("/standin/clock").json()["now"]}
        body = client.get("/sobjects/Contact/updated/", params=window).json()
        assert (body["ids"], body["latestDateCovered"] <= held) == ([], True)
        admin.post("/standin/records/release")
        assert len(client.get("/sobjects/Contact/updated/", params=window).json()["ids"]) == 1

    def test_a_held_object_shows_what_is_deleted_since(self, client, admin):
        made = client.create("Account", Name="A")
        admin.post("/standin/records/hold", {"object": "Account"})
        client.delete(f"/sobjects/Account/{made}")
        assert client.rows("SELECT Name FROM Account") == [{"Name": "A"}]
        admin.post("/standin/records/release")
        assert client.rows("SELECT Name FROM Account") == []
        assert admin.post("/standin/records/hold", {"object": "Nope"}).status_code == 400

    def test_one_stamp_for_thousands(self, client, admin):
        many(client, 2100)
        admin.post("/standin/records/touch", {"object": "Contact", "seconds": -60})
        page = client.query("SELECT SystemModstamp FROM Contact").json()
        rows = page["records"] + client.get(page["nextRecordsUrl"]).json()["records"]
        assert (len(rows), len({row["SystemModstamp"] for row in rows})) == (2100, 1)

    def test_a_clock_that_stands(self, client, admin):
        admin.post("/standin/clock", {"frozen": True})
        first, second = client.create("Account", Name="A"), client.create("Account", Name="B")
        assert first != second
        assert len({row["SystemModstamp"] for row in client.rows("SELECT SystemModstamp FROM Account")}) == 1
        now = admin.get("/standin/clock").json()
        assert now["frozen"] is True
        assert admin.post("/standin/clock", {"advance": 5}).json()["now"] > now["now"]
        assert admin.post("/standin/clock", {"frozen": False}).json()["frozen"] is False

    def test_a_formula_changes_without_a_stamp(self, client, admin):
        metadata = {"label": "F", "type": "Number", "precision": 5, "scale": 2, "formula": "1 + 1"}
        client.post("/tooling/sobjects/CustomField", {"FullName": "Contact.F__c", "Metadata": metadata})
        owner = client.create("PermissionSet", Name="S", Label="S")
        client.create("FieldPermissions", ParentId=owner, SobjectType="Contact", Field="Contact.F__c",
                      PermissionsRead=True, PermissionsEdit=False)  # fmt: skip
        me = client.get("/services/oauth2/userinfo").json()["user_id"]
        client.create("PermissionSetAssignment", AssigneeId=me, PermissionSetId=owner)
        field = {f["name"]: f for f in client.get("/sobjects/Contact/describe").json()["fields"]}["F__c"]
        assert (field["calculated"], field["createable"], field["updateable"]) == (True, False, False)
        made = client.create("Contact", LastName="L")
        reply = client.patch(f"/sobjects/Contact/{made}", {"F__c": 3})
        assert reply.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
        before = client.rows("SELECT SystemModstamp, LastModifiedDate FROM Contact")
        admin.post("/standin/clock", {"advance": 60})
        admin.post("/standin/records/write", {"id": made, "values": {"F__c": 2.0}})
        assert client.rows("SELECT F__c FROM Contact") == [{"F__c": 2.0}]
        assert client.rows("SELECT SystemModstamp, LastModifiedDate FROM Contact") == before
        assert admin.post("/standin/records/write", {"id": made, "values": {"Nope": 1}}).status_code == 400


class TestFields:
    def test_a_standard_field_becomes_required(self, client, admin):
        assert admin.post("/standin/fields", {"field": "Contact.Phone", "nillable": False}).status_code == 200
        reply = client.post("/sobjects/Contact", {"LastName": "L"})
        assert reply.json()[0]["message"] == "Required fields are missing: [Phone]"
        field = {f["name"]: f for f in client.get("/sobjects/Contact/describe").json()["fields"]}["Phone"]
        assert field["nillable"] is False

    def test_a_picklist_becomes_restricted_between_two_runs(self, client, admin):
        client.create("Lead", LastName="L", Company="C", LeadSource="Hearsay")
        stamp = client.get("/sobjects/Lead/describe").headers["Last-Modified"]
        admin.post("/standin/clock", {"advance": 5})
        changes = {"restrictedPicklist": True, "picklistValues": ["Web", "Fair"]}
        admin.post("/standin/fields", {"field": "Lead.LeadSource", **changes})
        reply = client.post("/sobjects/Lead", {"LastName": "L", "Company": "C", "LeadSource": "Hearsay"})
        assert reply.json()[0]["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
        client.create("Lead", LastName="L", Company="C", LeadSource="fair")
        later = client.get("/sobjects/Lead/describe", headers={"If-Modified-Since": stamp})
        assert later.status_code == 200

    def test_nonsense(self, admin):
        for body in ({"field": "Contact.Nope"}, {"field": "Contact.Phone", "type": "int"},
                     {"field": "Contact.Phone", "nillable": "no"}):  # fmt: skip
            assert admin.post("/standin/fields", body).status_code == 400
