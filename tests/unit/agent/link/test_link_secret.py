"""The key that comes of the Partner Shared Secret and two certificates."""

import asyncio

from loadmaster_ha.agent.link.partner import LinkSettings
from loadmaster_ha.agent.link.secret import KeyRing, derive_key

ONE, OTHER = b"1" * 32, b"2" * 32


def test_settings_do_not_show_the_secret():
    settings = LinkSettings("10.0.2.4", 6973, "10.0.2.5", "correct-horse")
    assert "correct-horse" not in f"{settings} {settings!r}"
    assert "10.0.2.5" in repr(settings)


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
