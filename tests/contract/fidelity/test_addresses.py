"""`CheckIPAddressAvailability`: the operator asks it before it takes an address for its frontend."""

from __future__ import annotations

import pytest
from tests.support import azspecs
from tests.support.guide_az import GuideSetUp
from tests.support.guide_world import Builder
from tests.support.swagger import SwaggerValidator


@pytest.fixture
async def network(azure, subscription):
    async with azure(subscription) as arm:
        builder = Builder(arm, subscription, GuideSetUp())
        await builder.prerequisites()
        yield arm, builder.network("virtualNetworks", builder.guide.network)


async def _ask(network, address):
    arm, path = network
    url = f"{path}/CheckIPAddressAvailability?ipAddress={address}&api-version=2024-01-01"
    return await arm.send("GET", url)


async def test_a_free_address_is_available(network):
    answer = await _ask(network, "10.0.2.77")
    assert (answer.status, answer.response_body["available"]) == (200, True)


async def test_a_taken_address_is_not_and_others_are_offered(network):
    answer = await _ask(network, "10.0.2.4")
    # .5 is the other unit's, .0 to .3 are Azure's own.
    assert answer.response_body["available"] is False
    assert answer.response_body["availableIPAddresses"] == [f"10.0.2.{last}" for last in (6, 7, 8, 9, 10)]


@pytest.mark.parametrize("address", ["10.0.2.0", "10.0.2.1", "10.0.2.3", "10.0.2.255"])
async def test_an_address_of_the_platform_is_not_available(network, address):
    answer = await _ask(network, address)
    assert answer.response_body["available"] is False
    assert answer.response_body["isPlatformReserved"] is True


async def test_an_address_of_no_subnet_is_refused_or_not_available(network):
    answer = await _ask(network, "192.168.7.7")
    assert answer.status in {200, 400}
    assert answer.response_body.get("available", False) is False


async def test_answers_are_as_microsoft_describes_them(network):
    validator = SwaggerValidator(azspecs.require())
    answers = [await _ask(network, address) for address in ("10.0.2.4", "10.0.2.77", "10.0.2.1")]
    assert validator.check_all(answers) == []
    assert validator.checked == {"VirtualNetworks_CheckIPAddressAvailability": 3}
