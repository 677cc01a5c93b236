"""Rule health: reasons by what members answer, admin state, power, and Azure's oddities."""

import pytest
from tests.support.emulator import seed_guide_network
from tests.support.emulator_bodies import Balancer


@pytest.fixture
async def pair(azure):
    await seed_guide_network(azure)
    balancer = Balancer(azure)
    await azure.made(balancer.path, balancer.body)
    for index in (0, 1):
        nic = azure.network("networkInterfaces", f"lm-{index}-nic")
        await azure.made(nic, await balancer.joined(azure, index))
    return balancer


def member(azure, index):
    return f"{azure.network('networkInterfaces', f'lm-{index}-nic')}/ipConfigurations/primary"


async def health(azure, balancer):
    answer = await azure.arm("POST", f"{balancer.path}/loadBalancingRules/check/health")
    assert (answer.status, answer.body) == (202, None)
    assert "azure-asyncoperation" not in answer.headers
    result = await azure.arm("GET", answer.headers["location"])
    assert result.status == 200
    return result.body


async def test_a_healthy_pair_is_one_up_and_one_down(azure, pair):
    await azure.set_probes({member(azure, 0): "200", member(azure, 1): "503"})
    assert await health(azure, pair) == {
        "up": 1,
        "down": 1,
        "loadBalancerBackendAddresses": [
            {
                "ipAddress": "10.0.1.4",
                "networkInterfaceIPConfigurationId": member(azure, 0),
                "state": "Up",
                "reason": "Up_Probe_Success",
            },
            {
                "ipAddress": "10.0.1.5",
                "networkInterfaceIPConfigurationId": member(azure, 1),
                "state": "Down",
                "reason": "Down_Probe_HttpStatusCodeError",
            },
        ],
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("200", "Up_Probe_Success"),
        ("404", "Down_Probe_HttpStatusCodeError"),
        ("timeout", "Down_Probe_HttpNoResponse"),
        ("refused", "Down_Probe_HttpEndpointUnreachable"),
        ("approachingHealthy", "Down_Probe_ApproachingHealthyThreshold"),
        ("approachingUnhealthy", "Up_Probe_ApproachingUnhealthyThreshold"),
    ],
)
async def test_reasons(azure, pair, answer, reason):
    await azure.set_probes({member(azure, 0): answer})
    found = await health(azure, pair)
    assert found["loadBalancerBackendAddresses"][0]["reason"] == reason


async def test_admin_state_overrides_the_probe(azure, pair):
    await azure.set_probes({member(azure, 0): "200", member(azure, 1): "503"})
    pool = f"{pair.path}/backendAddressPools/pool"
    shown = (await azure.arm("GET", pool)).body["properties"]["loadBalancerBackendAddresses"]
    sent = [
        {"name": item["name"], "properties": {"adminState": state}}
        for item, state in zip(shown, ("Down", "Up"), strict=True)
    ]
    await azure.made(pool, {"properties": {"loadBalancerBackendAddresses": sent}})
    reasons = [item["reason"] for item in (await health(azure, pair))["loadBalancerBackendAddresses"]]
    assert reasons == ["Down_Admin", "Up_Admin"]


async def test_all_down_counts_as_up_when_the_probe_says_so(azure, pair):
    await azure.set_probes({member(azure, 0): "503", member(azure, 1): "timeout"})
    assert (await health(azure, pair))["up"] == 0
    pair.properties["probes"][0]["properties"]["noHealthyBackendsBehavior"] = "AllProbedUp"
    await azure.made(pair.path, pair.body)
    found = await health(azure, pair)
    assert {item["reason"] for item in found["loadBalancerBackendAddresses"]} == {"Up_Probe_AllDownIsUp"}


async def test_a_machine_that_is_off_yields_empty_values(azure, pair):
    await azure.set_probes({member(azure, 0): "200", member(azure, 1): "503"})
    await azure.arm("POST", azure.compute("virtualMachines", "lm-1") + "/deallocate")
    found = await health(azure, pair)
    assert (found["up"], found["down"]) == (1, 0)
    empty = {"ipAddress": "", "networkInterfaceIPConfigurationId": "", "state": "", "reason": ""}
    assert found["loadBalancerBackendAddresses"][1] == empty


async def test_a_rule_without_probe_has_no_health_and_old_versions_no_such_request(azure, pair):
    del pair.properties["loadBalancingRules"][0]["properties"]["probe"]
    await azure.made(pair.path, pair.body)
    path = f"{pair.path}/loadBalancingRules/check/health"
    assert (await azure.arm("POST", path)).status == 400
    assert (await azure.arm("POST", path, version="2023-11-01")).status == 404
    assert (await azure.arm("POST", path.replace("check", "nobody"))).status == 404


async def test_an_unknown_probe_answer_is_refused(azure, pair):
    answer = await azure.send("PUT", "/_emulator/probes", {member(azure, 0): "perhaps"})
    assert answer.status == 400
    assert "perhaps" in answer.body["error"]
