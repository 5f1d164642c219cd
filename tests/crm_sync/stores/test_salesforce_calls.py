"""What a call must look like and what its reply may look like, with a transport that answers from a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from urllib.parse import unquote

import pytest

from crm_sync.access.transport import Download, Reply
from crm_sync.errors import IncompleteRead, Misconfigured, NotSent, RetryLater, SyncError, Unanswered
from crm_sync.model import ById, ByMatchKey, ChangedSince, Write
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.stores.contract import new, soon
from tests.crm_sync.stores.wire import MAPPINGS, whole

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PARSER_ERROR = [{"errorCode": "JSON_PARSER_ERROR", "message": "Value too large for int"}]

Json = dict[str, Any]


class Script:
    """A transport that keeps what is sent and answers what the test gives; a callable answers by the request."""

    connection = "salesforce_main"

    def __init__(self, *bodies: Any) -> None:
        self.bodies = list(bodies)
        self.sent: list[Json] = []
        self.settings: list[Json] = []

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        csv: IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        purpose: str,
        writes: bool = False,
        deadline: float | None = None,
    ) -> Reply:
        self.sent.append(json or {"path": path})
        self.settings.append({"headers": headers, "purpose": purpose, "writes": writes, "deadline": deadline})
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        if isinstance(body, SyncError):
            raise body
        body = body(json) if callable(body) else body
        return Reply(200, {}, body, NOON, NOON + timedelta(seconds=2), timedelta(seconds=1))

    def download(
        self, path: str, *, params: Mapping[str, str], purpose: str
    ) -> AbstractContextManager[Download]:
        raise AssertionError(f"{purpose}: nothing here is so large that it goes by a job: {path} {params}")


def store(script: Script, **settings: Any) -> SalesforceStore:
    return SalesforceStore(script, MAPPINGS, lambda: "005", **settings)


def composite(*parts: Any, status: int = 200) -> Json:
    return {
        "compositeResponse": [
            {"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": f"r{n}"}
            for n, body in enumerate(parts)
        ]
    }


def page(count: int, total: int | None = None, following: str | None = None, first: int = 0) -> Json:
    records = [whole(Id=f"003{n:015d}") for n in range(first, first + count)]
    body: Json = {
        "totalSize": count if total is None else total,
        "done": following is None,
        "records": records,
    }
    return body | ({"nextRecordsUrl": following} if following else {})


def read(script: Script, *reads: Any) -> list[Any]:
    return list(store(script).read(reads or (ChangedSince("contact"),)))


# ----------------------------------------------------------------------------------------------------- reading


def test_the_sub_requests_go_in_order_and_roll_nothing_back() -> None:
    script = Script(composite(page(0), page(0)))
    read(script, ChangedSince("account"), ChangedSince("contact"))
    [sent] = script.sent
    assert (sent["allOrNone"], sent["collateSubrequests"]) == (False, False)
    assert [r["method"] for r in sent["compositeRequest"]] == ["GET", "GET"]
    assert [r["url"].partition("?q=")[0] for r in sent["compositeRequest"]] == [
        "/services/data/v66.0/queryAll"
    ] * 2
    assert " FROM Account ORDER BY " in unquote(sent["compositeRequest"][0]["url"])
    assert script.settings[0]["writes"] is False


def test_five_queries_a_call() -> None:
    script = Script(lambda sent: composite(*[page(0)] * len(sent["compositeRequest"])))
    pages = read(script, *[ById("contact", (f"003{n}",)) for n in range(7)], ById("contact", ()))
    assert [len(sent["compositeRequest"]) for sent in script.sent] == [5, 2]
    assert (len(pages), all(p.last for p in pages)) == (8, True)


def test_further_pages_are_asked_as_the_reply_says() -> None:
    script = Script(composite(page(2, 3, "/services/data/v66.0/query/01gAB-2")), page(1, 3, first=2))
    pages = read(script)
    assert script.sent[1] == {"path": "/services/data/v66.0/query/01gAB-2"}
    assert [(len(p.images), p.last) for p in pages] == [(2, False), (1, True)]


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param([composite(page(2, 3))], id="fewer than announced"),
        pytest.param([composite(page(3, 2))], id="more than announced"),
        pytest.param([composite(page(2, 4, "/q-2")), page(1, 4, first=2)], id="a short last page"),
        pytest.param([composite(page(2, 3, "/q-2")), page(1, 4, first=2)], id="another total"),
        pytest.param([composite(page(2, 3) | {"done": False})], id="no address of the next page"),
        pytest.param([composite(page(0, 3, "/q-2"))], id="an empty page that is not the last"),
        pytest.param([composite({"done": True, "records": []})], id="no total"),
        pytest.param([composite(None)], id="no body"),
        pytest.param([composite(page(1, 2, "/q-1")), None], id="no body of a further page"),
    ],
)
def test_a_read_that_is_not_complete_says_so(bodies: list[Any]) -> None:
    with pytest.raises(IncompleteRead):
        read(Script(*bodies))


def test_the_last_page_of_an_incomplete_read_is_not_given_out() -> None:
    pages = store(Script(composite(page(2, 4, "/q-2")), page(1, 4, first=2))).read([ChangedSince("contact")])
    assert not next(pages).last
    with pytest.raises(IncompleteRead):
        next(pages)


def test_a_missing_answer_is_asked_again_later() -> None:
    with pytest.raises(RetryLater):
        read(Script(composite(page(0))), ChangedSince("account"), ChangedSince("contact"))


def test_a_refused_query_says_what_helps() -> None:
    body = [{"errorCode": "INVALID_FIELD", "message": "No such column 'Nope__c' on entity 'Contact'"}]
    with pytest.raises(Misconfigured, match="a dry run of crm_provision__salesforce_main"):
        read(Script(composite(body, status=400)))


def test_the_read_began_at_most_a_calls_length_before_the_servers_date() -> None:
    [only] = read(Script(composite(page(0))))
    assert only.read_start == NOON - timedelta(seconds=1)
    # Our clock said 12:00:02 when it left and 12:00:03 when it came back; theirs 12:00:00 to 12:00:01 in between.
    assert (only.clock.offset, only.clock.error) == (timedelta(seconds=-2), timedelta(seconds=1))


def test_a_further_page_keeps_the_start_of_its_read() -> None:
    pages = read(Script(composite(page(2, 3, "/q-2")), page(1, 3, first=2)))
    assert {p.read_start for p in pages} == {NOON - timedelta(seconds=1)}


def test_a_record_found_by_two_statements_comes_once() -> None:
    keys = tuple(f"{n}{'x' * 300}" for n in range(200))
    script = Script(lambda sent: composite(*[page(2)] * len(sent["compositeRequest"])))
    pages = read(script, ByMatchKey("contact", keys))
    assert len(script.sent[0]["compositeRequest"]) > 1
    assert sum(len(p.images) for p in pages) == 2


# ----------------------------------------------------------------------------------------------------- writing


def answered(
    sent: Json,
    answer: Callable[[Json], Json] = lambda record: {"id": record.get("id"), "success": True, "errors": []},
) -> Json:
    """Answer a write as an org would: records for retrieves, one answer a row for collections."""
    parts = []
    for request in sent["compositeRequest"]:
        rows = request["body"].get("ids") or request["body"]["records"]
        parts.append([whole(Id=r) if isinstance(r, str) else answer(r) for r in rows])
    return composite(*parts)


def updates(count: int) -> list[Write]:
    return [Write(f"our {n}", f"003{n:015d}", f"m {n}", {"title": f"T {n}"}) for n in range(count)]


def test_an_update_is_five_sub_requests() -> None:
    script = Script(answered)
    written = store(script).write("contact", updates(500), soon())
    [sent] = script.sent
    assert [r["method"] for r in sent["compositeRequest"]] == ["POST", "PATCH", "PATCH", "PATCH", "POST"]
    assert [len(r["body"].get("records", ())) for r in sent["compositeRequest"]] == [0, 200, 200, 100, 0]
    assert sent["compositeRequest"][0]["body"] == sent["compositeRequest"][4]["body"]
    assert (sent["allOrNone"], sent["collateSubrequests"]) == (False, False)
    assert [bool(w.before and w.after and not w.failures) for w in written] == [True] * 500


def test_no_assignment_rule_runs() -> None:
    script = Script(answered)
    store(script).write("lead", [new(last_name="A", company="B")], soon())
    assert script.settings[0]["headers"] == {"Sforce-Auto-Assign": "FALSE"}
    assert script.sent[0]["compositeRequest"][0]["httpHeaders"] == {"Sforce-Auto-Assign": "FALSE"}


def test_a_create_is_an_upsert_on_our_key_without_retrieves() -> None:
    script = Script(
        lambda sent: answered(sent, lambda _r: {"id": "003X", "success": True, "errors": [], "created": True})
    )
    [written] = store(script).write("contact", [new(last_name="A")], soon())
    [request] = script.sent[0]["compositeRequest"]
    assert (request["method"], request["url"]) == (
        "PATCH",
        "/services/data/v66.0/composite/sobjects/Contact/GPTWeb_Id__c",
    )
    assert request["body"]["records"][0]["GPTWeb_Id__c"] == written.our_id
    assert (written.id, written.created) == ("003X", True)


def test_the_deadline_and_the_purpose_travel_along() -> None:
    script = Script(answered)
    store(script, purpose="backfill").write("contact", updates(1), 1234.0)
    assert script.settings == [
        {
            "headers": {"Sforce-Auto-Assign": "FALSE"},
            "purpose": "backfill contact",
            "writes": True,
            "deadline": 1234.0,
        }
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="nothing"),
        pytest.param({}, id="no answers"),
        pytest.param(composite([], [], []), id="too few rows"),
        pytest.param(composite([None], [{"success": True, "id": "003"}]), id="an answer is missing"),
        pytest.param(composite([None], {}, [None]), id="no list"),
        pytest.param(composite([None], [], [None], status=500), id="a collection broke"),
    ],
)
def test_a_reply_that_does_not_fit_leaves_the_batch_in_doubt(body: Any) -> None:
    with pytest.raises(Unanswered):
        store(Script(body)).write("contact", updates(1), soon())


def test_a_record_that_a_retrieve_does_not_show_has_no_image() -> None:
    [written] = store(
        Script(composite([None], [{"id": "003", "success": True, "errors": []}], [None]))
    ).write("contact", updates(1), soon())
    assert (written.before, written.after, written.failures) == (None, None, ())


@pytest.mark.parametrize("rows", [[*updates(1), new(last_name="A")], updates(501)], ids=["mixed", "too many"])
def test_a_batch_is_all_updates_or_all_creates_and_not_too_long(rows: list[Write]) -> None:
    with pytest.raises(ValueError, match="at most 500"):
        store(Script(None)).write("contact", rows, soon())


# ------------------------------------------------------------------------------------- whole collections refused


def picky(bad: set[str]) -> Callable[[Json], Json]:
    """An org that refuses a whole collection when one of these titles is in it."""

    def answer(sent: Json) -> Json:
        reply = answered(sent)
        for request, part in zip(sent["compositeRequest"], reply["compositeResponse"], strict=True):
            if any(isinstance(r, dict) and r["Title"] in bad for r in request["body"].get("records", ())):
                part.update(body=PARSER_ERROR, httpStatusCode=400)
        return reply

    return answer


def test_the_row_for_which_a_collection_was_refused_is_found() -> None:
    script = Script(picky({"T 321"}))
    written = store(script).write("contact", updates(500), soon())
    assert [w.our_id for w in written] == [u.our_id for u in updates(500)]
    assert [(w.our_id, w.failures[0].kind) for w in written if w.failures] == [("our 321", "permanent")]
    assert all(w.before for w in written)
    assert len(script.sent) == 6


def test_looking_for_many_bad_rows_ends() -> None:
    script = Script(picky({f"T {n}" for n in range(0, 500, 2)}))
    written = store(script).write("contact", updates(500), soon())
    assert len(script.sent) == 9
    assert len(written) == 500
    assert {w.failures[0].kind for w in written if w.failures} <= {"permanent", "transient"}
    assert sum(bool(w.failures) for w in written) >= 250


def test_what_was_answered_stays_when_the_search_cannot_go_on() -> None:
    script = Script(picky({"T 321"}), NotSent("the claim ends"))
    written = store(script).write("contact", updates(500), soon())
    assert {w.failures[0].kind if w.failures else "fine" for w in [*written[:200], *written[400:]]} == {
        "fine"
    }
    assert {w.failures[0].kind for w in written[200:400]} == {"transient"}


def test_a_search_without_an_answer_leaves_the_batch_in_doubt() -> None:
    with pytest.raises(Unanswered):
        store(Script(picky({"T 321"}), Unanswered("no reply"))).write("contact", updates(500), soon())
