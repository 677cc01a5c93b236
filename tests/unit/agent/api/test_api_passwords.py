import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadmaster_ha.agent.api import passwords
from loadmaster_ha.agent.api.passwords import Cost, HashError

CHEAP = Cost(n=2, r=1, p=1)


@settings(deadline=None)
@given(password=st.text(), other=st.text())
def test_only_the_password_itself_is_verified(password, other):
    stored = passwords.hash_password(password, CHEAP)

    assert passwords.verify_password(password, stored)
    assert passwords.verify_password(other, stored) is (other == password)


def test_two_hashes_of_one_password_differ():
    assert passwords.hash_password("the same", CHEAP) != passwords.hash_password("the same", CHEAP)


def test_the_cost_is_that_of_the_cheat_sheet_and_no_more_memory_than_stated():
    scheme, n, r, p, *_ = passwords.hash_password("password").split("$")

    assert (scheme, n, r, p) == ("scrypt", "16384", "8", "5")
    assert 128 * int(n) * int(r) == 16 * 1024 * 1024


def test_the_vector_of_rfc_7914_is_verified():
    # Section 12: "pleaseletmein", "SodiumChloride", N=16384, r=8, p=1; the first 32 of its 64 bytes.
    digest = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
    salt = base64.b64encode(b"SodiumChloride").decode()
    stored = f"scrypt$16384$8$1${salt}${base64.b64encode(digest).decode()}"

    assert passwords.verify_password("pleaseletmein", stored)
    assert not passwords.verify_password("pleaseletmeout", stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain text",
        "md5$1$1$1$AAAA$AAAA",
        "scrypt$1048576$8$1$AAAA$AAAA",
        "scrypt$16384$8$1000$AAAA$AAAA",
        "scrypt$16384$8$-1$AAAA$AAAA",
        "scrypt$3$8$1$AAAA$AAAA",
        "scrypt$x$8$1$AAAA$AAAA",
        "scrypt$2$1$1$not base64!$AAAA",
        "scrypt$2$1$1$AAAA",
        "scrypt$99999999999999999999$8$1$AAAA$AAAA",
    ],
)
def test_a_stored_text_that_is_no_hash_of_ours_is_named_and_never_computed(stored):
    with pytest.raises(HashError):
        passwords.verify_password("password", stored)


@pytest.mark.parametrize(("password", "refused"), [("1234567", True), ("12345678", False), ("x" * 128, True)])
def test_passwords_have_a_length(password, refused):
    assert (passwords.password_refusal(password) is not None) is refused


def test_the_hash_of_nobody_costs_what_others_cost_and_has_no_password():
    nobody = passwords.hash_of_nobody()

    assert nobody.split("$")[:4] == passwords.hash_password("password").split("$")[:4]
    assert not passwords.verify_password("", nobody)
    assert passwords.hash_of_nobody() != nobody


def test_keys_are_long_random_and_safe_in_urls():
    keys = {passwords.new_api_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(len(key) == 43 and key.replace("-", "a").replace("_", "a").isalnum() for key in keys)


def test_a_fingerprint_is_too_short_to_be_used_as_a_key():
    digest = passwords.key_digest(passwords.new_api_key())

    assert passwords.fingerprint(digest) == f"sha256:{digest[:16]}"
    assert passwords.key_digest(passwords.fingerprint(digest)) != digest
