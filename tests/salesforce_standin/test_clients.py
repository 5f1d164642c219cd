"""Well-known clients against the stand-in, over TLS as they insist on: simple-salesforce and the stock Airflow parts."""

import json
import warnings
from typing import Any

import pytest
import requests
from joserfc.jwk import RSAKey
from simple_salesforce import api
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceOperationError,
    SalesforceResourceNotFound,
)

from salesforce_standin import tls
from tests.salesforce_standin.running import CLIENT_ID, CLIENT_SECRET, Running, provide, token_of
from tests.salesforce_standin.running import Client as Plain


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    return tls.certificate(directory)


@pytest.fixture(scope="module")
def secure(certificate):
    running = Running("--bulk-milliseconds", "0", secure=certificate)
    yield running
    running.stop()


@pytest.fixture
def session(certificate):
    made = requests.Session()
    made.trust_env, made.verify = False, str(certificate[0])
    yield made
    made.close()


@pytest.fixture
def salesforce(secure, session):
    return api.Salesforce(
        username="integration@gptweb.example",
        password="pass-word",
        security_token="sec-token",
        domain=f"127.0.0.1:{secure.port}/login",
        session=session,
    )


def test_soap_login_and_rows(salesforce):
    assert salesforce.session_id.startswith("00D5g0000012345!")
    made = salesforce.Account.create({"Name": "Acme"})
    assert salesforce.Account.get(made["id"])["Name"] == "Acme"
    assert salesforce.Account.update(made["id"], {"Phone": "1"}) == 204
    found = salesforce.query_all("SELECT Id, Phone FROM Account WHERE Name = 'Acme'")
    assert (found["totalSize"], found["records"][0]["Phone"]) == (1, "1")
    assert {"Account", "Contact", "Lead"} <= {one["name"] for one in salesforce.describe()["sobjects"]}
    assert len(salesforce.Account.describe()["fields"]) == 68
    assert salesforce.api_usage["api-usage"].total == 15000
    assert salesforce.Account.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Account.get(made["id"])
    with pytest.raises(SalesforceMalformedRequest):
        salesforce.query("SELECT Nope FROM Account")


def test_login_by_jwt(secure, session):
    key = RSAKey.generate_key(2048, private=True)
    app = secure.org.apps.find(CLIENT_ID)
    app.change(
        {"certificate": key.as_pem(private=False).decode(), "approved": ["integration@gptweb.example"]}
    )
    salesforce = api.Salesforce(
        username="integration@gptweb.example",
        consumer_key=CLIENT_ID,
        privatekey=key.as_pem(private=True).decode(),
        domain=f"127.0.0.1:{secure.port}/login",
        session=session,
    )
    assert salesforce.limits()["DailyApiRequests"]["Max"] == 15000


def test_login_by_client_credentials(secure, session):
    salesforce = api.Salesforce(
        consumer_key=CLIENT_ID,
        consumer_secret=CLIENT_SECRET,
        domain=f"127.0.0.1:{secure.port}/acme.my",
        session=session,
    )
    assert salesforce.limits()["DailyApiRequests"]["Max"] == 15000


def test_wrong_password_and_dead_session(secure, session):
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        api.Salesforce(
            username="integration@gptweb.example",
            password="wrong",
            security_token="",
            domain=f"127.0.0.1:{secure.port}/login",
            session=session,
        )
    assert caught.value.code == "INVALID_LOGIN"
    assert str(caught.value) == (
        "Authentication failed (code: INVALID_LOGIN): Invalid username, password, security token; or user locked out."
    )
    dead = api.Salesforce(
        session_id="00D5g0000012345!dead", instance=f"127.0.0.1:{secure.port}", session=session
    )
    with pytest.raises(SalesforceExpiredSession):
        dead.query("SELECT Id FROM Account")


def test_upsert_ambiguity_and_replication(salesforce):
    for name in "AB":
        salesforce.Contact.create({"LastName": name, "Email": "twin@x.example"})
    with pytest.raises(SalesforceMoreThanOneRecord):
        salesforce.Contact.upsert("Email/twin@x.example", {"LastName": "C"})
    with pytest.raises(SalesforceMalformedRequest):
        salesforce.Contact.create({})


class TestBulk:
    @pytest.fixture
    def ready(self, secure, session, salesforce):
        client = Plain(secure.base, token_of(secure.base, session), session)
        if not client.rows("SELECT Id FROM PermissionSet WHERE Name = 'CRM_Sync'"):
            provide(client, "Contact")
        return salesforce

    def test_write_read_delete(self, ready):
        rows = [{"LastName": f"Bulk {i}", "GPTWeb_Id__c": f"b{i}"} for i in range(450)] + [{"FirstName": "x"}]
        results = ready.bulk.Contact.insert(rows, batch_size=300)
        assert results[0] == {"success": True, "created": True, "id": results[0]["id"], "errors": []}
        assert results[-1] == {
            "success": False,
            "created": False,
            "id": None,
            "errors": [
                {
                    "message": "Required fields are missing: [LastName]",
                    "fields": ["LastName"],
                    "statusCode": "REQUIRED_FIELD_MISSING",
                    "extendedErrorDetails": None,
                }
            ],
        }
        upserted = ready.bulk.Contact.upsert([{"GPTWeb_Id__c": "b0", "LastName": "Z"}], "GPTWeb_Id__c")
        assert (upserted[0]["id"], upserted[0]["created"]) == (results[0]["id"], False)
        updated = ready.bulk.Contact.update(
            [{"Id": results[1]["id"], "LastName": "Y"}, {"Id": "x", "LastName": "Y"}]
        )
        assert [result["success"] for result in updated] == [True, False]
        found = ready.bulk.Contact.query(
            "SELECT Id, LastName, CreatedDate FROM Contact WHERE GPTWeb_Id__c IN ('b0', 'b1')"
        )
        assert sorted(row["LastName"] for row in found) == ["Y", "Z"]
        assert isinstance(found[0]["CreatedDate"], int)
        gone = ready.bulk.Contact.delete([{"Id": result["id"]} for result in results[:-1]])
        assert all(result["success"] for result in gone)
        assert len(ready.bulk.Contact.query_all("SELECT Id FROM Contact WHERE IsDeleted = true")) == 450

    def test_a_bad_query_fails_its_batch(self, ready):
        with pytest.raises(SalesforceGeneralError) as caught:
            ready.bulk.Contact.query("SELECT Nope FROM Contact")
        assert "InvalidBatch : Failed to process query: INVALID_FIELD" in str(caught.value)

    def test_an_unknown_object(self, ready):
        with pytest.raises(SalesforceMalformedRequest) as caught:
            ready.bulk.Foo.insert([{"Name": "x"}])
        body: Any = caught.value.content
        assert body == {
            "exceptionCode": "InvalidJob",
            "exceptionMessage": "Unable to find object: Foo",
        }


class TestBulk2:
    def test_write_and_read(self, salesforce, tmp_path):
        accounts = salesforce.bulk2.Account
        rows = [{"Name": f"Two {number}", "Site": "one, two"} for number in range(300)]
        (done,) = accounts.insert(records=[*rows, {"Name": "", "Site": "x"}], wait=0.01)
        assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (301, 1)
        good = accounts.get_successful_records(done["job_id"])
        assert len(good.splitlines()) == 301
        bad = accounts.get_failed_records(done["job_id"])
        assert "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --" in bad
        left = accounts.get_unprocessed_records(done["job_id"])
        assert sorted(left.strip().split(",")) == ['"Name"', '"Site"']
        pages = list(
            accounts.query("SELECT Id, Name FROM Account WHERE Site = 'one, two'", max_records=200, wait=0.05)
        )
        assert [len(page.splitlines()) for page in pages] == [201, 101]
        files = accounts.download("SELECT Id FROM Account WHERE Site = 'one, two'", str(tmp_path), wait=0.05)
        assert [one["number_of_records"] for one in files] == [300]
        gone = [{"Id": line.split(",")[0].strip('"')} for line in good.splitlines()[1:]]
        (deleted,) = accounts.delete(records=gone, wait=0.01)
        assert (deleted["numberRecordsProcessed"], deleted["numberRecordsFailed"]) == (300, 0)

    def test_a_job_that_fails(self, salesforce):
        with pytest.raises(SalesforceOperationError) as caught:
            salesforce.bulk2.Account.insert(records=[{"Nope": "x"}], wait=0.01)
        assert "InvalidBatch : Field name not found : Nope" in str(caught.value)
        with pytest.raises(SalesforceMalformedRequest):
            list(salesforce.bulk2.Account.query("SELECT Nope FROM Account"))


def test_the_stock_hook_and_operator_of_airflow(secure, certificate, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.providers.salesforce.hooks.salesforce import SalesforceHook
        from airflow.providers.salesforce.operators.bulk import SalesforceBulkOperator
        from airflow.sdk import Connection

    connection = Connection(
        conn_id="stock",
        conn_type="salesforce",
        login="integration@gptweb.example",
        password="pass-word",
        extra=json.dumps({"security_token": "sec-token", "domain": f"127.0.0.1:{secure.port}/login"}),
    )
    monkeypatch.setattr(SalesforceHook, "get_connection", classmethod(lambda cls, name: connection))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    operator = SalesforceBulkOperator(
        task_id="operator",
        operation="insert",
        object_name="Account",
        payload=[{"Name": "By Airflow"}],
        salesforce_conn_id="stock",
    )
    (result,) = operator.execute({})
    hook = SalesforceHook("stock")
    found = hook.make_query("SELECT Id FROM Account WHERE Name = 'By Airflow'")["records"]
    assert [record["Id"] for record in found] == [result["id"]]
    assert hook.get_available_fields("Lead")[:3] == ["Id", "IsDeleted", "MasterRecordId"]
    tested: Any = hook.test_connection()  # type: ignore[no-untyped-call]
    assert tested == (True, "Connection successfully tested")
