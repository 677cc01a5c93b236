"""Fingerprints are shown as OpenSSL shows them, and compared in whatever form they come."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.certificates import issue

from loadmaster_ha.domain.fingerprints import for_people, plain


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_people_see_what_openssl_shows():
    issued = issue("lm-0.example")
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(command, input=issued.pem, capture_output=True, check=True).stdout.decode()
    assert shown.strip().partition("=")[2] == for_people(issued.fingerprint)


@given(st.binary(min_size=32, max_size=32), st.booleans(), st.booleans())
def test_all_forms_are_one(digest, colons, upper):
    text = digest.hex(":") if colons else digest.hex()
    text = text.upper() if upper else text
    assert plain(text) == digest.hex()
    assert for_people(text) == digest.hex(":").upper()


def test_nothing_stays_nothing():
    assert for_people("") == ""
