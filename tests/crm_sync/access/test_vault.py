"""The vault: what it seals opens for its connection, its purpose and its key alone, and with any other JOSE library."""

from __future__ import annotations

import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwe import JWERegistry
from jwcrypto import jwe, jwk
from jwcrypto.common import base64url_encode

from crm_sync.access.vault import REGISTRY, KeyRing, Vault, new_entry
from crm_sync.errors import Misconfigured

OLD, NEW, OTHER = new_entry("old"), new_entry("new"), new_entry("other")
VAULT = Vault(KeyRing.parse(f"{NEW},{OLD}"))
TOKENS = {
    "access_token": "00Dxx!AQ-access",
    "refresh_token": "5Aep861-refresh",
    "instance_url": "https://acme.example",
}
SEALED = VAULT.seal("main", "tokens", TOKENS)
BASE64URL = string.ascii_letters + string.digits + "-_"


def test_what_was_sealed_opens():
    assert VAULT.open("main", "tokens", SEALED) == TOKENS
    assert Vault.key_of(SEALED) == "new"


def test_nothing_of_it_can_be_read_and_no_two_are_alike():
    assert "access" not in SEALED
    assert VAULT.seal("main", "tokens", TOKENS) != SEALED


@given(st.integers(0, len(SEALED) - 1), st.sampled_from(BASE64URL + ".= \n"))
def test_no_byte_can_be_changed(place: int, other: str):
    tampered = SEALED[:place] + other + SEALED[place + 1 :]
    if tampered == SEALED:
        assert VAULT.open("main", "tokens", tampered) == TOKENS
        return
    with pytest.raises(Misconfigured) as caught:
        VAULT.open("main", "tokens", tampered)
    assert "AQ-access" not in str(caught.value)


def test_each_of_its_bytes_counts():
    """The same without chance: every place, and a neighbour that differs in the last bit of base64url alone."""
    for place, letter in enumerate(SEALED):
        other = "A" if letter == "." else BASE64URL[BASE64URL.index(letter) ^ 1]
        with pytest.raises(Misconfigured):
            VAULT.open("main", "tokens", SEALED[:place] + other + SEALED[place + 1 :])


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_no_byte_can_be_missing_or_added(cut: int):
    for changed in (SEALED[:-cut], SEALED[cut:], SEALED + "A" * cut, "A" * cut + SEALED, SEALED + ".", ""):
        with pytest.raises(Misconfigured):
            VAULT.open("main", "tokens", changed)


def test_a_row_copied_to_another_connection_does_not_open():
    with pytest.raises(Misconfigured, match=r"of connection emea belong to another connection.*copied"):
        VAULT.open("emea", "tokens", SEALED)


def test_a_value_for_another_purpose_does_not_open():
    with pytest.raises(Misconfigured, match="another connection or purpose"):
        VAULT.open("main", "code verifier", SEALED)


def test_a_missing_key_is_named():
    with pytest.raises(
        Misconfigured, match=r"connection main need vault key 'new'.*\(other\).*put it back"
    ) as caught:
        Vault(KeyRing.parse(OTHER)).open("main", "tokens", SEALED)
    assert not {NEW.partition(":")[2], OTHER.partition(":")[2], SEALED} & set(
        re.split(r"[\s,:;()']", str(caught.value))
    )


def test_a_wrong_key_under_the_right_id_is_named():
    with pytest.raises(Misconfigured, match="can't be opened with vault key 'new'"):
        Vault(KeyRing.parse(new_entry("new"))).open("main", "tokens", SEALED)


def test_a_rotated_ring_opens_what_either_key_sealed():
    before, after = Vault(KeyRing.parse(OLD)), Vault(KeyRing.parse(f"{NEW}\n{OLD}"))
    old = before.seal("main", "tokens", TOKENS)
    new = after.seal("main", "tokens", after.open("main", "tokens", old))
    assert (Vault.key_of(old), Vault.key_of(new)) == ("old", "new")
    assert after.open("main", "tokens", old) == after.open("main", "tokens", new) == TOKENS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "CRM_SYNC_VAULT_KEYS is not set.*vault new-key"),
        (" , ", "is not set"),
        ("nokey", "entry 1 .* is not of the form id:key"),
        (f"{NEW},bad id:AAAA", "entry 2 "),
        (f"{NEW},{NEW}", "two keys of the id 'new'"),
        ("short:QUJD", "key 'short' .* is not 64 bytes"),
        ("odd:***", "key 'odd' .* is not 64 bytes"),
    ],
)
def test_a_ring_that_can_not_be_read_says_where_and_never_what(text: str, words: str):
    with pytest.raises(Misconfigured, match=words) as caught:
        KeyRing.parse(text)
    assert NEW.partition(":")[2] not in str(caught.value)
    assert "QUJD" not in str(caught.value)


def test_keys_may_be_padded_and_stand_in_no_repr():
    ring = KeyRing.parse(f"{NEW}==")
    assert ring.keys == KeyRing.parse(NEW).keys
    assert NEW.partition(":")[2][:20] not in repr(ring) + repr(Vault(ring))


def test_another_jose_library_opens_it():
    key = jwk.JWK(kty="oct", k=base64url_encode(VAULT.ring.keys["new"]))
    token = jwe.JWE(algs=["dir", "A256CBC-HS512"])
    token.deserialize(SEALED, key)
    assert json.loads(token.payload) == TOKENS
    assert json.loads(token.objects["protected"]) == {
        "alg": "dir", "enc": "A256CBC-HS512", "kid": "new", "connection": "main", "purpose": "tokens",
    }  # fmt: skip


def test_what_another_jose_library_sealed_opens_here():
    token = jwe.JWE(json.dumps(TOKENS), json.dumps(
        {"alg": "dir", "enc": "A256CBC-HS512", "kid": "new", "connection": "main", "purpose": "tokens"}
    ), algs=["dir", "A256CBC-HS512"])  # fmt: skip
    token.add_recipient(jwk.JWK(kty="oct", k=base64url_encode(VAULT.ring.keys["new"])))
    assert VAULT.open("main", "tokens", token.serialize(compact=True)) == TOKENS


def test_no_weaker_algorithm_is_taken():
    header = {"alg": "dir", "enc": "A128CBC-HS256", "kid": "new", "connection": "main", "purpose": "tokens"}
    token = jwe.JWE(json.dumps(TOKENS), json.dumps(header), algs=["dir", "A128CBC-HS256"])
    token.add_recipient(jwk.JWK(kty="oct", k=base64url_encode(VAULT.ring.keys["new"][:32])))
    with pytest.raises(Misconfigured):
        VAULT.open("main", "tokens", token.serialize(compact=True))


# RFC 7518, appendix B: the same plaintext, IV and associated data for all cases; the key is 00 01 02 …
PLAINTEXT = b"A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without inconvenience"
IV = bytes.fromhex("1af38c2dc2b96ffdd86694092341bc04")
AAD = b"The second principle of Auguste Kerckhoffs"
# Ciphertext and tag, in lines of the ciphertext's.
B1 = (
    """
c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9a94ac9b47ad2655c5f10f9aef71427e2fc6f9b3f399a2214
89f16362c703233609d45ac69864e3321cf82935ac4096c86e133314c54019e8ca7980dfa4b9cf1b384c486f3a54c51078158ee5d79de59f
bd34d848b3d69550a67646344427ade54b8851ffb598f7f80074b9473c82e2db
""",
    "652c3fa36b0a7c5b3219fab3a30bc1c4",
)
B3 = (
    """
4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd822c301dd67c373bccb584ad3e9279c2e6d12a1374b77f07
7553df829410446b36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3a3b75e662a2594410ae496b2e2e6609e
31e6e02cc837f053d21f37ff4f51950bbe2638d09dd7a4930930806d0703b1f6
""",
    "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5",
)
CASES = {"A128CBC-HS256": B1, "A256CBC-HS512": B3}


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_vaults_primitive_gives_what_rfc_7518_appendix_b_gives(name: str):
    ciphertext, tag = map(bytes.fromhex, CASES[name])
    primitive = JWERegistry.algorithms["enc"][name]
    key = bytes(range(2 * len(tag)))
    assert primitive.encrypt(PLAINTEXT, key, IV, AAD) == (ciphertext, tag)
    assert primitive.decrypt(ciphertext, tag, key, IV, AAD) == PLAINTEXT


def test_the_vault_uses_that_primitive():
    assert REGISTRY.get_enc("A256CBC-HS512") is JWERegistry.algorithms["enc"]["A256CBC-HS512"]
