"""The REST API in XML: who is answered so, how bodies are spelled, what is read."""

import gzip
from xml.etree import ElementTree

import pytest
import requests

from salesforce_standin.clock import epoch_of, stamp_of

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
ACCEPT = {"Accept": "application/xml"}
SENT = {"Content-Type": "application/xml; charset=UTF-8"}


def tree(reply: requests.Response) -> ElementTree.Element:
    assert reply.headers["Content-Type"] == "application/xml;charset=UTF-8"
    assert reply.text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    return ElementTree.fromstring(reply.content)


class TestReplies:
    def test_a_record_is_an_element_of_its_objects_name_with_nils_and_times_as_in_soap(self, client):
        """REST:rest-api-architecture; Camel's XmlRestProcessor takes the root from the object's name."""
        account = client.create("Account", Name="A & <B>")
        path = f"/sobjects/Account/{account}"
        root = tree(client.get(path, params={"fields": "Name,Fax,CreatedDate"}, headers=ACCEPT))
        assert (root.tag, root.get("type"), root.get("url")) == (
            "Account", "Account", f"/services/data/v66.0{path}",
        )  # fmt: skip
        assert [one.tag for one in root] == ["Name", "Fax", "CreatedDate", "Id"]
        assert (root[0].text, root[1].get(NIL)) == ("A & <B>", "true")
        assert root[2].text is not None
        assert root[2].text.endswith(".000Z")

    def test_a_character_that_xml_can_not_have_is_left_out(self, client):
        account = client.create("Account", Name="A\x0bB\U0001f600")
        root = tree(client.get(f"/sobjects/Account/{account}", headers=ACCEPT))
        assert root.findtext("Name") == "AB\U0001f600"

    def test_a_query_nests_its_records(self, client):
        account = client.create("Account", Name="A")
        client.create("Contact", LastName="B", AccountId=account)
        soql = f"SELECT Id, (SELECT LastName FROM Contacts) FROM Account WHERE Id = '{account}'"
        root = tree(client.query(soql, headers=ACCEPT))
        assert [one.tag for one in root] == ["totalSize", "done", "records"]
        assert root.findtext("records/Contacts/records/LastName") == "B"

    @pytest.mark.parametrize(
        ("path", "root", "inside"),
        [
            ("/services/data/", "Versions", "Version/label"),
            ("/", "urls", "sobjects"),
            ("/sobjects", "DescribeGlobal", "sobjects/keyPrefix"),
            ("/sobjects/Contact/describe", "Contact", "fields/soapType"),
            ("/sobjects/Contact", "Contact", "objectDescribe/name"),
            ("/sobjects/Foo", "Errors", "Error/errorCode"),
        ],
    )
    def test_roots(self, admin, path, root, inside):
        found = tree(admin.get(path, headers=ACCEPT))
        assert (found.tag, bool(found.findtext(inside))) == (root, True)

    def test_a_list_repeats_its_element(self, client, admin):
        """REST:get-a-list-of-deleted-records-within-a-given-timeframe shows the object as root and times with Z."""
        gone = [client.create("Contact", LastName=name) for name in "ab"]
        for one in gone:
            client.delete(f"/sobjects/Contact/{one}")
        now = epoch_of(admin.get("/standin/clock").json()["now"])
        admin.post("/standin/clock", {"advance": 120})
        window = {"start": stamp_of(now - 600), "end": stamp_of(now + 600)}
        root = tree(client.get("/sobjects/Contact/deleted/", params=window, headers=ACCEPT))
        assert [one.findtext("id") for one in root.findall("deletedRecords")] == gone
        assert (root.findtext("latestDateCovered") or "").endswith(":00.000Z")

    @pytest.mark.parametrize(
        "accept",
        ["application/json", "*/*", "text/html, */*;q=0.2", "application/json, application/xml", "?"],
    )
    def test_others_get_json(self, client, accept):
        assert client.get("/", headers={"Accept": accept}).json()["query"] == "/services/data/v66.0/query"

    def test_bulk_jobs_are_told_in_json_alone(self, client):
        assert client.get("/jobs/ingest", headers=ACCEPT).json()["records"] == []


class TestRequests:
    def test_a_record_is_created_and_changed(self, client):
        body = (
            '<Contact xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><LastName>Ünal</LastName>'
            '<DoNotCall>true</DoNotCall><Phone xsi:nil="true"/></Contact>'
        )
        made = client.post("/sobjects/Contact", data=body.encode("utf-16"), headers=SENT)
        assert made.status_code == 201
        contact = tree(made).findtext("id")
        assert tree(made).findtext("success") == "true"
        body = '<?xml version="1.0"?><Contact><Phone>1</Phone></Contact>'
        assert client.patch(f"/sobjects/Contact/{contact}", data=body, headers=SENT).status_code == 204
        assert client.rows(f"SELECT LastName, DoNotCall, Phone FROM Contact WHERE Id = '{contact}'") == [
            {"LastName": "Ünal", "DoNotCall": True, "Phone": "1"}
        ]

    def test_a_tree_of_records(self, client):
        """REST:sobject-tree-response-body."""
        body = (
            '<SObjectTreeRequest><records type="Account" referenceId="a"><Name>A</Name><Contacts>'
            '<records type="Contact" referenceId="b"><LastName>B</LastName></records></Contacts></records></SObjectTreeRequest>'
        )
        root = tree(client.post("/composite/tree/Account", data=body, headers=SENT))
        assert (root.tag, root.findtext("hasErrors")) == ("SObjectTreeResponse", "false")
        assert [one.findtext("referenceId") for one in root.findall("results")] == ["a", "b"]

    @pytest.mark.parametrize(
        "body",
        [
            b"<Account>",
            b'<?xml version="1.0" encoding="nothing"?><Account/>',
            '<!DOCTYPE a [<!ENTITY b "c">]><Account>&b;</Account>'.encode("utf-16"),
        ],
    )
    def test_what_is_no_xml_is_refused(self, client, body):
        reply = client.post("/sobjects/Account", data=body, headers=SENT)
        assert (reply.status_code, tree(reply).findtext("Error/errorCode")) == (400, "XML_PARSER_ERROR")


class TestSuffix:
    """REST:rest-api-architecture: ``.json`` and ``.xml`` stand for a header up to v57."""

    def test_up_to_v57(self, admin):
        assert tree(admin.get("/services/data/v57.0/limits.xml")).tag == "LimitsSnapshot"
        assert admin.get("/services/data/v57.0/limits.json", headers=ACCEPT).json()["MassEmail"]["Max"] == 10

    def test_no_more_since_v58(self, admin):
        assert admin.get("/services/data/v58.0/limits.json").status_code == 404


class TestCompression:
    """REST:compression-headers."""

    def test_a_packed_body_is_read(self, client):
        packed = gzip.compress(b'{"Name": "A"}')
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        assert client.post("/sobjects/Account", data=packed, headers=headers).status_code == 201

    def test_one_that_is_not_what_it_says_is_refused(self, client):
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        reply = client.post("/sobjects/Account", data=b'{"Name": "A"}', headers=headers)
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
        assert client.get("/").status_code == 200
