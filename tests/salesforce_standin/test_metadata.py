"""The Metadata API over SOAP, with zeep and the WSDL that simple-salesforce brings along, and by hand."""

from typing import Any

import pytest
import requests
from simple_salesforce.metadata import SfdcMetadataApi
from zeep.exceptions import Fault

from salesforce_standin import xml_text
from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running, token_of

SALES = "Contact-Contact %28Sales%29 Layout"
MAIN = "Contact-Contact Layout"


@pytest.fixture(scope="module")
def shared():
    running = Running()
    yield running
    running.stop()


def api_of(base: str, token: str) -> Any:
    url = f"{base}/services/Soap/m/66.0/"
    with requests.Session() as session:
        return SfdcMetadataApi(session, token, base, url, {}, "66.0")


@pytest.fixture(scope="module")
def api(shared):
    return api_of(shared.base, token_of(shared.base))


@pytest.fixture
def user(shared):
    made = Client(shared.base, token_of(shared.base))
    yield made
    made.http.close()


def logged_in(client: Client, username: str) -> Client:
    token = client.post("/standin/sessions", {"username": username}).json()["access_token"]
    return Client(client.base, token)


def soap(client: Client, body: str, token: str | None = None, header: str = "", version: str = "66.0") -> Any:
    content = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://soap.sforce.com/2006/04/metadata"'
        f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Header><m:SessionHeader><m:sessionId>'
        f"{token or client.token}</m:sessionId></m:SessionHeader>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
    )
    return requests.post(
        f"{client.base}/services/Soap/m/{version}",
        content.encode(),
        headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'},
        timeout=10,
    )


def layout_xml(client: Client, full_name: str) -> str:
    listed = client.get("/standin/layouts").json()["layouts"]
    return str(next(one["xml"] for one in listed if one["fullName"] == full_name))


def fields_on(layout: Any) -> list[str]:
    return [
        item.field
        for section in layout.layoutSections
        for column in section.layoutColumns
        for item in (column.layoutItems if column else [])
        if item.field
    ]


class TestZeep:
    def test_describe_and_list(self, api):
        described = api.describe_metadata()
        assert [(one.xmlName, one.directoryName) for one in described.metadataObjects] == [
            ("CustomObject", "objects"),
            ("Layout", "layouts"),
            ("PermissionSet", "permissionsets"),
            ("Profile", "profiles"),
        ]
        listed = api.list_metadata([{"type": "Layout"}, {"type": "Profile"}, {"type": "ApexClass"}])
        names = [one.fullName for one in listed]
        assert names[:4] == [
            "Account-Account %28Sales%29 Layout",
            "Account-Account Layout",
            SALES,
            MAIN,
        ]
        assert {"Admin", "Standard"} <= set(names)
        first = listed[0]
        assert first.fileName == "layouts/Account-Account %28Sales%29 Layout.layout"
        assert (first.type, first.manageableState, first.createdByName) == (
            "Layout",
            "unmanaged",
            "Sales Administrator",
        )

    def test_a_layout_that_is_read_and_written_back_stays_the_same(self, api, user):
        for name in (SALES, MAIN, "Lead-Lead Layout", "Account-Account Layout"):
            before = layout_xml(user, name)
            layout = api.Layout.read([name])
            assert layout.fullName == name
            api.Layout.update([layout])
            assert layout_xml(user, name) == before

    def test_a_section_is_added_and_another_users_items_stay(self, api, user):
        api.CustomField.create([api.CustomField(fullName="Contact.On_Layout__c", label="On", type="Date")])
        layout = api.Layout.read([SALES])
        section = api._client.get_type("ns0:LayoutSection")(
            customLabel=True,
            detailHeading=True,
            editHeading=True,
            label="Insights",
            style="TwoColumnsTopToBottom",
            layoutColumns=[{"layoutItems": [{"behavior": "Readonly", "field": "On_Layout__c"}]}, {}],
        )
        layout.layoutSections.insert(1, section)
        api.Layout.update([layout])
        again = api.Layout.read([SALES])
        assert [one.label for one in again.layoutSections][:3] == [
            "Contact Information",
            "Insights",
            "Address Information",
        ]
        assert "On_Layout__c" in fields_on(again)
        assert [one.relatedList for one in again.relatedLists] == [
            "RelatedActivityList",
            "RelatedHistoryList",
            "RelatedNoteList",
        ]
        shown = user.get("/sobjects/Contact/describe").json()["fields"]
        assert "On_Layout__c" not in {field["name"] for field in shown}  # nobody may see it yet
        api.CustomField.delete(["Contact.On_Layout__c"])
        assert "On_Layout__c" not in fields_on(api.Layout.read([SALES]))
        assert (
            user.rows("SELECT Id FROM CustomField WHERE DeveloperName = 'On_Layout'", "/tooling/query") == []
        )

    def test_what_a_layout_must_not_be(self, api):
        layout = api.Layout.read([MAIN])
        items = layout.layoutSections[0].layoutColumns[0].layoutItems
        items[0].field = "Nope__c"
        with pytest.raises(Exception, match=r"In field: field - no CustomField named Contact.Nope__c found"):
            api.Layout.update([layout])
        items[0].field = "AccountId"
        with pytest.raises(Exception, match="duplicate field: AccountId"):
            api.Layout.update([layout])
        items[0].field, items[1].behavior = "OwnerId", "Edit"
        with pytest.raises(Exception, match="Field:Name must be Required"):
            api.Layout.update([layout])
        del items[1]
        with pytest.raises(Exception, match="must contain an item for required layout field: Name"):
            api.Layout.update([layout])
        layout.layoutSections = []
        with pytest.raises(Exception, match="Layout must have at least 1 section"):
            api.Layout.update([layout])
        layout.fullName = "Contact-Nope Layout"
        with pytest.raises(Exception, match="INVALID_CROSS_REFERENCE_KEY"):
            api.Layout.update([layout])

    def test_custom_fields(self, api, user):
        picklist = api.CustomField(
            fullName="Lead.Tier__c",
            label="Tier",
            type="Picklist",
            valueSet={
                "restricted": True,
                "valueSetDefinition": {
                    "sorted": False,
                    "value": [{"fullName": "A", "default": False, "label": "A"}],
                },
            },
        )
        number = api.CustomField(
            fullName="Lead.Fit__c", label="Fit", type="Number", precision=5, scale=2, externalId=False
        )
        api.CustomField.create([picklist, number])
        read = api.CustomField.read(["Lead.Tier__c", "Lead.Fit__c"])
        assert read[0].valueSet.valueSetDefinition.value[0].fullName == "A"
        assert (read[1].precision, read[1].scale, read[1].externalId) == (5, 2, False)
        with pytest.raises(Exception, match="DUPLICATE_DEVELOPER_NAME"):
            api.CustomField.create([number])
        number.label = "How it fits"
        api.CustomField.upsert([number])
        assert api.CustomField.read(["Lead.Fit__c"]).label == "How it fits"
        api.CustomField.delete(["Lead.Tier__c", "Lead.Fit__c"])
        with pytest.raises(Exception, match=r"no CustomField named Lead.Tier__c found"):
            api.CustomField.delete(["Lead.Tier__c"])

    def test_permission_sets(self, api, user):
        granted = api.PermissionSet(
            fullName="Readers",
            label="Readers",
            hasActivationRequired=False,
            objectPermissions=[
                {
                    "object": "Contact", "allowRead": True, "allowCreate": False, "allowEdit": False,
                    "allowDelete": False, "viewAllRecords": False, "modifyAllRecords": False,
                }
            ],
            fieldPermissions=[{"field": "Contact.Phone", "readable": True, "editable": False}],
            userPermissions=[{"name": "ApiEnabled", "enabled": True}],
        )  # fmt: skip
        api.PermissionSet.create([granted])
        rows = user.rows("SELECT Field, PermissionsEdit FROM FieldPermissions WHERE Parent.Name = 'Readers'")
        assert rows == [{"Field": "Contact.Phone", "PermissionsEdit": False}]
        read = api.PermissionSet.read(["Readers"])
        assert (read.label, read.fieldPermissions[0].field) == ("Readers", "Contact.Phone")
        assert [one.name for one in read.userPermissions] == ["ApiEnabled"]
        read.fieldPermissions, read.userPermissions = [], []
        api.PermissionSet.update([read])
        found = user.rows("SELECT Id, PermissionsApiEnabled FROM PermissionSet WHERE Name = 'Readers'")
        assert found[0]["PermissionsApiEnabled"] is False
        (person,) = user.rows("SELECT Id FROM User WHERE Username = 'anna.sales@example.com'")
        assigned = user.create(
            "PermissionSetAssignment", AssigneeId=person["Id"], PermissionSetId=found[0]["Id"]
        )
        with pytest.raises(Exception, match=r"assigned to the following users.: Anna Sales"):
            api.PermissionSet.delete(["Readers"])
        refused = user.delete(f"/sobjects/PermissionSet/{found[0]['Id']}")
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "DELETE_FAILED")
        assert user.delete(f"/composite/sobjects?ids={assigned}").json()[0]["success"] is True
        api.PermissionSet.delete(["Readers"])
        assert user.rows("SELECT Id FROM ObjectPermissions WHERE Parent.Name = 'Readers'") == []

    def test_an_unknown_type_and_too_many_components(self, api):
        with pytest.raises(Fault, match="INVALID_TYPE: Unknown type:Foo"):
            api.list_metadata([{"type": "Foo"}])
        with pytest.raises(Fault, match="EXCEEDED_ID_LIMIT"):
            api.Layout.read([MAIN] * 11)
        with pytest.raises(Fault, match="EXCEEDED_ID_LIMIT"):
            api.list_metadata([{"type": "Layout"}] * 4)


class TestEnvelope:
    LIST = (
        "<m:listMetadata><m:queries><m:type>Layout</m:type></m:queries>"
        "<m:asOfVersion>66.0</m:asOfVersion></m:listMetadata>"
    )

    def test_a_dead_session(self, user):
        reply = soap(user, self.LIST, token="00D5g0000012345!dead")
        assert reply.status_code == 500
        assert reply.headers["Content-Type"] == "text/xml;charset=UTF-8"
        assert "<faultcode>sf:INVALID_SESSION_ID</faultcode>" in reply.text
        assert "<faultstring>INVALID_SESSION_ID: Invalid Session ID found in SessionHeader:" in reply.text
        assert 'xmlns:sf="http://soap.sforce.com/2006/04/metadata"' in reply.text

    def test_a_user_without_the_right(self, user):
        anna = logged_in(user, "anna.sales@example.com")
        reply = soap(anna, self.LIST)
        assert "<faultcode>sf:INSUFFICIENT_ACCESS</faultcode>" in reply.text
        assert "requires a user with the ModifyAllData or ModifyMetadata permissions" in reply.text
        definition = {"FullName": "Contact.X__c", "Metadata": {"label": "X", "type": "Date"}}
        refused = anna.post("/tooling/sobjects/CustomField", definition)
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")
        anna.http.close()

    def test_an_unknown_component_is_nil_and_the_call_is_counted(self, user):
        before = user.get("/standin/calls?limit=0").json()["api_usage"]
        reply = soap(
            user,
            "<m:readMetadata><m:type>Layout</m:type><m:fullNames>Contact-Nope</m:fullNames></m:readMetadata>",
        )
        assert '<result><records xsi:nil="true"/></result>' in reply.text
        assert reply.text.startswith('<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv=')
        assert user.get("/standin/calls?limit=0").json()["api_usage"] == before + 1

    def test_all_or_none(self, user):
        fields = "".join(
            f'<m:metadata xsi:type="m:CustomField"><m:fullName>{name}</m:fullName><m:label>x</m:label>'
            "<m:type>Date</m:type></m:metadata>"
            for name in ("Contact.Good__c", "Contact.Bad")
        )
        header = "<m:AllOrNoneHeader><m:allOrNone>true</m:allOrNone></m:AllOrNoneHeader>"
        reply = soap(user, f"<m:createMetadata>{fields}</m:createMetadata>", header=header)
        assert reply.text.count("<success>false</success>") == 2
        assert "ALL_OR_NONE_OPERATION_ROLLED_BACK" in reply.text
        assert user.rows("SELECT Id FROM CustomField WHERE DeveloperName = 'Good'", "/tooling/query") == []
        reply = soap(user, f"<m:createMetadata>{fields}</m:createMetadata>")
        assert reply.text.count("<success>true</success>") == 1
        soap(
            user,
            "<m:deleteMetadata><m:type>CustomField</m:type><m:fullNames>Contact.Good__c</m:fullNames></m:deleteMetadata>",
        )

    def test_scattered_elements_old_versions_and_nonsense(self, user):
        scattered = (
            f'<m:updateMetadata><m:metadata xsi:type="m:Layout"><m:fullName>{MAIN}</m:fullName><m:layoutSections/>'
            "<m:emailDefault>true</m:emailDefault><m:layoutSections/></m:metadata></m:updateMetadata>"
        )
        assert "Element layoutSections is duplicated at this location" in soap(user, scattered).text
        assert "sf:UNSUPPORTED_API_VERSION" in soap(user, self.LIST, version="30.0").text
        assert "No operation available for request" in soap(user, "<m:renameMetadata/>").text
        assert "<faultcode>soapenv:Client</faultcode>" in soap(user, "<m:list").text


def test_tooling_and_rest_show_layouts(user):
    found = user.rows(
        "SELECT Id, Name, TableEnumOrId FROM Layout WHERE TableEnumOrId = 'Contact'", "/tooling/query"
    )
    assert [one["Name"] for one in found] == ["Contact (Sales) Layout", "Contact Layout"]
    shown = user.get(f"/tooling/sobjects/Layout/{found[1]['Id']}").json()
    assert shown["FullName"] == MAIN
    first = shown["Metadata"]["layoutSections"][0]["layoutColumns"][0]["layoutItems"]
    assert first[1] == {"behavior": "Required", "field": "Name"}
    described = user.get("/sobjects/Contact/describe/layouts").json()
    assert described["recordTypeMappings"][0]["layoutId"] == found[1]["Id"]
    section = described["layouts"][0]["detailLayoutSections"][0]
    components = section["layoutRows"][1]["layoutItems"][0]["layoutComponents"]
    assert (section["heading"], components[0]["value"]) == ("Contact Information", "Name")
    one = user.get("/sobjects/Contact/describe/layouts/012000000000000AAA").json()
    assert one["id"] == found[1]["Id"]
    assert user.get("/sobjects/PermissionSet/describe/layouts").status_code == 404


def test_an_admins_layout_with_an_element_that_no_wsdl_knows_survives_a_restart(tmp_path):
    running = Running("--data", str(tmp_path))
    client = Client(running.base, ADMIN_TOKEN)
    xml = layout_xml(client, SALES) + "<showGadgetPanel>true</showGadgetPanel>"
    assert client.post("/standin/layouts", {"fullName": SALES, "xml": xml}).status_code == 204
    assert client.post("/standin/layouts", {"fullName": SALES, "xml": "<a>"}).status_code == 400
    running.stop()
    running = Running("--data", str(tmp_path))
    client.base = running.base
    assert layout_xml(client, SALES) == xml
    client.http.close()
    running.stop()


def test_sales_people_see_what_their_permissions_say(client):
    people = client.rows("SELECT Username, IsActive FROM User WHERE Profile.Name = 'Standard User'")
    assert [(one["Username"], one["IsActive"]) for one in people] == [
        ("anna.sales@example.com", True),
        ("ben.sales@example.com", True),
        ("carl.sales@example.com", False),
    ]
    anna = logged_in(client, "anna.sales@example.com")
    described = anna.get("/sobjects/Contact/describe").json()
    assert (described["createable"], described["deletable"]) == (True, True)
    assert "Phone" in {field["name"] for field in described["fields"]}
    made = anna.create("Contact", LastName="By Anna")
    assert anna.get(f"/sobjects/Contact/{made}").json()["LastName"] == "By Anna"
    carl = logged_in(client, "carl.sales@example.com")
    assert carl.get("/sobjects").status_code == 401
    assert client.post("/standin/sessions", {"username": "nobody"}).status_code == 404
    for one in (anna, carl):
        one.http.close()


def test_xml_without_a_document_type_only():
    assert xml_text.read(b"<!DOCTYPE a><a/>") is None
    assert xml_text.read(b"<a") is None
