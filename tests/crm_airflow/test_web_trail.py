"""The page of the audit trail: a period as a file, the verification, and the erasure of a person with everything that guards it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from crm_sync.ledger.database import Database
from crm_sync.ledger.seal import seal_connection
from tests.crm_airflow.real import NAME, make_connection, rows
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
HERE, API = f"/crm-sync/connections/{NAME}", f"/crm-sync/api/v1/connections/{NAME}"
NOTE = """insert into crm_sync.decision (connection, object, our_id, field, before, after, rule, outcome, at)
  values (%s, 'contact', %s, 'title', '"=Clerk"', '"Head"', 'decided', 'noted', %s)"""


@pytest.fixture
def person(hub: str) -> Iterator[str]:
    """Somebody in GPTWeb, linked, with a line in the trail."""
    our_id, email = str(uuid4()), f"{uuid4().hex}@erase.example"
    rows(
        hub,
        "insert into gptweb.contacts (id, first_name, last_name, email) values (%s, 'Zoe', 'Gone', %s)",
        our_id,
        email,
    )
    rows(hub, "insert into crm_sync.link (connection, object, their_object, our_id, their_id, state) "
              "values (%s, 'contact', 'Contact', %s, %s, 'live')", NAME, our_id, "003" + our_id[:12].replace("-", "0"))  # fmt: skip
    rows(hub, NOTE, NAME, our_id, "2026-03-04 12:00Z")
    # Runs that other tests left open: nobody is erased under a run.
    rows(
        hub,
        "update crm_sync.run set state = 'failed', ended_at = now() where state = 'running' and ended_at is null",
    )
    yield our_id
    rows(hub, "delete from crm_sync.link where our_id = %s", our_id)
    rows(hub, "delete from gptweb.contacts where id = %s", our_id)


def email_of(hub: str, our_id: str) -> str | None:
    email: str | None = rows(hub, "select email from gptweb.contacts where id = %s", our_id)[0][0]
    return email


def test_a_period_is_exported_in_both_forms_and_the_trail_says_who_did(admin, hub, person):
    sent = {"since": "2026-03-04", "until": "2026-03-04", "format": "csv"}
    reply = admin.post(f"{HERE}/trail/export", data=sent, headers=BUTTON)
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"].endswith('.csv"')
    lines = list(csv.DictReader(io.StringIO(reply.text)))
    assert [
        (line["our_id"], line["before"], line["after"]) for line in lines if line["our_id"] == person
    ] == [(person, '"=Clerk"', '"Head"')]
    assert {line["at"][:10] for line in lines} == {"2026-03-04"}
    wanted = {"since": "2026-03-04", "until": "2026-03-04", "format": "parquet"}
    table = pq.read_table(io.BytesIO(admin.post(f"{API}/trail/export", json=wanted, headers=BUTTON).content))
    assert table.num_rows == len(lines)
    assert person in table["our_id"].to_pylist()
    text = admin.get(f"{HERE}/trail").text
    assert text.count("from 2026-03-04 to 2026-03-04, as csv, by admin") >= 1
    assert text.count("from 2026-03-04 to 2026-03-04, as parquet, by admin") >= 1
    assert admin.post(f"{HERE}/trail/export", data={"since": "2026-02-31"}, headers=BUTTON).status_code == 409


def test_the_trail_is_verified_and_what_was_changed_is_named(admin, hub, person):
    with closing(Database(hub)) as database, database.transaction() as tx:
        seal_connection(tx, NAME)
    ((number,),) = rows(hub, "select decision_id from crm_sync.decision where our_id = %s", person)
    assert (
        f"decision {number} "
        not in admin.post(f"{HERE}/trail/verify", data={"days": ""}, headers=BUTTON).text
    )
    forge = "set session_replication_role = replica; update crm_sync.decision set after = '\"{}\"' where decision_id = {}"
    rows(hub, forge.format("Forged", number))
    found = admin.post(f"{HERE}/trail/verify", data={"days": ""}, headers=BUTTON)
    assert found.status_code == 200
    assert "Not as sealed" in found.text
    assert f"decision {number} was changed" in found.text
    told = admin.post(f"{API}/trail/verify", json={"days": None}, headers=BUTTON).json()
    assert told["as_sealed"] is False
    assert any(f"decision {number} was changed" in line for line in told["findings"])
    rows(hub, forge.format("Head", number))
    assert told["head"] in admin.get(f"{HERE}/trail").text
    assert "verified" in admin.get(f"{HERE}/trail").text


def sought(client, who: str) -> str:
    """The page that the search for somebody gives."""
    text: str = client.post(f"{HERE}/erase", data={"who": who}, headers=BUTTON).text
    return text


def test_who_has_no_address_is_confirmed_by_a_name_as_a_page_shows_it(admin, hub, person):
    rows(
        hub,
        "update gptweb.contacts set email = null, first_name = 'Zoe ', last_name = ' Gone' where id = %s",
        person,
    )
    sent = {"why": "request 11", "confirm": "Zoe Gone"}
    reply = admin.post(f"{HERE}/erase/{person}", data=sent, headers=BUTTON)
    assert (reply.status_code, "Nothing was erased" in reply.text) == (200, False)


def test_a_person_is_found_shown_and_erased_only_when_somebody_types_who_it_is(admin, hub, person):
    email = email_of(hub, person)
    assert email is not None
    assert "Nobody found" not in admin.get(f"{HERE}/erase").text
    found = sought(admin, email)
    assert f'href="/crm-sync/connections/{NAME}/erase/{person}"' in found
    assert "Zoe Gone" in sought(admin, person)
    assert "Nobody found" in sought(admin, "nobody@erase.example")
    page = admin.get(f"{HERE}/erase/{person}").text
    assert f"Type <code>{email}</code>" in page
    assert "its users have to delete it" in page

    for sent, words in (
        ({"why": "request 7", "confirm": "zoe"}, "what was typed is something else"),
        ({"why": " ", "confirm": email}, "Say why"),
    ):
        refused = admin.post(f"{HERE}/erase/{person}", data=sent, headers=BUTTON)
        assert refused.status_code == 409
        assert words in refused.text
    assert email_of(hub, person) == email

    done = admin.post(
        f"{HERE}/erase/{person}", data={"why": "request 7", "confirm": f" {email} ".upper()}, headers=BUTTON
    )
    assert done.status_code == 200, done.text
    assert "still there: Contact 003" in done.text
    assert email_of(hub, person) is None
    assert rows(
        hub,
        "select actor, detail from crm_sync.decision where our_id = %s and rule = 'erasure' and connection = %s",
        person,
        NAME,
    ) == [("admin", "request 7")]
    assert "erased a person" in admin.get(f"{HERE}/trail").text


def test_the_api_erases_by_the_word_that_its_preview_says(admin, hub, person):
    preview = admin.get(f"{API}/erase/{person}").json()
    assert preview["records"] == [person]
    assert [twin["connection"] for twin in preview["twins"]] == [NAME]
    wrong = {"why": "request 8", "confirm": "yes"}
    assert admin.post(f"{API}/erase/{person}", json=wrong, headers=BUTTON).status_code == 409
    right = {"why": "request 8", "confirm": preview["confirm"]}
    assert "erased: " in "".join(
        admin.post(f"{API}/erase/{person}", json=right, headers=BUTTON).json()["lines"]
    )
    assert admin.get(f"{API}/erase/{uuid4()}").status_code == 404


def test_who_is_in_another_connection_is_shown_there_too(admin, hub, person):
    make_connection(hub, "trail_other")
    rows(hub, "insert into crm_sync.link (connection, object, their_object, our_id, their_id, state) "
              "values ('trail_other', 'contact', 'Contact', %s, '003000000000OTHER', 'live')", person)  # fmt: skip
    assert "003000000000OTHER</strong> in trail_other" in admin.get(f"{HERE}/erase/{person}").text
    rows(hub, "delete from crm_sync.link where connection = 'trail_other'")


OTHER = "trail_other"
STRAY = """insert into crm_sync.stray (connection, object, their_object, their_id, values, digest, our_id, stamp, recv)
  values (%s, 'contact', 'Contact', '003000000000STRAY', '{}', '', %s, now(), 1)"""
CREATING = "insert into crm_sync.link (connection, object, their_object, our_id, state) values (%s, 'contact', 'Contact', %s, 'creating')"
PARKED = """insert into crm_sync.parked (connection, object, our_id, side, cause, code, remedy)
  values (%s, 'contact', %s, 'theirs', 'refused', 'X', 'none')"""
DECIDED = """insert into crm_sync.decision (connection, object, our_id, rule, outcome) values (%s, 'contact', %s, 'newest', 'noted')"""


@pytest.mark.parametrize("trace", [STRAY, CREATING, PARKED, DECIDED])
def test_nobody_is_erased_from_a_connection_that_one_may_not_edit(app, hub, person, trace):
    make_connection(hub, OTHER)
    rows(hub, trace, OTHER, person)
    email = email_of(hub, person)
    with browser(app, "clerk") as clerk:
        page = clerk.get(f"{HERE}/erase/{person}")
        assert "also in a connection that you may not see" in page.text
        assert OTHER not in page.text
        assert clerk.get(f"{API}/erase/{person}").json()["elsewhere"] is True
        refused = clerk.post(
            f"{API}/erase/{person}", json={"why": "request 9", "confirm": email}, headers=BUTTON
        )
        assert refused.status_code == 403
        assert "a connection that you may not see" in refused.text
    assert email_of(hub, person) == email
    rows(hub, "delete from crm_sync.stray where our_id = %s", person)
    rows(hub, "delete from crm_sync.parked where our_id = %s", person)


def test_the_search_and_the_preview_tell_nothing_of_a_connection_that_one_may_not_read(app, hub, person):
    make_connection(hub, OTHER)
    rows(hub, "insert into crm_sync.link (connection, object, their_object, our_id, their_id, state) "
              "values (%s, 'contact', 'Contact', %s, '003000000000OTHER', 'live')", OTHER, person)  # fmt: skip
    with browser(app, "clerk") as clerk:
        assert "Nobody found" in sought(clerk, "003000000000OTHER")
        assert "Zoe Gone" in sought(clerk, "003" + person[:12].replace("-", "0"))
        assert "003000000000OTHER" not in clerk.get(f"{HERE}/erase/{person}").text
        assert [twin["connection"] for twin in clerk.get(f"{API}/erase/{person}").json()["twins"]] == [NAME]
    with browser(app, "admin") as admin:
        assert "Zoe Gone" in sought(admin, "003000000000OTHER")
        assert admin.get(f"{API}/erase/{person}").json()["elsewhere"] is False


def test_who_may_edit_all_that_a_person_is_in_erases_them(app, hub, person):
    with browser(app, "clerk") as clerk:
        sent = {"why": "request 10", "confirm": email_of(hub, person)}
        assert clerk.post(f"{API}/erase/{person}", json=sent, headers=BUTTON).status_code == 200
    assert email_of(hub, person) is None


def test_a_viewer_takes_along_what_was_looked_for_and_that_is_noted(app, hub, person):
    noted = "select who, detail from crm_sync.audit_trail where rule = 'trail_exported' and connection = %s order by at desc limit 1"
    with browser(app, "viewer") as viewer:
        for path in (f"{HERE}/activity.csv", f"{API}/changes.csv"):
            assert viewer.get(path).status_code == 403
            found = viewer.get(path, params={"who": person})
            assert found.status_code == 200
            assert found.text.count("\n") > 1
        assert "activity.csv" not in viewer.get(f"{HERE}/activity").text
        assert "activity.csv?who=" in viewer.get(f"{HERE}/activity", params={"who": person}).text
    assert rows(hub, noted, NAME) == [("viewer", "what was looked for, as csv, by viewer")]


def test_a_viewer_may_neither_export_nor_verify_nor_erase(app, hub, person):
    with browser(app, "viewer") as viewer:
        text = viewer.get(f"{HERE}/trail").text
        assert "Who may edit the connection exports and verifies;" in text
        assert "<button" not in text
        assert viewer.get(f"{HERE}/erase").status_code == 403
        assert viewer.get(f"{HERE}/erase/{person}").status_code == 403
        assert viewer.get(f"{API}/erase/{person}").status_code == 403
        assert viewer.post(f"{HERE}/erase", data={"who": "x"}, headers=BUTTON).status_code == 403
        for path in ("trail/export", "trail/verify", f"erase/{person}"):
            assert viewer.post(f"{HERE}/{path}", data={"why": "x"}, headers=BUTTON).status_code == 403
            assert viewer.post(f"{API}/{path}", json={}, headers=BUTTON).status_code == 403
    with browser(app, "admin") as admin:
        elsewhere = {"Sec-Fetch-Site": "cross-site"}
        assert admin.post(f"{HERE}/trail/export", data={}, headers=elsewhere).status_code == 403
