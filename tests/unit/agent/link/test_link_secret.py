"""What may be a Partner Shared Secret, and the key that comes of it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.link.secret import ALLOWED, KeyRing, derive_key, why_not

ONE, OTHER = b"1" * 32, b"2" * 32


@given(st.text(alphabet=sorted(ALLOWED), min_size=8, max_size=127))
def test_what_the_appliance_allows_is_allowed(secret):
    assert why_not(secret) is None


@pytest.mark.parametrize(
    "secret", ["", "1234567", "x" * 128, "with space", "apostrophe's", "umlaut-ü-secret", "tab\ttab"]
)
def test_what_it_does_not_is_refused_without_repeating_it(secret):
    said = why_not(secret)
    assert said is not None
    assert not secret or secret not in said


def test_both_units_derive_the_same_key():
    assert derive_key("correct-horse", ONE, OTHER) == derive_key("correct-horse", OTHER, ONE)


def test_another_secret_or_another_certificate_gives_another_key():
    keys = {
        derive_key("correct-horse", ONE, OTHER),
        derive_key("correct-house", ONE, OTHER),
        derive_key("correct-horse", ONE, b"3" * 32),
    }
    assert len(keys) == 3


async def test_keys_are_remembered_and_forgotten():
    ring = KeyRing()
    assert await ring.key(None, ONE, OTHER) is None
    first, again = await asyncio.gather(
        ring.key("correct-horse", ONE, OTHER), ring.key("correct-horse", ONE, OTHER)
    )
    assert first is again
    ring.forget()
    later = await ring.key("correct-horse", ONE, OTHER)
    assert later == first
    assert later is not first


async def test_the_ring_holds_few_keys():
    ring = KeyRing()
    for number in range(6):
        await ring.key("correct-horse", ONE, bytes((number,)) * 32)
    assert len(ring._keys) == 4
