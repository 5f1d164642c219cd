"""Fields, descriptions and permissions: what an org has, and what of it a user sees."""

import csv
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

import salesforce_standin
from salesforce_standin.fields import DEFAULTS
from tests.salesforce_standin.running import Client

RECORDED = Path(salesforce_standin.__file__).parent / "data" / "standard_fields.csv"

UNREADABLE = (
    "Cannot deserialize instance of complexvalue from VALUE_STRING value {} or request may be missing a required field"
    " at [line:1, column:2]"
)


def field_names(client: Client, kind: str) -> list[str]:
    return [field["name"] for field in client.get(f"/sobjects/{kind}/describe").json()["fields"]]


def add_field(client: Client, name: str, **metadata: Any) -> requests.Response:
    return client.post("/tooling/sobjects/CustomField", {"FullName": name, "Metadata": metadata})


class TestDescribe:
    @pytest.mark.parametrize(("kind", "count"), [("Account", 68), ("Contact", 61), ("Lead", 56)])
    def test_it_is_complete(self, client, kind, count):
        body = client.get(f"/sobjects/{kind}/describe").json()
        with RECORDED.open(encoding="utf-8", newline="") as lines:
            recorded = [row for row in csv.DictReader(lines) if row["object"] == kind]
        assert [field["name"] for field in body["fields"]] == [row["name"] for row in recorded]
        assert len(body["fields"]) == count
        assert list(body) == sorted(body)
        for field, row in zip(body["fields"], recorded, strict=True):
            assert list(field) == list(DEFAULTS)
            assert len(field) == 57
            assert (field["type"], field["label"], str(field["length"])) == (
                row["type"],
                row["label"],
                row["length"],
            )
            assert str(field["nillable"]).lower() == row["nillable"]
            assert len(field["picklistValues"]) == len(row["picklistValues"].split("|")) * bool(
                row["picklistValues"]
            )

    def test_a_picklist_value(self, client):
        fields = {f["name"]: f for f in client.get("/sobjects/Lead/describe").json()["fields"]}
        assert fields["Status"]["picklistValues"][0] == {
            "active": True, "defaultValue": True, "label": "Open - Not Contacted", "validFor": None,
            "value": "Open - Not Contacted",
        }  # fmt: skip
        assert [v["defaultValue"] for v in fields["Status"]["picklistValues"]] == [True, False, False, False]

    def test_top_level_keys(self, client):
        body = client.get("/sobjects/Contact/describe").json()
        assert {"childRelationships", "recordTypeInfos", "supportedScopes", "urls", "keyPrefix"} <= set(body)
        assert body["urls"]["sobject"] == "/services/data/v66.0/sobjects/Contact"
        accounts = client.get("/sobjects/Account/describe").json()["childRelationships"]
        assert {
            "cascadeDelete": True, "childSObject": "Contact", "deprecatedAndHidden": False, "field": "AccountId",
            "junctionIdListNames": [], "junctionReferenceTo": [], "relationshipName": "Contacts",
            "restrictedDelete": False,
        } in accounts  # fmt: skip

    def test_the_list_of_objects(self, client):
        body = client.get("/sobjects").json()
        assert (body["encoding"], body["maxBatchSize"]) == ("UTF-8", 200)
        entries = {entry["name"]: entry for entry in body["sobjects"]}
        assert entries["Contact"]["keyPrefix"] == "003"
        assert entries["Contact"]["urls"]["rowTemplate"] == "/services/data/v66.0/sobjects/Contact/{ID}"
        assert "CustomField" not in entries
        assert "CustomField" in {e["name"] for e in client.get("/tooling/sobjects").json()["sobjects"]}

    @pytest.mark.parametrize(
        "kind",
        [
            "User",
            "Organization",
            "Profile",
            "PermissionSet",
            "FieldPermissions",
            "ObjectPermissions",
            "PermissionSetAssignment",
        ],
    )
    def test_every_described_field_can_be_queried(self, client, kind):
        chosen = ",".join(field_names(client, kind))
        assert client.query(f"SELECT {chosen} FROM {kind} LIMIT 3").status_code == 200

    def test_not_modified(self, client, admin):
        first = client.get("/sobjects/Contact/describe")
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        assert client.get("/sobjects/Contact/describe", headers=since).status_code == 304
        admin.post("/standin/clock", {"advance": 10})
        add_field(client, "Lead.New__c", label="New", type="Date")
        assert client.get("/sobjects/Contact/describe", headers=since).status_code == 200

    def test_basic_information(self, client):
        account = client.create("Account", Name="A")
        body = client.get("/sobjects/Account").json()
        assert body["objectDescribe"]["name"] == "Account"
        assert [item["Id"] for item in body["recentItems"]] == [account]


class TestCustomField:
    def test_creation(self, client):
        reply = add_field(client, "Contact.Fit__c", label="Fit", type="Number", precision=5, scale=2)
        body = reply.json()
        assert reply.status_code == 201
        assert body == {"id": body["id"], "success": True, "errors": [], "warnings": [], "infos": []}
        assert body["id"].startswith("00N")
        query = "SELECT Id, DeveloperName, TableEnumOrId FROM CustomField WHERE TableEnumOrId = 'Contact' AND DeveloperName = 'Fit'"
        found = client.query(query, "/tooling/query").json()
        keys = [
            "size",
            "totalSize",
            "done",
            "queryLocator",
            "entityTypeName",
            "records",
        ]  # CumulusCI's cassettes
        assert list(found) == keys
        assert (found["size"], found["totalSize"], found["entityTypeName"]) == (1, 1, "CustomField")
        nothing = client.query(query.replace("'Fit'", "'Nope'"), "/tooling/query").json()
        assert nothing == dict(zip(keys, (0, 0, True, None, None, []), strict=True))
        assert (
            found["records"][0]["attributes"]["url"]
            == f"/services/data/v66.0/tooling/sobjects/CustomField/{body['id']}"
        )
        shown = client.get(f"/tooling/sobjects/CustomField/{body['id']}").json()
        assert (shown["FullName"], shown["Metadata"]["precision"]) == ("Contact.Fit__c", 5)
        assert client.query("SELECT Id FROM CustomField").json()[0]["errorCode"] == "INVALID_TYPE"

    @pytest.mark.parametrize(
        ("name", "metadata", "code", "message"),
        [
            ("Contact.A__c", {"label": "A", "type": "Text"}, "FIELD_INTEGRITY_EXCEPTION",
             "Must specify 'length' for a CustomField of type Text"),
            ("Contact.A__c", {"label": "A", "type": "Number", "precision": 5}, "FIELD_INTEGRITY_EXCEPTION",
             "Must specify 'scale' for a CustomField of type Number"),
            ("Contact.A__c", {"label": "A", "type": "Checkbox"}, "FIELD_INTEGRITY_EXCEPTION",
             "Must specify 'defaultValue' for a CustomField of type Checkbox"),
            ("Contact.A__c", {"type": "Date"}, "FIELD_INTEGRITY_EXCEPTION",
             "Must specify a non-empty label for the CustomField"),
            ("Foo.A__c", {"label": "A", "type": "Date"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
             "Entity Enumeration Or ID: bad value for restricted picklist field: Foo"),
            ("Contact.A__c", {"label": "A", "type": "Long Text Area"}, "JSON_PARSER_ERROR",
             UNREADABLE.format("Long Text Area")),
            ("Contact.A__c", {"Label": "A", "type": "Date"}, "INVALID_FIELD",
             "No such column 'Label' on sobject of type Metadata"),
        ],
    )  # fmt: skip
    def test_refusals(self, client, name, metadata, code, message):
        reply = add_field(client, name, **metadata)
        assert reply.status_code == 400
        assert (reply.json()[0]["errorCode"], reply.json()[0]["message"]) == (code, message)

    def test_capitals_of_the_outer_names(self, client):
        reply = client.post("/tooling/sobjects/CustomField", {"fullName": "Contact.A__c", "metadata": {}})
        assert reply.json() == [
            {
                "message": "No such column 'fullName' on sobject of type CustomField",
                "errorCode": "INVALID_FIELD",
            }
        ]

    def test_a_name_twice(self, client):
        add_field(client, "Contact.Fit__c", label="Fit", type="Date")
        reply = add_field(client, "Contact.FIT__c", label="Fit", type="Date")
        assert reply.status_code == 400
        assert reply.json() == [
            {
                "message": "There is already a field named FIT on Contact.",
                "errorCode": "DUPLICATE_DEVELOPER_NAME",
                "fields": ["DeveloperName"],
            }
        ]

    def test_composite_of_the_tooling_api(self, client):
        def create(name: str) -> dict[str, Any]:
            body = {"FullName": f"Contact.{name}__c", "Metadata": {"label": name, "type": "Date"}}
            url = "/services/data/v66.0/tooling/sobjects/CustomField"
            return {"method": "POST", "url": url, "referenceId": name, "body": body}

        answers = client.post("/tooling/composite", {"compositeRequest": [create("A"), create("B")]}).json()
        assert [answer["httpStatusCode"] for answer in answers["compositeResponse"]] == [201, 201]
        rolled = client.post(
            "/tooling/composite", {"allOrNone": True, "compositeRequest": [create("C"), create("A")]}
        ).json()
        assert {answer["httpStatusCode"] for answer in rolled["compositeResponse"]} == {400}
        found = client.rows("SELECT DeveloperName FROM CustomField ORDER BY DeveloperName", "/tooling/query")
        assert [row["DeveloperName"] for row in found] == ["A", "B"]

    def test_change_and_delete(self, keyed):
        found = keyed.rows("SELECT Id FROM CustomField WHERE DeveloperName = 'Score'", "/tooling/query")[0][
            "Id"
        ]
        path = f"/tooling/sobjects/CustomField/{found}"
        keyed.create("Contact", LastName="A", Score__c=1)
        metadata = {"label": "Fit", "type": "Number", "precision": 8, "scale": 1}
        assert keyed.patch(path, {"Metadata": metadata}).status_code == 204
        fields = {f["name"]: f for f in keyed.get("/sobjects/Contact/describe").json()["fields"]}
        assert (fields["Score__c"]["label"], fields["Score__c"]["precision"]) == ("Fit", 8)
        refused = keyed.patch(path, {"Metadata": {"label": "Fit", "type": "Text", "length": 3}})
        assert refused.json()[0]["message"] == "Cannot change type from Number to Text"
        assert keyed.delete(path).status_code == 204
        assert "Score__c" not in field_names(keyed, "Contact")
        assert keyed.rows("SELECT Id FROM FieldPermissions WHERE Field = 'Contact.Score__c'") == []

    def test_metadata_of_one_row_at_a_time(self, keyed):
        one = keyed.rows("SELECT Metadata FROM CustomField WHERE DeveloperName = 'Score'", "/tooling/query")[
            0
        ]
        assert one["Metadata"]["type"] == "Number"
        reply = keyed.query("SELECT Metadata FROM CustomField", "/tooling/query")
        assert reply.json()[0]["message"].endswith("no more than one row for retrieval. Result size: 4")

    def test_how_it_is_described(self, keyed):
        fields = {f["name"]: f for f in keyed.get("/sobjects/Contact/describe").json()["fields"]}
        key, flag, score = fields["GPTWeb_Id__c"], fields["Is_DQL__c"], fields["Score__c"]
        shown = ("type", "length", "externalId", "unique", "idLookup", "custom", "permissionable", "nillable")
        assert [key[name] for name in shown] == ["string", 36, True, True, True, True, True, True]
        assert (flag["type"], flag["defaultValue"], flag["nillable"]) == ("boolean", False, False)
        assert (score["type"], score["precision"], score["scale"]) == ("double", 5, 2)


class TestFieldSecurity:
    def test_a_new_field_is_invisible_until_permitted(self, client, admin):
        add_field(client, "Contact.Fit__c", label="Fit", type="Text", length=10)
        for one in (client, admin):
            assert "Fit__c" not in field_names(one, "Contact")
            assert one.query("SELECT Fit__c FROM Contact").json()[0]["errorCode"] == "INVALID_FIELD"
            reply = one.post("/sobjects/Contact", {"LastName": "A", "Fit__c": "x"})
            assert reply.json() == [
                {
                    "message": "No such column 'Fit__c' on sobject of type Contact",
                    "errorCode": "INVALID_FIELD",
                }
            ]
        owner = client.create("PermissionSet", Name="S", Label="S")
        permission = client.create(
            "FieldPermissions",
            ParentId=owner,
            SobjectType="Contact",
            Field="Contact.Fit__c",
            PermissionsRead=True,
        )
        assert "Fit__c" not in field_names(client, "Contact")
        me = client.get("/services/oauth2/userinfo").json()["user_id"]
        client.create("PermissionSetAssignment", AssigneeId=me, PermissionSetId=owner)
        assert "Fit__c" in field_names(client, "Contact")
        assert "Fit__c" not in field_names(admin, "Contact")
        reply = client.post("/sobjects/Contact", {"LastName": "A", "Fit__c": "x"})
        assert reply.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
        client.patch(f"/sobjects/FieldPermissions/{permission}", {"PermissionsEdit": True})
        client.create("Contact", LastName="A", Fit__c="x")

    def test_a_profile_can_hide_a_standard_field(self, client):
        rows = client.rows(
            "SELECT Id, Parent.IsOwnedByProfile, Parent.Profile.Name FROM FieldPermissions"
            " WHERE Field = 'Contact.MailingAddress' AND Parent.Profile.Name = 'GPTWeb Integration User'"
        )
        assert len(rows) == 1
        assert "MailingCity" in field_names(client, "Contact")
        client.delete(f"/sobjects/FieldPermissions/{rows[0]['Id']}")
        assert not {"MailingCity", "MailingAddress"} & set(field_names(client, "Contact"))

    def test_queries_that_check_a_user(self, keyed):
        me = keyed.get("/services/oauth2/userinfo").json()["user_id"]
        rights = keyed.rows(
            "SELECT PermissionSet.PermissionsApiEnabled,PermissionSet.PermissionsModifyAllData FROM"
            f" PermissionSetAssignment WHERE AssigneeId='{me}'"
        )
        assert [row["PermissionSet"]["PermissionsApiEnabled"] for row in rights] == [True, False]
        fields = keyed.rows(
            "SELECT Field,PermissionsRead,PermissionsEdit FROM FieldPermissions WHERE SobjectType='Contact' AND ParentId IN"
            f" (SELECT PermissionSetId FROM PermissionSetAssignment WHERE AssigneeId='{me}') AND Field LIKE '%\\_\\_c'"
        )
        assert {row["Field"] for row in fields} == {
            "Contact.GPTWeb_Id__c", "Contact.Score__c", "Contact.Is_DQL__c", "Contact.Last_Visit__c",
        }  # fmt: skip
        org = keyed.rows("SELECT OrganizationType,IsSandbox,InstanceName FROM Organization")
        assert org == [{"OrganizationType": "Developer Edition", "IsSandbox": False, "InstanceName": "STD1"}]


class TestPermissionObjects:
    DUPLICATE: ClassVar = {
        "message": "duplicate value found: <unknown> duplicates value on record with id: <unknown>",
        "errorCode": "DUPLICATE_VALUE",
        "fields": [],
    }

    def test_duplicates(self, keyed):
        owner = keyed.rows("SELECT Id FROM PermissionSet WHERE Name = 'CRM_Sync'")[0]["Id"]
        me = keyed.get("/services/oauth2/userinfo").json()["user_id"]
        again = {
            "PermissionSet": {"Name": "CRM_Sync", "Label": "x"},
            "PermissionSetAssignment": {"AssigneeId": me, "PermissionSetId": owner},
            "FieldPermissions": {
                "ParentId": owner, "SobjectType": "Contact", "Field": "Contact.Score__c", "PermissionsRead": True,
            },
        }  # fmt: skip
        for kind, values in again.items():
            assert keyed.post(f"/sobjects/{kind}", values).json() == [self.DUPLICATE]

    def test_object_permissions_rest_on_each_other(self, client):
        owner = client.create("PermissionSet", Name="S", Label="S")
        values = {"ParentId": owner, "SobjectType": "Contact", "PermissionsEdit": True}
        reply = client.post("/sobjects/ObjectPermissions", values)
        assert reply.json() == [
            {
                "message": "Permission Edit Contact depends on permission(s): Read Contact",
                "errorCode": "FIELD_INTEGRITY_EXCEPTION",
                "fields": [],
            }
        ]
        made = client.create("ObjectPermissions", **values, PermissionsRead=True)
        reply = client.patch(f"/sobjects/ObjectPermissions/{made}", {"PermissionsDelete": True})
        assert reply.status_code == 204

    @pytest.mark.parametrize("name", ["LastName", "Id", "OwnerId", "CreatedDate", "Nope__c"])
    def test_fields_that_take_no_permission(self, client, name):
        owner = client.create("PermissionSet", Name="S", Label="S")
        values = {
            "ParentId": owner,
            "SobjectType": "Contact",
            "Field": f"Contact.{name}",
            "PermissionsRead": True,
        }
        reply = client.post("/sobjects/FieldPermissions", values)
        assert reply.status_code == 400
        assert (
            reply.json()[0]["message"]
            == f"Field Name: bad value for restricted picklist field: Contact.{name}"
        )

    def test_deleting_a_set_takes_its_permissions_along(self, keyed):
        owner = keyed.rows("SELECT Id FROM PermissionSet WHERE Name = 'CRM_Sync'")[0]["Id"]
        (held,) = keyed.rows(f"SELECT Id FROM PermissionSetAssignment WHERE PermissionSetId = '{owner}'")
        assert keyed.delete(f"/sobjects/PermissionSetAssignment/{held['Id']}").status_code == 204
        assert keyed.delete(f"/sobjects/PermissionSet/{owner}").status_code == 204
        assert "Score__c" not in field_names(keyed, "Contact")
        assert keyed.rows(f"SELECT Id FROM FieldPermissions WHERE ParentId = '{owner}'") == []
