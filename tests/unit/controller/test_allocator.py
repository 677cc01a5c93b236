import platform

import pytest

from loadmaster_ha.controller.allocator import give_memory_back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_takes_the_limits():
    assert give_memory_back()
