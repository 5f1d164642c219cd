"""Composite, batch, graph and tree."""

from itertools import pairwise
from typing import Any

import pytest

HALTED = [
    {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same transaction failed.",
    }
]
ROOT = "/services/data/v66.0"


def sub(name: str, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "referenceId": name,
        "method": method,
        "url": ROOT + path,
        **({} if body is None else {"body": body}),
        **more,
    }


def account(name: str, **values: Any) -> dict[str, Any]:
    return sub(name, "POST", "/sobjects/Account", values)


class TestComposite:
    def test_shapes(self, client):
        answers = client.composite(
            account("a", Name="Acme"),
            sub("r", "GET", "/sobjects/Account/@{a.id}?fields=Name"),
            sub("q", "GET", "/query/?q=select count() from XYZZY"),
            sub("n", "GET", "/sobjects/Foo"),
            sub("p", "PATCH", "/sobjects/Account/@{a.id}", {"Phone": "1"}),
        )
        made = answers[0]["body"]["id"]
        assert answers[0] == {
            "body": {"id": made, "success": True, "errors": []},
            "httpHeaders": {"Location": f"{ROOT}/sobjects/Account/{made}"},
            "httpStatusCode": 201,
            "referenceId": "a",
        }
        assert answers[1]["body"]["Name"] == "Acme"
        assert answers[2]["httpStatusCode"] == 400
        assert answers[2]["body"][0]["errorCode"] == "INVALID_TYPE"
        assert answers[3] == {
            "body": [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}],
            "httpHeaders": {},
            "httpStatusCode": 404,
            "referenceId": "n",
        }
        assert answers[4] == {"body": None, "httpHeaders": {}, "httpStatusCode": 204, "referenceId": "p"}

    def test_it_counts_as_one_call(self, client, admin):
        before = admin.get("/standin/calls").json()["api_usage"]
        client.composite(*[account(f"a{i}", Name="A") for i in range(25)])
        log = admin.get("/standin/calls").json()
        assert log["api_usage"] == before + 1
        assert (log["calls"][-1]["rows_written"], log["calls"][-1]["user"]) == (
            25,
            "integration@gptweb.example",
        )

    def test_a_failed_sibling_rolls_nothing_back(self, client):
        client.composite(account("a", Name="A"), account("b"))
        assert client.rows("SELECT Name FROM Account") == [{"Name": "A"}]

    def test_all_or_none(self, client):
        answers = client.composite(
            account("a", Name="A"), account("b"), account("c", Name="C"), allOrNone=True
        )
        assert [answer["httpStatusCode"] for answer in answers] == [400, 400, 400]
        assert (answers[0]["body"], answers[2]["body"]) == (HALTED, HALTED)
        assert answers[1]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
        assert client.rows("SELECT Name FROM Account") == []

    def test_all_or_none_over_collections(self, client):
        rows = [{"attributes": {"type": "Account"}, "Name": "A"}, {"attributes": {"type": "Account"}}]
        answers = client.composite(
            sub("c", "POST", "/composite/sobjects", {"allOrNone": False, "records": rows}),
            sub("n", "POST", "/sobjects/Contact", {"LastName": "C"}),
            allOrNone=True,
            collateSubrequests=False,
        )
        assert [item["success"] for item in answers[0]["body"]] == [True, False]
        assert (answers[0]["httpStatusCode"], answers[1]["body"]) == (200, HALTED)
        assert client.rows("SELECT Id FROM Account") == []

    def test_a_reference_to_a_failure(self, client):
        answers = client.composite(account("a"), sub("r", "GET", "/sobjects/Account/@{a.id}"))
        assert answers[1]["body"] == [
            {
                "errorCode": "PROCESSING_HALTED",
                "message": "Invalid reference specified. No value for a.id found in a",
            }
        ]

    def test_at_most_25_and_five_lists(self, client):
        (answer,) = client.composite(*[account(f"a{i}", Name="A") for i in range(26)])
        assert answer == {
            "body": [
                {
                    "errorCode": "LIMIT_EXCEEDED",
                    "message": "The request can’t contain more than 25 operations.",
                }
            ],
            "httpHeaders": {},
            "httpStatusCode": 400,
            "referenceId": None,
        }
        lists = [sub(f"q{i}", "GET", "/query?q=SELECT+Id+FROM+Account") for i in range(4)]
        retrieve = sub(
            "r", "POST", "/composite/sobjects/Account", {"ids": ["001000000000000AAA"], "fields": ["Id"]}
        )
        assert len(client.composite(*lists, retrieve)) == 5
        extra = sub("q9", "GET", "/queryAll?q=SELECT+Id+FROM+Account")
        assert client.composite(*lists, retrieve, extra)[0]["body"][0]["errorCode"] == "LIMIT_EXCEEDED"

    def test_collated_subrequests_run_in_any_order(self, client):
        contact = client.create("Contact", LastName="0")

        def orders(**options: Any) -> set[tuple[str, str]]:
            found = set()
            for _ in range(12):
                client.patch(f"/sobjects/Contact/{contact}", {"LastName": "0"})
                read = {"ids": [contact], "fields": ["LastName"]}
                write = {"records": [{"attributes": {"type": "Contact"}, "id": contact, "LastName": "1"}]}
                answers = client.composite(
                    sub("before", "POST", "/composite/sobjects/Contact", read),
                    sub("write", "PATCH", "/composite/sobjects", write),
                    sub("after", "POST", "/composite/sobjects/Contact", read),
                    **options,
                )
                found.add((answers[0]["body"][0]["LastName"], answers[2]["body"][0]["LastName"]))
            return found

        assert orders(collateSubrequests=False) == {("0", "1")}
        assert len(orders()) > 1

    def test_dependent_subrequests_keep_their_order(self, client):
        for _ in range(10):
            chain = [account("a0", Name="A")]
            chain += [
                account(f"{b}", Name="A", ParentId=f"@{{{a}.id}}")
                for a, b in pairwise(f"a{i}" for i in range(6))
            ]
            assert {answer["httpStatusCode"] for answer in client.composite(*chain)} == {201}

    def test_conditional_headers_of_a_subrequest(self, client, admin):
        made = client.create("Account", Name="A")
        seen = client.get(f"/sobjects/Account/{made}").headers["Last-Modified"]
        admin.post("/standin/clock", {"advance": 5})
        client.patch(f"/sobjects/Account/{made}", {"Phone": "1"})
        answers = client.composite(
            sub(
                "l",
                "PATCH",
                f"/sobjects/Account/{made}",
                {"Phone": "2"},
                httpHeaders={"If-Unmodified-Since": seen},
            ),
            sub("d", "GET", "/sobjects", httpHeaders={"If-Modified-Since": "Thu, 03 Sep 2060 21:35:07 GMT"}),
        )
        assert answers[0]["httpStatusCode"] == 412
        assert (answers[1]["httpStatusCode"], answers[1]["body"]) == (304, None)
        assert answers[1]["httpHeaders"].keys() == {"ETag", "Last-Modified"}

    def test_refused_as_a_whole(self, client):
        for one in (
            {"referenceId": "a b", "method": "GET", "url": ROOT + "/limits"},
            {"referenceId": "a", "method": "GET", "url": ROOT + "/limits", "httpHeaders": {"Accept": "x"}},
        ):
            assert client.post("/composite", {"compositeRequest": [one]}).status_code == 400
        twice = [account("a", Name="A"), account("a", Name="A")]
        assert client.post("/composite", {"compositeRequest": twice}).status_code == 400

    def test_a_page_that_follows(self, keyed):
        for start in range(0, 2200, 200):
            rows = [
                {"attributes": {"type": "Contact"}, "GPTWeb_Id__c": f"k{i}", "LastName": f"L{i}"}
                for i in range(start, start + 200)
            ]
            keyed.patch("/composite/sobjects/Contact/GPTWeb_Id__c", {"records": rows})
        (first,) = keyed.composite(
            sub("q", "GET", "/queryAll?q=SELECT+Id+FROM+Contact+ORDER+BY+SystemModstamp,Id")
        )
        address = first["body"]["nextRecordsUrl"]
        (rest,) = keyed.composite({"referenceId": "n", "method": "GET", "url": address})
        assert (len(first["body"]["records"]), len(rest["body"]["records"])) == (2000, 200)
        assert (rest["body"]["done"], rest["body"]["totalSize"]) == (True, 2200)


def test_the_composite_resources_are_listed(client):
    """REST:get-a-list-of-composite-resources."""
    kinds = ["tree", "batch", "sobjects", "graph"]
    assert client.get("/composite").json() == {
        kind: f"/services/data/v66.0/composite/{kind}" for kind in kinds
    }


def test_batch(client, admin):
    before = admin.get("/standin/calls").json()["api_usage"]
    requests = [
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "A"}},
        {"method": "GET", "url": "v66.0/sobjects/Foo"},
        {"method": "GET", "url": "v66.0/query?q=SELECT+Name+FROM+Account"},
    ]
    body = client.post("/composite/batch", {"batchRequests": requests}).json()
    assert body["hasErrors"] is True
    assert [result["statusCode"] for result in body["results"]] == [201, 404, 200]
    assert admin.get("/standin/calls").json()["api_usage"] == before + 3
    halted = client.post("/composite/batch", {"batchRequests": requests, "haltOnError": True}).json()[
        "results"
    ][2]
    assert halted == {
        "statusCode": 412,
        "result": [
            {"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted per request"}
        ],
    }


def test_graph(client):
    graphs = [
        {
            "graphId": "good",
            "compositeRequest": [account("a", Name="A"), account("b", Name="B", ParentId="@{a.id}")],
        },
        {"graphId": "bad", "compositeRequest": [account("a", Name="X"), account("b")]},
    ]
    good, bad = client.post("/composite/graph", {"graphs": graphs}).json()["graphs"]
    assert (good["graphId"], good["isSuccessful"], bad["isSuccessful"]) == ("good", True, False)
    assert bad["graphResponse"]["compositeResponse"][0]["body"] == HALTED
    assert sorted(row["Name"] for row in client.rows("SELECT Name FROM Account")) == ["A", "B"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/composite", {"compositeRequest": [1]}),
        ("/composite/batch", {"batchRequests": 3}),
        ("/composite/graph", {"graphs": [{"graphId": "1"}]}),
        ("/composite/graph", {"graphs": [{"graphId": "1", "compositeRequest": [{"method": "GET"}]}]}),
        ("/composite/tree/Account", {"records": [3]}),
        ("/composite/sobjects", []),
    ],
)
def test_nonsense_is_the_clients_fault(client, path, body):
    assert client.post(path, body).status_code == 400


def test_tree(client):
    def node(kind: str, reference: str, **values: Any) -> dict[str, Any]:
        return {"attributes": {"type": kind, "referenceId": reference}, **values}

    family = node("Account", "a", Name="A", Contacts={"records": [node("Contact", "c", LastName="C")]})
    reply = client.post("/composite/tree/Account", {"records": [family]})
    assert reply.status_code == 201
    assert reply.json()["hasErrors"] is False
    assert [result["referenceId"] for result in reply.json()["results"]] == ["a", "c"]
    assert client.rows("SELECT Account.Name FROM Contact")[0]["Account"]["Name"] == "A"
    bad = node("Account", "a", Name="B", Contacts={"records": [node("Contact", "c")]})
    reply = client.post("/composite/tree/Account", {"records": [bad]})
    assert reply.status_code == 400
    assert reply.json() == {
        "hasErrors": True,
        "results": [
            {
                "referenceId": "c",
                "errors": [
                    {
                        "statusCode": "REQUIRED_FIELD_MISSING",
                        "message": "Required fields are missing: [LastName]",
                        "fields": ["LastName"],
                    }
                ],
            }
        ],
    }
    assert client.rows("SELECT Name FROM Account") == [{"Name": "A"}]
