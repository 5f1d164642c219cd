"""What a look at an org before the first sync asks for, and what an administrator can make of it."""

from typing import Any

import pytest
import requests

from tests.salesforce_standin.browser import refusal
from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running
from tests.salesforce_standin.test_login_rules import log_in

CHIEFS: dict[str, Any] = {
    "object": "Contact", "name": "Chiefs_have_a_phone", "message": "A chief needs a phone.", "field": "Phone",
    "when": {"Title": "Chief.*", "Phone": ""},
}  # fmt: skip
TWINS: dict[str, Any] = {
    "object": "Contact",
    "name": "Standard_Contact_Duplicate_Rule",
    "fields": ["Email"],
}
ALLOW = {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false"}


def me(client: Client) -> str:
    return str(client.get("/services/oauth2/userinfo").json()["user_id"])


def take(admin: Client, *rights: str, name: str = "X00eGPTWebIntegrationUser") -> None:
    """Take system permissions from the profile of the integration user."""
    owned = admin.rows(f"SELECT Id FROM PermissionSet WHERE Name = '{name}'")[0]["Id"]
    reply = admin.patch(
        f"/sobjects/PermissionSet/{owned}", {"Permissions" + right: False for right in rights}
    )
    assert reply.status_code == 204, reply.text


def code_of(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()[0]["errorCode"]


class TestTheOrg:
    def test_what_it_says_of_itself(self, client, admin):
        soql = (
            "SELECT OrganizationType, IsSandbox, InstanceName, DefaultAccountAccess, DefaultContactAccess,"
            " DefaultLeadAccess FROM Organization"
        )
        assert client.rows(soql)[0] == {
            "OrganizationType": "Developer Edition", "IsSandbox": False, "InstanceName": "STD1",
            "DefaultAccountAccess": "Edit", "DefaultContactAccess": "ControlledByParent",
            "DefaultLeadAccess": "ReadEditTransfer",
        }  # fmt: skip
        admin.post("/standin/organization", {"IsSandbox": True, "OrganizationType": "Enterprise Edition"})
        assert client.rows("SELECT IsSandbox FROM Organization") == [{"IsSandbox": True}]
        assert admin.post("/standin/organization", {"Color": "red"}).status_code == 400

    def test_licences(self, client):
        row = client.rows(
            f"SELECT Profile.Name, Profile.UserLicense.Name FROM User WHERE Id = '{me(client)}'"
        )
        profile = row[0]["Profile"]
        assert (profile["Name"], profile["UserLicense"]["Name"]) == ("GPTWeb Integration User", "Salesforce")

    def test_features(self, client, admin):
        def names(kind: str) -> set[str]:
            return {field["name"] for field in client.get(f"/sobjects/{kind}/describe").json()["fields"]}

        plain = {kind: names(kind) for kind in ("Account", "Contact", "Lead")}
        assert "IsPersonAccount" not in plain["Account"]
        on = {"personAccounts": True, "multiCurrency": ["EUR", "USD"], "stateAndCountryPicklists": True}
        assert admin.post("/standin/features", on).json() == on
        assert {"IsPersonAccount", "PersonEmail", "CurrencyIsoCode", "BillingStateCode"} <= names("Account")
        assert {"CurrencyIsoCode", "MailingCountryCode", "OtherStateCode"} <= names("Contact")
        assert {"CurrencyIsoCode", "StateCode", "CountryCode"} <= names("Lead")
        made = client.create("Account", Name="Acme")
        assert client.rows("SELECT Name, CurrencyIsoCode, IsPersonAccount FROM Account") == [
            {"Name": "Acme", "CurrencyIsoCode": "EUR", "IsPersonAccount": False}
        ]
        reply = client.patch(f"/sobjects/Account/{made}", {"CurrencyIsoCode": "XXX"})
        assert code_of(reply) == (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")
        admin.post(
            "/standin/features",
            {"personAccounts": False, "multiCurrency": [], "stateAndCountryPicklists": False},
        )
        assert {kind: names(kind) for kind in plain} == plain
        assert admin.post("/standin/features", {"flying": True}).status_code == 400


class TestWhoMayDoWhat:
    RIGHTS = (
        "SELECT PermissionsApiEnabled, PermissionsViewSetup, PermissionsCustomizeApplication,"
        " PermissionsManageProfilesPermissionsets FROM UserPermissionAccess"
    )

    def test_the_callers_own_permissions(self, standin, client, admin):
        assert set(client.rows(self.RIGHTS)[0].values()) == {True}
        take(admin, "CustomizeApplication", "ViewSetup")
        assert client.rows(self.RIGHTS)[0] == {
            "PermissionsApiEnabled": True, "PermissionsViewSetup": False,
            "PermissionsCustomizeApplication": False, "PermissionsManageProfilesPermissionsets": True,
        }  # fmt: skip
        assert set(admin.rows(self.RIGHTS)[0].values()) == {True}

    def test_no_api_at_all(self, client, admin):
        take(admin, "ApiEnabled")
        reply = client.get("/sobjects")
        assert reply.status_code == 403
        assert reply.json() == [
            {"message": "API is disabled for this User", "errorCode": "API_CURRENTLY_DISABLED"}
        ]
        bulk = requests.get(
            f"{client.base}/services/async/59.0/job/750000000000000AAA",
            headers={"X-SFDC-Session": client.token},
            timeout=5,
        )
        assert bulk.status_code == 403
        assert "FeatureNotEnabled" in bulk.text

    def test_limits_need_view_setup(self, client, admin):
        assert client.get("/limits").status_code == 200
        take(admin, "ViewSetup")
        assert code_of(client.get("/limits")) == (403, "INSUFFICIENT_ACCESS")

    @pytest.mark.parametrize("kind", ["DuplicateRule", "FieldPermissions", "ObjectPermissions"])
    def test_the_set_up_is_hidden(self, client, admin, kind):
        assert client.rows(f"SELECT Id FROM {kind} LIMIT 1") is not None
        take(admin, "ViewSetup")
        reply = client.query(f"SELECT Id FROM {kind} LIMIT 1")
        assert code_of(reply) == (400, "INVALID_TYPE")
        assert f"sObject type '{kind}' is not supported" in reply.json()[0]["message"]

    def test_permission_sets_need_one_of_several(self, client, admin):
        take(admin, "ViewSetup", "ManageProfilesPermissionsets")
        assert client.rows("SELECT Id FROM PermissionSet")
        reply = client.post("/sobjects/PermissionSet", {"Name": "X", "Label": "X"})
        assert code_of(reply) == (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")
        take(admin, "AssignPermissionSets")
        assert code_of(client.query("SELECT Id FROM PermissionSet")) == (400, "INVALID_TYPE")
        assert client.rows("SELECT Id FROM PermissionSetAssignment")  # for who manages users
        take(admin, "ManageUsers")
        assert code_of(client.query("SELECT Id FROM PermissionSetAssignment")) == (400, "INVALID_TYPE")

    def test_a_field_needs_customize_application(self, client, admin):
        take(admin, "CustomizeApplication")
        field = {"FullName": "Contact.A__c", "Metadata": {"label": "A", "type": "Text", "length": 9}}
        reply = client.post("/tooling/sobjects/CustomField", field)
        assert code_of(reply) == (403, "INSUFFICIENT_ACCESS")


class TestSharing:
    @pytest.fixture(autouse=True)
    def _private(self, admin):
        admin.post("/standin/organization", {"DefaultAccountAccess": "None", "DefaultLeadAccess": "Read"})
        take(admin, "ViewAllData", "ModifyAllData")
        for row in admin.rows(
            "SELECT Id FROM ObjectPermissions WHERE Parent.Name = 'X00eGPTWebIntegrationUser'"
        ):
            no = {"PermissionsModifyAllRecords": False, "PermissionsViewAllRecords": False}
            assert admin.patch(f"/sobjects/ObjectPermissions/{row['Id']}", no).status_code == 204

    def test_private_records_of_others_are_not_there(self, client, admin):
        theirs, mine = admin.create("Account", Name="Theirs"), client.create("Account", Name="Mine")
        assert client.rows("SELECT Name FROM Account") == [{"Name": "Mine"}]
        assert client.get(f"/sobjects/Account/{theirs}").status_code == 404
        shown = client.post("/composite/sobjects/Account", {"ids": [theirs, mine], "fields": ["Name"]}).json()
        assert [row and row["Name"] for row in shown] == [None, "Mine"]
        reply = client.patch(f"/sobjects/Account/{theirs}", {"Phone": "1"})
        assert reply.json()[0]["errorCode"] == "INVALID_CROSS_REFERENCE_KEY"
        assert len(admin.rows("SELECT Id FROM Account")) == 2

    def test_contacts_follow_their_account(self, client, admin):
        theirs, mine = admin.create("Account", Name="Theirs"), client.create("Account", Name="Mine")
        for name, account in (("Hidden", theirs), ("Shown", mine), ("Alone", None)):
            admin.create("Contact", LastName=name, AccountId=account)
        assert client.rows("SELECT LastName FROM Contact") == [{"LastName": "Shown"}]

    def test_public_read_only(self, client, admin):
        theirs = admin.create("Lead", LastName="L", Company="C")
        assert len(client.rows("SELECT Id FROM Lead")) == 1
        reply = client.patch(f"/sobjects/Lead/{theirs}", {"Phone": "1"})
        assert code_of(reply) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")


class TestSessions:
    SOQL = (
        "SELECT NumSecondsValid, SourceIp, SessionType, LoginType, LoginHistory.Application, UsersId"
        " FROM AuthSession WHERE IsCurrent = true"
    )

    def test_the_current_session(self, client, admin):
        row = client.rows(self.SOQL)[0]
        assert row.pop("LoginHistory")["Application"] == "GPTWeb CRM Sync"
        assert row == {
            "NumSecondsValid": 7200, "SourceIp": "127.0.0.1", "SessionType": "API",
            "LoginType": "Remote Access 2.0", "UsersId": me(client),
        }  # fmt: skip
        assert len(admin.rows("SELECT Id FROM AuthSession")) == 1

    def test_its_id_stays(self, standin, client):
        soql = "SELECT Id FROM AuthSession ORDER BY CreatedDate"
        assert client.rows(soql) == client.rows(soql)
        log_in(standin.base)
        assert len({row["Id"] for row in client.rows(soql)}) == 2

    def test_a_profile_has_its_own_length(self, standin, client, admin):
        reply = admin.post("/standin/profiles", {"name": "GPTWeb Integration User", "sessionSeconds": 900})
        assert reply.status_code == 200
        assert client.rows(self.SOQL)[0]["NumSecondsValid"] == 900
        admin.post("/standin/clock", {"advance": 900})
        assert client.get("/limits").status_code == 401


class TestProfiles:
    def test_login_ranges(self, standin, client, admin):
        profile = client.rows(f"SELECT ProfileId FROM User WHERE Id = '{me(client)}'")[0]["ProfileId"]
        address = f"/tooling/sobjects/Profile/{profile}"
        assert client.get(address).json()["Metadata"] == {"loginIpRanges": [], "loginHours": None}
        ranges = [{"startAddress": "10.0.0.1", "endAddress": "10.0.0.9"}]
        admin.post("/standin/profiles", {"name": "GPTWeb Integration User", "loginIpRanges": ranges})
        assert client.get(address).json()["Metadata"]["loginIpRanges"] == [{"description": None, **ranges[0]}]
        assert refusal(log_in(standin.base)) == ("invalid_grant", "ip restricted")
        ranges.append({"startAddress": "127.0.0.1", "endAddress": "127.0.0.1"})
        admin.post("/standin/profiles", {"name": "GPTWeb Integration User", "loginIpRanges": ranges})
        assert log_in(standin.base).status_code == 200

    def test_login_hours(self, standin, admin):
        days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
        closed = {day + edge: 0 for day in days for edge in ("Start", "End")}
        admin.post("/standin/profiles", {"name": "GPTWeb Integration User", "loginHours": closed})
        assert refusal(log_in(standin.base)) == ("invalid_grant", "IP restricted or invalid login hours")

    def test_nonsense(self, admin):
        for body in ({"name": "Nobody"}, {"name": "Standard User", "loginHours": {"mon": 1}},
                     {"name": "Standard User", "loginIpRanges": [{"startAddress": "here"}]}):  # fmt: skip
            assert admin.post("/standin/profiles", body).status_code == 400


class TestValidationRules:
    def test_a_record_that_breaks_it(self, client, admin):
        assert admin.post("/standin/validation-rules", CHIEFS).status_code == 201
        client.create("Contact", LastName="A", Title="Clerk")
        made = client.create("Contact", LastName="B", Title="Chief", Phone="1")
        expected = {
            "message": "A chief needs a phone.", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": ["Phone"],
        }  # fmt: skip
        reply = client.patch(f"/sobjects/Contact/{made}", {"Phone": None})
        assert (reply.status_code, reply.json()) == (400, [expected])
        records = [
            {"attributes": {"type": "Contact"}, "LastName": "C", "Title": title} for title in ("Chief", "x")
        ]
        items = client.post("/composite/sobjects", {"records": records}).json()
        assert [item["success"] for item in items] == [False, True]
        assert items[0]["errors"][0]["statusCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"

    def test_it_can_be_looked_up_and_removed(self, client, admin):
        made = admin.post("/standin/validation-rules", CHIEFS).json()["id"]
        soql = (
            "SELECT ValidationName, ErrorMessage, EntityDefinition.QualifiedApiName FROM ValidationRule WHERE Active ="
            " true AND EntityDefinition.QualifiedApiName IN ('Account', 'Contact', 'Lead') ORDER BY ValidationName"
        )
        row = client.rows(soql, "/tooling/query")[0]
        assert row["EntityDefinition"]["QualifiedApiName"] == "Contact"
        assert (row["ValidationName"], row["ErrorMessage"]) == (CHIEFS["name"], CHIEFS["message"])
        assert client.get(f"/tooling/sobjects/ValidationRule/{made}").json()["Metadata"]["active"] is True
        assert admin.delete(f"/standin/rules/{made}").status_code == 204
        assert client.rows(soql, "/tooling/query") == []
        client.create("Contact", LastName="B", Title="Chief")

    def test_through_the_tooling_api(self, client):
        metadata = {"active": True, "errorMessage": "No.", "errorConditionFormula": "ISBLANK(Phone)"}
        reply = client.post("/tooling/sobjects/ValidationRule", {"FullName": "Lead.R", "Metadata": metadata})
        assert reply.status_code == 201
        soql = "SELECT ValidationName FROM ValidationRule WHERE EntityDefinitionId = 'Lead'"
        assert client.rows(soql, "/tooling/query") == [{"ValidationName": "R"}]
        assert client.delete(f"/tooling/sobjects/ValidationRule/{reply.json()['id']}").status_code == 204

    def test_nonsense(self, admin):
        for changes in ({"object": "User"}, {"name": ""}, {"when": {"Nope": "x"}}, {"when": {"Phone": "("}}):
            assert admin.post("/standin/validation-rules", {**CHIEFS, **changes}).status_code == 400


class TestDuplicateRules:
    def test_the_recorded_reply(self, client, admin):
        first = client.create("Contact", LastName="A", Email="a@example.com")
        admin.post("/standin/duplicate-rules", TWINS)
        reply = client.post("/sobjects/Contact", {"LastName": "B", "Email": "A@example.com"})
        assert reply.status_code == 400
        body = reply.json()[0]
        assert list(body) == ["duplicateResut", "errorCode", "message"]
        assert (body["errorCode"], body["message"]) == ("DUPLICATES_DETECTED", "Use one of these records?")
        result = body["duplicateResut"]
        assert (result["allowSave"], result["duplicateRule"]) == (True, "Standard_Contact_Duplicate_Rule")
        match = result["matchResults"][0]
        assert (match["size"], match["matchRecords"][0]["record"]["Id"]) == (1, first)

    def test_allowed_save(self, client, admin):
        client.create("Contact", LastName="A", Email="a@example.com")
        admin.post("/standin/duplicate-rules", TWINS)
        body = {"LastName": "B", "Email": "a@example.com"}
        assert client.post("/sobjects/Contact", body).status_code == 400
        assert client.post("/sobjects/Contact", body, headers=ALLOW).status_code == 201
        inner = {"method": "POST", "url": f"{client.root}/sobjects/Contact", "referenceId": "r", "body": body}
        assert client.composite(inner)[0]["httpStatusCode"] == 400
        assert client.composite({**inner, "httpHeaders": ALLOW})[0]["httpStatusCode"] == 201

    def test_a_rule_that_blocks(self, client, admin):
        client.create("Contact", LastName="A", Email="a@example.com")
        admin.post("/standin/duplicate-rules", {**TWINS, "allow_save": False, "message": "No twins."})
        body = {"LastName": "B", "Email": "a@example.com"}
        reply = client.post("/sobjects/Contact", body, headers=ALLOW)
        assert reply.status_code == 400
        assert reply.json()[0]["duplicateResut"]["allowSave"] is False

    def test_a_list_shows_no_matches(self, client, admin):
        client.create("Contact", LastName="A", Email="a@example.com")
        admin.post("/standin/duplicate-rules", TWINS)
        record = {"attributes": {"type": "Contact"}, "LastName": "B", "Email": "a@example.com"}
        item = client.post("/composite/sobjects", {"records": [record]}).json()[0]
        assert item["errors"] == [
            {"statusCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": []}
        ]
        reply = client.post("/composite/sobjects", {"records": [record]}, headers=ALLOW)
        assert reply.json()[0]["success"] is True

    def test_a_later_change_of_something_else_is_no_matter(self, client, admin):
        client.create("Contact", LastName="A", Email="a@example.com")
        twin = client.create("Contact", LastName="B", Email="a@example.com")
        admin.post("/standin/duplicate-rules", TWINS)
        assert client.patch(f"/sobjects/Contact/{twin}", {"Phone": "1"}).status_code == 204

    def test_it_can_be_looked_up(self, client, admin):
        admin.post("/standin/duplicate-rules", TWINS)
        soql = (
            "SELECT MasterLabel, SobjectType FROM DuplicateRule WHERE IsActive = true AND SobjectType IN"
            " ('Account', 'Contact', 'Lead') ORDER BY SobjectType, MasterLabel"
        )
        assert client.rows(soql) == [
            {"MasterLabel": "Standard Contact Duplicate Rule", "SobjectType": "Contact"}
        ]


def test_the_set_up_is_there_after_a_restart(tmp_path):
    running = Running("--data", str(tmp_path))
    admin = Client(running.base, ADMIN_TOKEN)
    admin.post("/standin/validation-rules", CHIEFS)
    admin.post("/standin/features", {"multiCurrency": ["EUR"]})
    admin.post("/standin/profiles", {"name": "System Administrator", "sessionSeconds": 900})
    running.stop()
    running = Running("--data", str(tmp_path))
    admin = Client(running.base, ADMIN_TOKEN)
    reply = admin.post("/sobjects/Contact", {"LastName": "A", "Title": "Chief"})
    assert reply.json()[0]["errorCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    assert admin.rows("SELECT CurrencyIsoCode FROM Lead") == []
    assert admin.rows(TestSessions.SOQL)[0]["NumSecondsValid"] == 900
    running.stop()


def test_an_org_of_an_earlier_stand_in_is_completed(tmp_path):
    running = Running("--data", str(tmp_path))
    org = running.org
    for name, later in {"Profile": "UserLicenseId", "Organization": "DefaultAccountAccess",
                        "PermissionSet": "PermissionsManageProfilesPermissionsets"}.items():  # fmt: skip
        for row in list(org.tables[name].rows.values()):
            org.put(org.tables[name], row["Id"], {key: value for key, value in row.items() if key != later})
    for id18 in list(org.tables["UserLicense"].rows):
        org.put(org.tables["UserLicense"], id18, None)
    org.commit()
    running.stop()
    running = Running("--data", str(tmp_path))
    admin = Client(running.base, ADMIN_TOKEN)
    assert admin.rows("SELECT DefaultAccountAccess FROM Organization") == [{"DefaultAccountAccess": "Edit"}]
    assert admin.rows("SELECT Id FROM Profile WHERE UserLicense.Name != 'Salesforce'") == []
    admin.create("PermissionSet", Name="X", Label="X")
    running.stop()


def test_the_tooling_api_says_what_it_serves(admin):
    assert admin.get("/tooling/").json()["query"] == "/services/data/v66.0/tooling/query"
    body = admin.get("/tooling/sobjects/CustomField").json()
    assert (body["objectDescribe"]["name"], body["recentItems"]) == ("CustomField", [])
