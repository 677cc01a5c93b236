"""A pair's whole life: what the operator asks of Azure, and is answered, is as Microsoft describes it."""

import pytest
from tests.support import azspecs
from tests.support.emulator import running_emulator
from tests.support.life import live
from tests.support.rig import Stage
from tests.support.swagger import SwaggerValidator
from tests.support.traffic import read_log

USED = {
    "LoadBalancers_CreateOrUpdate",
    "LoadBalancers_Delete",
    "NetworkInterfaces_CreateOrUpdate",
    "VirtualMachines_Get",
    "VirtualNetworks_Get",
}


@pytest.mark.parametrize("shared_balancer", [False, True])
async def test_requests_and_answers_of_a_life_are_as_described(control_plane, crd, tmp_path, shared_balancer):
    folder = azspecs.require()
    log = tmp_path / "traffic.jsonl"
    async with running_emulator("--latency", "0.2", "--traffic-log", str(log)) as emulator:
        stage = Stage(control_plane, emulator, tmp_path)
        await live(stage, f"described-{shared_balancer}".lower(), shared_balancer=shared_balancer)
    validator = SwaggerValidator(folder)
    assert [str(each) for each in validator.check_all(read_log(log))] == []
    wanted = USED - {"LoadBalancers_Delete"} if shared_balancer else USED
    assert wanted <= set(validator.checked)
