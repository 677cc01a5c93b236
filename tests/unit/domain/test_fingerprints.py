"""Fingerprints are shown as OpenSSL shows them, and compared in whatever form they come."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.certificates import issue

from loadmaster_ha.domain.fingerprints import checked, for_people, plain


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_people_see_what_openssl_shows():
    issued = issue("lm-0.example")
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(command, input=issued.pem, capture_output=True, check=True).stdout.decode()
    assert shown.strip().partition("=")[2] == for_people(issued.fingerprint)
    assert plain(checked(shown.strip())) == plain(issued.fingerprint), "its whole line can be pasted"


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(["", ":", " "]),
    st.booleans(),
    st.sampled_from(["", "sha256 Fingerprint=", "SHA256 Fingerprint=", "sha256:", "SHA-256: ", " "]),
)
def test_all_forms_are_one(digest, separator, upper, label):
    text = digest.hex(separator) if separator else digest.hex()
    text = label + (text.upper() if upper else text)
    assert checked(text) == text
    assert plain(text) == digest.hex()
    assert for_people(text) == digest.hex(":").upper()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab" * 20,
        "sha1 Fingerprint=" + "ab" * 32,
        "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "xy" * 32,
    ],
)
def test_what_is_none_is_refused_with_what_one_looks_like(text):
    with pytest.raises(
        ValueError, match="64 hexadecimal digits, with or without colons: take it as `openssl"
    ):
        checked(text)


def test_nothing_stays_nothing():
    assert for_people("") == ""
