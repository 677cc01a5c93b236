"""Certificates out of Secrets: what is taken, in which order it is given on, and what is refused in words."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.certificates import issue, key_pem

from loadmaster_ha.controller.tls_secrets import TlsSecretInvalid, read, rfc3339

ROOT = issue("root")
MIDDLE = issue("middle", ROOT)
LEAF = issue("leaf", MIDDLE)
OTHER = issue("other")
SMALL = key_pem(rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is what is to be refused


def subjects(pem):
    return [
        each.subject.rfc4514_string().removeprefix("CN=")
        for each in x509.load_pem_x509_certificates(pem.encode())
    ]


def test_a_certificate_with_its_chain_is_given_on_with_the_key():
    found = read(LEAF.pem + MIDDLE.pem, LEAF.key_pem)
    assert subjects(found.pem) == ["leaf", "middle"]
    assert LEAF.key_pem.decode() in found.pem
    assert found.fingerprint == LEAF.fingerprint
    assert found.not_after == LEAF.certificate.not_valid_after_utc


@given(st.permutations([LEAF, MIDDLE, ROOT]))
@settings(max_examples=6)
def test_a_chain_in_any_order_is_put_in_order(chain):
    found = read(b"".join(each.pem for each in chain), LEAF.key_pem)
    assert subjects(found.pem) == ["leaf", "middle", "root"]


def test_what_is_nobodys_issuer_comes_last():
    assert subjects(read(OTHER.pem + LEAF.pem + MIDDLE.pem, LEAF.key_pem).pem) == ["leaf", "middle", "other"]


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()],
    ids=["P-384", "Ed25519"],
)
def test_other_kinds_of_keys_are_taken(key):
    issued = issue("x", OTHER, key=key)
    assert read(issued.pem, issued.key_pem).fingerprint == issued.fingerprint


def test_an_rsa_key_as_openssl_writes_it_is_taken():
    key = rsa.generate_private_key(65537, 2048)
    issued = issue("x", OTHER, key=key)
    assert read(b"subject=CN = x\n" + issued.pem, issued.key_pem).fingerprint == issued.fingerprint


@pytest.mark.parametrize(
    ("certificates", "key", "complaint"),
    [
        (b"", LEAF.key_pem, "tls.crt is missing or empty"),
        (b" \n", LEAF.key_pem, "tls.crt is missing or empty"),
        (LEAF.pem, b"", "tls.key is missing or empty"),
        (LEAF.pem, LEAF.pem, "tls.key is no private key in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", LEAF.key_pem, "tls.crt has no"),
        (LEAF.key_pem, LEAF.key_pem, "tls.crt has no certificates in PEM form"),
        (LEAF.pem, OTHER.key_pem, "tls.key does not belong to any certificate in tls.crt"),
        (LEAF.pem, key_pem(LEAF.key, b"hush"), "protected by a passphrase"),
        (LEAF.pem, SMALL, "an RSA key of 2048 bits at least"),
        (LEAF.pem, key_pem(dsa.generate_private_key(2048)), "of a kind that units do not take"),
        (LEAF.pem * 11, LEAF.key_pem, "has 11 certificates; a chain has 10 at most"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(certificates, key, complaint):
    with pytest.raises(TlsSecretInvalid, match=complaint) as refused:
        read(certificates, key)
    assert "PRIVATE KEY" not in str(refused.value)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_rubbish_is_refused_and_nothing_else_happens(certificates, key):
    with pytest.raises(TlsSecretInvalid):
        read(certificates, key)


def test_neither_key_nor_certificate_is_printed():
    found = read(LEAF.pem, LEAF.key_pem)
    assert "BEGIN" not in repr(found)


def test_the_time_is_told_in_words():
    now = dt.datetime.now(dt.UTC)
    assert read(LEAF.pem, LEAF.key_pem).problem_at(now) is None
    expired = issue("old", days=-2, begins=-9)
    assert "has expired (" in read(expired.pem, expired.key_pem).problem_at(now)
    early = issue("early", begins=3)
    assert "is not valid before" in read(early.pem, early.key_pem).problem_at(now)


def test_times_are_written_as_kubernetes_writes_them():
    assert rfc3339(dt.datetime(2026, 11, 23, 4, 5, 6, tzinfo=dt.UTC)) == "2026-11-23T04:05:06Z"
