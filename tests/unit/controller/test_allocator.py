import asyncio
import platform

import pytest

from loadmaster_ha.controller import allocator


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_takes_the_limits():
    assert allocator.give_memory_back()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
async def test_what_is_free_is_given_back_again_and_again(monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(allocator.asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await allocator.give_back_from_time_to_time()
    assert set(pauses) == {60.0}
