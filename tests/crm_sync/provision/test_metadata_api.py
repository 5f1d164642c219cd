"""The Metadata API's wire: what leaves, what comes back, and what each fault means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from lxml import etree
from requests import Response

from crm_sync.access.login import Session
from crm_sync.errors import Misconfigured, RetryLater, SessionExpired, SyncError, Unanswered
from crm_sync.stores.salesforce_metadata import SPACE, TYPE, MetadataApi, Result

HEAD = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns="http://soap.sforce.com/2006/04/metadata" '
    'xmlns:sf="http://soap.sforce.com/2006/04/metadata" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:xs="http://www.w3.org/2001/XMLSchema"><s:Body>'
)
TAIL = "</s:Body></s:Envelope>"


@dataclass
class Login:
    """Every renewal gives the next token."""

    number: int = 0

    def token(self) -> Session:
        return Session(f"token {self.number}", "http://127.0.0.1:8")

    def renew(self, refused: Session) -> Session:
        self.number += 1
        return self.token()


@dataclass
class Wire:
    """Answers with what a test wrote down."""

    answers: list[tuple[int, str]]
    login: Login = field(default_factory=Login)
    connection: str = "main"
    sent: list[etree._Element] = field(default_factory=list)
    error: Exception | None = None

    def post(self, url: str, data: bytes, *, headers: Mapping[str, str]) -> Response:
        if self.error:
            raise self.error
        assert url == "http://127.0.0.1:8/services/Soap/m/66.0"
        assert headers["Content-Type"].startswith("text/xml")
        self.sent.append(etree.fromstring(data))
        status, body = self.answers.pop(0)
        response = Response()
        response.status_code, response._content = status, body.encode()
        response.headers["Content-Type"] = "text/xml;charset=UTF-8"
        return response


def answer(body: str) -> tuple[int, str]:
    return 200, HEAD + body + TAIL


def fault(code: str, text: str) -> tuple[int, str]:
    said = f"<s:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></s:Fault>"
    return 500, HEAD + said + TAIL


def said(tree: etree._Element) -> list[tuple[object, ...]]:
    """A tree as values, without what only spells it."""
    return [
        (each.tag, each.text, each.tail, sorted((k, v) for k, v in each.attrib.items() if k != TYPE))
        for each in list(tree.iter())[1:]
    ]


def test_a_component_goes_out_as_it_came_in_its_types_in_prefixes_that_hold_there() -> None:
    inside = (
        '<fullName>L</fullName><odd a="1"> x <b/></odd><value xsi:type="xs:string">1</value>'
        '<part xsi:type="Thing"><c xsi:nil="true"/></part>'
    )
    wire = Wire(
        [
            answer(
                f'<readMetadataResponse><result><records xsi:type="Layout">{inside}</records></result></readMetadataResponse>'
            ),
            answer(
                "<updateMetadataResponse><result><fullName>L</fullName><success>true</success></result></updateMetadataResponse>"
            ),
        ]
    )
    api = MetadataApi(wire)
    tree = api.read("Layout", ["L"])["L"]
    came = etree.tostring(tree, method="c14n")
    assert api.update([tree]) == [Result("L", ())]
    assert etree.tostring(tree, method="c14n") == came, "the tree is still the caller's"
    (sent,) = wire.sent[1].iter(f"{SPACE}metadata")
    types = [
        (element.tag.removeprefix(SPACE), element.get(TYPE)) for element in sent.iter() if element.get(TYPE)
    ]
    assert types == [("metadata", "met:Layout"), ("value", "xsd:string"), ("part", "met:Thing")]
    assert {sent.nsmap[spelled.partition(":")[0]] for _, spelled in types} == {
        SPACE[1:-1],
        "http://www.w3.org/2001/XMLSchema",
    }
    assert said(sent) == said(tree)
    assert api.made == 2


def test_layouts_of_managed_packages_are_left_out() -> None:
    def listed(name: str, more: str = "") -> str:
        return f"<result><fullName>{name}</fullName>{more}</result>"

    packaged = "<manageableState>installed</manageableState><namespacePrefix>ns</namespacePrefix>"
    own = "<manageableState>unmanaged</manageableState><namespacePrefix>own</namespacePrefix>"
    body = listed("Lead-A") + listed("Lead-ns__B", packaged) + listed("Lead-own__C", own)
    wire = Wire([answer(f"<listMetadataResponse>{body}</listMetadataResponse>")])
    assert MetadataApi(wire).names("Layout") == ["Lead-A", "Lead-own__C"]
    assert MetadataApi(Wire([answer("<listMetadataResponse/>")])).names("Layout") == []


def test_ten_components_a_call() -> None:
    empty = answer("<readMetadataResponse><result/></readMetadataResponse>")
    wire = Wire([empty, empty, empty])
    MetadataApi(wire).read("Layout", [f"Lead-{n}" for n in range(21)])
    assert [len(list(sent.iter(f"{SPACE}fullNames"))) for sent in wire.sent] == [10, 10, 1]


def test_the_errors_of_a_component_come_with_their_codes() -> None:
    errors = "<errors><message>in use</message><statusCode>DELETE_FAILED</statusCode></errors>"
    body = f"<result>{errors}<fullName>Lead.A__c</fullName><success>false</success></result>"
    wire = Wire([answer(f"<deleteMetadataResponse>{body}</deleteMetadataResponse>")])
    assert MetadataApi(wire).delete("CustomField", ["Lead.A__c"]) == [
        Result("Lead.A__c", (("DELETE_FAILED", "in use"),))
    ]


def test_a_session_is_renewed_once_and_not_twice() -> None:
    refused = fault("sf:INVALID_SESSION_ID", "INVALID_SESSION_ID: Illegal Session")
    wire = Wire([refused, answer("<listMetadataResponse/>")])
    assert MetadataApi(wire).names("Layout") == []
    assert [sent.findtext(f".//{SPACE}sessionId") for sent in wire.sent] == ["token 0", "token 1"]
    with pytest.raises(SessionExpired):
        MetadataApi(Wire([refused, refused])).names("Layout")


@pytest.mark.parametrize(
    ("reply", "reads", "writes"),
    [
        (fault("sf:INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS: no"), Misconfigured, Misconfigured),
        (fault("soapenv:Client", "Element is duplicated"), Misconfigured, Misconfigured),
        (fault("sf:SERVER_UNAVAILABLE", "too busy"), RetryLater, RetryLater),
        (fault("sf:UNKNOWN_EXCEPTION", "ErrorId: 1"), RetryLater, Unanswered),
        ((503, "<html>busy"), RetryLater, Unanswered),
        ((200, "<s:Envel"), RetryLater, Unanswered),
    ],
    ids=["no right", "our fault", "busy", "unknown", "edge", "cut off"],
)
def test_what_goes_wrong_as_a_whole_is_named_by_what_to_do(
    reply: tuple[int, str], reads: type[SyncError], writes: type[SyncError]
) -> None:
    with pytest.raises(reads):
        MetadataApi(Wire([reply])).names("Layout")
    with pytest.raises(writes):
        MetadataApi(Wire([reply])).delete("CustomField", ["Lead.A__c"])


def test_a_lost_reply_is_a_doubt_only_where_something_was_written() -> None:
    with pytest.raises(RetryLater):
        MetadataApi(Wire([], error=Unanswered("time-out"))).names("Layout")
    with pytest.raises(Unanswered):
        MetadataApi(Wire([], error=Unanswered("time-out"))).update([etree.Element(f"{SPACE}records")])
