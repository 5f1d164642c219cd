"""The data calls of SOAP, as clients with the partner and the enterprise WSDL send them."""

from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
import requests

from tests.salesforce_standin.running import ADMIN_TOKEN, Running

PARTNER = "urn:partner.soap.sforce.com"
RECORDS = "urn:sobject.partner.soap.sforce.com"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class Soap:
    """Sends one call after the other."""

    def __init__(self, standin: Running, kind: str = "u") -> None:
        self.address = f"{standin.base}/services/Soap/{kind}/60.0"
        self.space = PARTNER if kind == "u" else "urn:enterprise.soap.sforce.com"

    def send(self, body: str, headers: str = "", token: str = ADMIN_TOKEN) -> Any:
        envelope = (
            '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
            f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns="{self.space}" xmlns:s="{RECORDS}">'
            f"<soapenv:Header><SessionHeader><sessionId>{token}</sessionId></SessionHeader>{headers}</soapenv:Header>"
            f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
        )
        return requests.post(
            self.address, data=envelope, headers={"Content-Type": "text/xml", "SOAPAction": '""'}, timeout=10
        )

    def results(self, body: str, headers: str = "") -> list[dict[str, Any]]:
        reply = self.send(body, headers)
        assert reply.status_code == 200, reply.text
        content = ElementTree.fromstring(reply.content).find(".//{*}Body/*")
        assert content is not None
        return [_value(one) for one in content if _local(one) == "result"]

    def find(self, soql: str) -> dict[str, Any]:
        return self.results(f"<query><queryString>{escape(soql)}</queryString></query>")[0]

    def fault(self, body: str, token: str = ADMIN_TOKEN) -> dict[str, Any]:
        reply = self.send(body, token=token)
        assert reply.status_code == 500
        fault = ElementTree.fromstring(reply.content).find(".//{*}Fault")
        assert fault is not None
        detail = fault.find("detail/*")
        assert detail is not None
        return {"faultcode": fault.findtext("faultcode"), "kind": _local(detail), **_value(detail)}


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _value(element: ElementTree.Element) -> Any:
    """Read an element: parts that come several times are a list."""
    if element.get(NIL) == "true":
        return None
    if not len(element):
        return element.text or ""
    found: dict[str, Any] = {}
    for one in element:
        name, value = _local(one), _value(one)
        if name in found and name in {"records", "Id"}:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
        else:
            found[name] = value
    return found


@pytest.fixture
def soap(standin):
    return Soap(standin)


def account(soap: Soap, **values: str) -> str:
    parts = "".join(f"<s:{name}>{value}</s:{name}>" for name, value in values.items())
    (made,) = soap.results(f"<create><sObjects><s:type>Account</s:type>{parts}</sObjects></create>")
    assert made["success"] == "true"
    return str(made["id"])


def test_rows_are_created_changed_and_read(soap):
    id18 = account(soap, Name="Acme &amp; Co", NumberOfEmployees="5", Phone="1")
    (changed,) = soap.results(
        "<update><sObjects><s:type>Account</s:type><s:fieldsToNull>NumberOfEmployees</s:fieldsToNull>"
        f"<s:Id>{id18}</s:Id><s:Site>North</s:Site></sObjects></update>"
    )
    assert changed == {"id": id18, "success": "true"}
    found = soap.find("SELECT Id, Name, NumberOfEmployees, Site, Phone, Owner.Name, CreatedDate FROM Account")
    assert (found["done"], found["queryLocator"], found["size"]) == ("true", None, "1")
    record = found["records"]
    assert record["CreatedDate"].endswith(".000Z")
    assert record == {
        "type": "Account",
        "Id": [id18, id18],
        "Name": "Acme & Co",
        "NumberOfEmployees": None,
        "Site": "North",
        "Phone": "1",
        "Owner": {"type": "User", "Id": None, "Name": "Sales Administrator"},
        "CreatedDate": record["CreatedDate"],
    }
    rows = soap.results(
        f"<retrieve><fieldList>Name,Id</fieldList><sObjectType>Account</sObjectType><ids>{id18}</ids>"
        "<ids>0015g0000099999AAA</ids></retrieve>"
    )
    assert [row and row["Name"] for row in rows] == ["Acme & Co", None]


def test_a_bad_row_leaves_the_good_one_or_takes_it_along(soap):
    rows = (
        "<create><sObjects><s:type>Contact</s:type><s:LastName>A</s:LastName></sObjects>"
        "<sObjects><s:type>Contact</s:type><s:FirstName>B</s:FirstName></sObjects></create>"
    )
    good, bad = soap.results(rows)
    assert good["success"] == "true"
    assert bad == {
        "errors": {
            "fields": "LastName",
            "message": "Required fields are missing: [LastName]",
            "statusCode": "REQUIRED_FIELD_MISSING",
        },
        "id": None,
        "success": "false",
    }
    undone, _ = soap.results(rows, "<AllOrNoneHeader><allOrNone>true</allOrNone></AllOrNoneHeader>")
    assert undone["errors"]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert soap.find("SELECT COUNT() FROM Contact")["size"] == "1"


def test_upsert_says_whether_it_created(soap):
    rows = (
        "<upsert><externalIDFieldName>Email</externalIDFieldName><sObjects><s:type>Contact</s:type>"
        "<s:LastName>A</s:LastName><s:Email>a@x.example</s:Email></sObjects></upsert>"
    )
    first, again = soap.results(rows)[0], soap.results(rows)[0]
    assert list(first) == ["created", "id", "success"]
    assert (first["created"], again["created"], again["id"]) == ("true", "false", first["id"])


def test_pages_follow_the_locator(soap, admin):
    for start in range(0, 400, 200):
        records = [
            {"attributes": {"type": "Contact"}, "LastName": f"L{n:03}"} for n in range(start, start + 200)
        ]
        admin.post("/composite/sobjects", {"records": records})
    small = "<QueryOptions><batchSize>250</batchSize></QueryOptions>"
    soql = "<query><queryString>SELECT LastName FROM Contact ORDER BY LastName</queryString></query>"
    (first,) = soap.results(soql, small)
    assert (first["done"], len(first["records"]), first["size"]) == ("false", 250, "400")
    assert first["records"][0]["Id"] is None
    (second,) = soap.results(f"<queryMore><queryLocator>{first['queryLocator']}</queryLocator></queryMore>")
    assert (second["done"], len(second["records"])) == ("true", 150)
    refused = soap.fault("<queryMore><queryLocator>nonsense</queryLocator></queryMore>")
    assert (refused["faultcode"], refused["kind"]) == (
        "sf:INVALID_QUERY_LOCATOR",
        "InvalidQueryLocatorFault",
    )


def test_aggregates_and_children(soap):
    id18 = account(soap, Name="Acme")
    soap.results(
        f"<create><sObjects><s:type>Contact</s:type><s:LastName>A</s:LastName><s:AccountId>{id18}</s:AccountId>"
        "</sObjects></create>"
    )
    assert soap.find("SELECT COUNT(Id) n FROM Account")["records"] == {
        "type": "AggregateResult",
        "Id": None,
        "n": "1",
    }
    contacts = soap.find("SELECT Id, (SELECT LastName FROM Contacts) FROM Account")["records"]["Contacts"]
    assert (contacts["size"], contacts["records"]["LastName"]) == ("1", "A")


def test_a_search(soap):
    id18 = account(soap, Name="Acme")
    (found,) = soap.results(
        "<search><searchString>FIND {Acme} RETURNING Account(Id, Name)</searchString></search>"
    )
    assert found["searchRecords"]["record"] == {"type": "Account", "Id": [id18, id18], "Name": "Acme"}


@pytest.mark.parametrize(
    ("soql", "code", "kind", "column"),
    [
        ("SELECT Nope FROM Account", "INVALID_FIELD", "InvalidFieldFault", "8"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "InvalidSObjectFault", "16"),
        ("SELECT Id FORM Account", "MALFORMED_QUERY", "MalformedQueryFault", "11"),
    ],
)
def test_what_is_wrong_with_a_query(soap, soql, code, kind, column):
    fault = soap.fault(f"<query><queryString>{soql}</queryString></query>")
    assert (fault["faultcode"], fault["kind"], fault["exceptionCode"]) == (f"sf:{code}", kind, code)
    assert (fault["row"], fault["column"]) == ("1", column)


def test_no_session_and_no_calls_left(soap, admin):
    query = "<query><queryString>SELECT Id FROM Account</queryString></query>"
    assert soap.fault(query, token="x")["exceptionCode"] == "INVALID_SESSION_ID"
    admin.post("/standin/settings", {"limit_lag": 0})
    limits = ElementTree.fromstring(soap.send(query).content).find(".//{*}LimitInfoHeader/{*}limitInfo")
    assert limits is not None
    assert _value(limits) == {"current": "1", "limit": "15000", "type": "API REQUESTS"}
    admin.post("/standin/usage", {"used": 15000})
    assert soap.fault(query)["exceptionCode"] == "REQUEST_LIMIT_EXCEEDED"


def test_deleted_undeleted_gone_for_good(soap, admin):
    kept, gone = account(soap, Name="Kept"), account(soap, Name="Gone")
    both = f"<ids>{kept}</ids><ids>{gone}</ids>"
    assert [one["success"] for one in soap.results(f"<delete>{both}</delete>")] == ["true", "true"]
    window = "<startDate>2020-01-01T00:00:00Z</startDate><endDate>2020-01-02T00:00:00Z</endDate>"
    kind = "<sObjectType>Account</sObjectType>"
    assert (
        soap.fault(f"<getDeleted>{kind}{window}</getDeleted>")["exceptionCode"] == "INVALID_REPLICATION_DATE"
    )
    assert soap.results(f"<undelete><ids>{kept}</ids></undelete>") == [{"id": kept, "success": "true"}]
    assert soap.results(f"<emptyRecycleBin>{both}</emptyRecycleBin>")[1]["success"] == "true"
    assert admin.rows("SELECT Name FROM Account", "/queryAll") == [{"Name": "Kept"}]


def test_merge_and_conversion(soap, admin):
    master, loser = account(soap, Name="Master"), account(soap, Name="Loser")
    merged = soap.results(
        f"<merge><request><masterRecord><s:type>Account</s:type><s:Id>{master}</s:Id><s:Phone>9</s:Phone>"
        f"</masterRecord><recordToMergeIds>{loser}</recordToMergeIds></request></merge>"
    )
    assert merged == [{"id": master, "mergedRecordIds": loser, "success": "true"}]
    lead = admin.create("Lead", LastName="L", Company="C")
    order = (
        f"<convertLead><leadConverts><convertedStatus>Closed - Converted</convertedStatus><leadId>{lead}</leadId>"
        "</leadConverts></convertLead>"
    )
    (converted,) = soap.results(order)
    assert (converted["leadId"], converted["opportunityId"], converted["success"]) == (lead, None, "true")
    again = soap.results(order)[0]
    assert (again["success"], again["errors"]["statusCode"]) == ("false", "CANNOT_UPDATE_CONVERTED_LEAD")


def test_descriptions(soap):
    (described,) = soap.results("<describeSObject><sObjectType>Account</sObjectType></describeSObject>")
    assert list(described)[:3] == ["activateable", "childRelationships", "compactLayoutable"]
    assert (described["keyPrefix"], described["idEnabled"], described["networkScopeFieldName"]) == (
        "001",
        "true",
        None,
    )
    (listed,) = soap.results("<describeGlobal/>")
    assert (listed["encoding"], listed["maxBatchSize"]) == ("UTF-8", "200")


def test_a_password(soap, admin):
    (ben,) = admin.rows("SELECT Id FROM User WHERE Username = 'ben.sales@example.com'")
    who = f"<userId>{ben['Id']}</userId>"
    soap.results(f"<setPassword>{who}<password>a-new-password</password></setPassword>")
    (made,) = soap.results(f"<resetPassword>{who}</resetPassword>")
    login = "<login><username>ben.sales@example.com</username><password>{}</password></login>"
    assert soap.send(login.format("a-new-password")).status_code == 500
    assert soap.send(login.format(made["password"])).status_code == 200


def test_the_enterprise_wsdl_names_the_type_of_a_record(standin):
    soap = Soap(standin, "c")
    (made,) = soap.results('<create><sObjects xsi:type="s:Account"><s:Name>Acme</s:Name></sObjects></create>')
    reply = soap.send("<query><queryString>SELECT Id, Name FROM Account</queryString></query>").text
    assert (
        f'<records xsi:type="sf:Account"><sf:Id>{made["id"]}</sf:Id><sf:Name>Acme</sf:Name></records>'
        in reply
    )


def test_tabs(soap, admin):
    (app,) = soap.results("<describeTabs/>")
    assert (app["label"], app["selected"]) == ("Sales", "true")
    assert app["tabs"]["name"] == "standard-Lead"  # the last of three
    assert app["tabs"]["url"] == f"{admin.base}/00Q/o"


def test_old_clients_name_ids_in_the_singular(soap, admin):
    one = admin.create("Account", Name="A")
    assert soap.results(f"<delete><id>{one}</id></delete>") == [{"id": one, "success": "true"}]
    assert admin.get(f"/sobjects/Account/{one}").status_code == 404


def test_jsforce_names_requests_to_merge_in_its_own_way(soap, admin):
    kept, lost = (admin.create("Lead", LastName=name, Company="C") for name in ("Kept", "Lost"))
    (merged,) = soap.results(
        "<merge><mergeRequests>"
        f"<masterRecord><type>Lead</type><Id>{kept}</Id><FirstName>M</FirstName></masterRecord>"
        f"<recordToMergeIds>{lost}</recordToMergeIds></mergeRequests></merge>"
    )
    assert (merged["id"], merged["mergedRecordIds"], merged["success"]) == (kept, lost, "true")
