"""HAProxy accepts every configuration that the limits let pass, and reads the values that were meant."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck as Health
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.haproxy import get, rig, short_folder
from tests.support.pem import self_signed
from tests.support.services import ADDRESS, CERTIFICATES, WORDS, unit_services

from loadmaster_ha.agent.dataplane.checker import Checker
from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.agent.dataplane.configuration import render
from loadmaster_ha.agent.dataplane.files import Folder
from loadmaster_ha.agent.dataplane.limits import refusal
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused, Node
from loadmaster_ha.domain.virtual_services import (
    CheckMethod,
    CheckType,
    HealthCheck,
    ServiceKey,
    ServiceType,
    VirtualService,
)

__all__ = ["rig"]

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="HAProxy is not installed (make system)"
)

EXAMPLES = int(os.environ.get("LOADMASTER_HA_CONFIGURATIONS", "25"))
"""Each is a unit with up to 30 services, tried at once."""


@pytest.fixture(scope="module")
def certificates():
    return {name: self_signed(f"{number}.example") for number, name in enumerate(CERTIFICATES)}


@pytest.fixture
def checker():
    with short_folder() as folder:
        yield Checker("haproxy", Folder(folder))


def node(checker, **more):
    return Node(Paths(checker.candidate.path), {"eth0": ADDRESS}, **more)


@settings(max_examples=EXAMPLES, suppress_health_check=list(Health))
@given(services=unit_services(most=30))
def test_whatever_is_within_the_limits_is_accepted(checker, certificates, services):
    assert [refusal(each, node(checker), certificates) for each in services] == [None] * len(services)
    asyncio.run(checker.check(render(services, node(checker), certificates)))


@settings(max_examples=8, suppress_health_check=list(Health))
@given(texts=st.lists(WORDS.filter(bool), min_size=1, max_size=30))
async def test_haproxy_reads_a_text_as_it_was_meant(rig, texts):
    http = ServiceType.HTTP
    services = [rig.service(10_000 + place, type=http, error_url=text) for place, text in enumerate(texts)]
    assert (await rig.serve(*services)).rejected == {}
    seen = [(await get(rig.address, 10_000 + place))[1]["location"] for place in range(len(texts))]
    assert seen == texts


@pytest.mark.parametrize("threads", [0, 2])
async def test_the_common_part_alone_is_accepted(checker, threads):
    await checker.check(render([], node(checker, threads=threads)))


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
async def test_an_account_to_become_is_accepted(checker):
    await checker.check(render([], node(checker, account="nobody")))


async def test_the_service_to_blame_is_named_with_haproxys_words(checker):
    pattern = HealthCheck(type=CheckType.HTTP, method=CheckMethod.GET, pattern="(")
    good = [VirtualService(index, ServiceKey(ADDRESS, index)) for index in (1, 3)]
    bad = VirtualService(2, ServiceKey(ADDRESS, 2), check=pattern)
    with pytest.raises(ConfigurationRefused) as refused:
        await checker.check(render([good[0], bad, good[1]], node(checker)))
    assert list(refused.value.services) == [bad.key]
    assert refused.value.text.startswith(f"virtual service {ADDRESS}:2/tcp: 'http-check expect' : regex '('")
    assert str(Path(checker.candidate.path)) not in refused.value.text


async def test_the_version_of_the_binary(checker):
    assert tuple(int(part) for part in (await checker.version()).split(".")) >= (2, 6)


@pytest.mark.parametrize("version", ["2.4.22-f8e3218", "1.8.30"])
async def test_a_binary_that_is_too_old_is_refused(tmp_path, version):
    old = tmp_path / "haproxy"
    old.write_text(f"#!/bin/sh\necho 'HAProxy version {version} 2023/06/09 - https://haproxy.org/'\n")
    old.chmod(0o755)
    with pytest.raises(ConfigurationRefused, match=r"is too old: this unit needs 2\.6 or newer"):
        await Checker(str(old), Folder(tmp_path)).version()
