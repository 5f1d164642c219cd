"""Friendly URLs: parents and children by the names of relationships (REST:traverse-relationships-with-friendly-urls)."""

import pytest


@pytest.fixture
def family(client):
    """An account with two contacts; the second has no account."""
    account = client.create("Account", Name="A")
    return (
        account,
        client.create("Contact", LastName="B", AccountId=account),
        client.create("Contact", LastName="C"),
    )


class TestParents:
    def test_a_parent_is_a_record_like_any(self, client, family):
        account, contact, _ = family
        reply = client.get(f"/sobjects/Contact/{contact}/Account", params={"fields": "Name"})
        url = f"/services/data/v66.0/sobjects/Account/{account}"
        assert reply.json() == {"attributes": {"type": "Account", "url": url}, "Name": "A", "Id": account}
        assert "ETag" in reply.headers

    def test_parents_of_parents(self, client, family):
        _, contact, _ = family
        owner = client.get(f"/sobjects/contact/{contact[:15]}/account/owner").json()
        assert owner["attributes"]["type"] == "User"

    def test_a_parent_is_changed_and_deleted(self, client, family):
        account, contact, _ = family
        assert client.patch(f"/sobjects/Contact/{contact}/Account", {"Phone": "1"}).status_code == 204
        assert client.get(f"/sobjects/Account/{account}").json()["Phone"] == "1"
        assert client.delete(f"/sobjects/Contact/{contact}/Account").status_code == 204
        assert client.get(f"/sobjects/Account/{account}").status_code == 404

    @pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
    def test_an_empty_relationship_to_a_single_record_is_not_found(self, client, family, method):
        _, _, alone = family
        assert client.call(method, f"/sobjects/Contact/{alone}/Account", json={}).status_code == 404

    def test_an_unknown_relationship_and_too_many_are_not_found(self, client, family):
        account, contact, _ = family
        assert client.get(f"/sobjects/Contact/{contact}/Nothing").status_code == 404
        assert client.get(f"/sobjects/Account/{account}/{'Owner/' * 5}Owner").status_code == 404


class TestChildren:
    def test_children_are_answered_as_by_a_query(self, client, family):
        account, contact, _ = family
        page = client.get(f"/sobjects/Account/{account}/Contacts", params={"fields": "LastName"}).json()
        url = f"/services/data/v66.0/sobjects/Contact/{contact}"
        record = {"attributes": {"type": "Contact", "url": url}, "LastName": "B"}
        assert page == {"totalSize": 1, "done": True, "records": [record]}

    def test_without_fields_all_come(self, client, family):
        account, contact, _ = family
        records = client.get(f"/sobjects/Account/{account}/Contacts").json()["records"]
        unseen = {"LastViewedDate": None, "LastReferencedDate": None}  # a query is no view
        assert records == [{**client.get(f"/sobjects/Contact/{contact}").json(), **unseen}]

    def test_none_is_an_empty_page(self, client, family):
        account, _, _ = family
        assert client.get(f"/sobjects/Account/{account}/ChildAccounts").json()["records"] == []

    def test_they_are_only_read(self, client, family):
        account, _, _ = family
        assert client.patch(f"/sobjects/Account/{account}/Contacts", {"Phone": "1"}).status_code == 404

    def test_a_field_that_is_none_is_refused(self, client, family):
        account, _, _ = family
        reply = client.get(f"/sobjects/Account/{account}/Contacts", params={"fields": "Nope"})
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "INVALID_FIELD")
