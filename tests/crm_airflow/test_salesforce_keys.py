"""What an Airflow connection holds, or the one message that says what to do."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import Connection
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.exceptions import AirflowNotFoundException

from crm_airflow.hooks.salesforce_keys import salesforce_app
from crm_sync.access.app import App
from crm_sync.errors import Misconfigured

COMPLETE = {
    "instance_url": "https://acme.my.salesforce.com",
    "consumer_key": "key",
    "consumer_secret": "s3cret",
}


def keys_of(extra: object, conn_type: str = "salesforce") -> App:
    text = extra if isinstance(extra, str) else json.dumps(extra)
    connection = Connection(conn_id="salesforce_main", conn_type=conn_type, extra=text)
    return salesforce_app("salesforce_main", lambda conn_id: connection)


def test_a_complete_connection_is_read():
    assert keys_of(COMPLETE) == App("https://acme.my.salesforce.com", "key", "s3cret")


def test_blanks_around_a_value_are_a_slip_of_the_clipboard():
    assert keys_of({**COMPLETE, "consumer_key": " key\n"}).consumer_key == "key"


def test_the_field_names_of_old_airflow_forms_are_read():
    old = {f"extra__salesforce__{name}": value for name, value in COMPLETE.items()}
    assert keys_of(old) == keys_of(COMPLETE)


def test_the_secret_is_in_no_text_of_the_keys():
    assert "s3cret" not in repr(keys_of(COMPLETE)) + str(keys_of(COMPLETE))


def test_the_secret_is_masked_in_logs_once_it_was_read():
    keys_of({**COMPLETE, "consumer_secret": "a-secret-of-this-test"})
    assert redact("sent a-secret-of-this-test") == "sent ***"


def test_a_missing_connection_says_where_to_make_it():
    def get(conn_id: str) -> Connection:
        raise AirflowNotFoundException(conn_id)

    with pytest.raises(Misconfigured) as caught:
        salesforce_app("salesforce_emea", get)
    for word in (
        "'salesforce_emea'",
        "Admin > Connections",
        "instance_url",
        "consumer_key",
        "consumer_secret",
    ):
        assert word in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_undefined_connection_in_real_airflow_is_the_same_error():
    with pytest.raises(Misconfigured, match="There is no Airflow connection 'crm_test_undefined'"):
        salesforce_app("crm_test_undefined")


def test_a_connection_of_another_type_says_which():
    with pytest.raises(Misconfigured, match="is of type 'http'; change it to 'salesforce'"):
        keys_of(COMPLETE, conn_type="http")


BROWSER = {"grant": "authorization_code", "consumer_key": "key"}
SIGNED = {
    "consumer_key": "key",
    "private_key": "-----BEGIN\\nPRIVATE",
    "username": "integration@acme.example",
}


def test_the_browsers_grant_needs_the_consumer_key_alone():
    assert keys_of(BROWSER) == App("https://login.salesforce.com", "key", grant="authorization_code")


@pytest.mark.parametrize(
    ("where", "address"),
    [
        ({"domain": "test"}, "https://test.salesforce.com"),
        ({"domain": "acme.my"}, "https://acme.my.salesforce.com"),
        ({"domain": "test", "instance_url": "https://acme--full.sandbox.my.salesforce.com"},
         "https://acme--full.sandbox.my.salesforce.com"),
    ],
)  # fmt: skip
def test_where_to_log_in(where, address):
    assert keys_of({**BROWSER, **where}).address == address


def test_a_private_key_means_signed_log_ins_and_may_have_its_lines_spelled_out():
    app = keys_of(SIGNED)
    assert (app.grant, app.username, app.private_key) == (
        "jwt_bearer", "integration@acme.example", "-----BEGIN\nPRIVATE",
    )  # fmt: skip


def test_a_signed_log_in_needs_a_user():
    with pytest.raises(Misconfigured, match="lacks login"):
        keys_of({**SIGNED, "username": ""})


def test_another_grant_is_refused_with_those_that_there_are():
    with pytest.raises(
        Misconfigured, match=r"'password'.*client_credentials, authorization_code, jwt_bearer"
    ):
        keys_of({**COMPLETE, "grant": "password"})


def test_user_name_and_password_alone_are_answered_with_what_is_offered():
    connection = Connection(
        conn_id="main", conn_type="salesforce", login="ann@acme.example", password="hunter2"
    )
    with pytest.raises(Misconfigured, match=r"password is not offered.*external client app") as caught:
        salesforce_app("main", lambda conn_id: connection)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", sorted(COMPLETE))
@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_missing_field_is_named(missing, blank):
    with pytest.raises(Misconfigured, match=rf"lacks {missing} \(.*Admin > Connections") as caught:
        keys_of({**COMPLETE, missing: blank})
    assert "s3cret" not in str(caught.value)


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(Misconfigured, match=r"instance_url.*consumer_key.*consumer_secret"):
        keys_of({})


@pytest.mark.parametrize("extra", ["no json", "[1]", '"s3cret"'])
def test_an_extra_that_is_no_object_is_not_quoted(extra):
    with pytest.raises(Misconfigured, match="no JSON object") as caught:
        keys_of(extra)
    assert extra not in str(caught.value)
