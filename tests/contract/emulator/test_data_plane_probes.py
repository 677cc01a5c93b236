"""How the emulated balancer probes: Azure's rules, with real connections."""

import asyncio
import time
from itertools import pairwise

import pytest
from tests.support.loopback_site import eventually

from loadmaster_ha.emulator.settings import LOOPBACK_PROBE_SOURCE, Disputed


async def health(site, rule="check"):
    answer = await site.azure.arm("POST", f"{site.balancer.path}/loadBalancingRules/{rule}/health")
    found = (await site.azure.arm("GET", answer.headers["location"])).body
    return [entry["reason"] for entry in found["loadBalancerBackendAddresses"]]


async def test_a_member_is_up_only_on_200(pair_of):
    site, backends = await pair_of()
    for status in ("503", "404", "301", "500"):
        backends[1].health = status
        await site.until_up(True, False)
        backends[1].health = "200"
        await site.until_up(True, True)


async def test_an_answer_other_than_200_decides_at_once_whatever_the_threshold(start_site):
    site, backends = await start_site()
    site.probe["probeThreshold"] = 50
    await site.build()
    await site.until_up(True, True)
    backends[1].health = "503"
    await site.until_up(True, False)
    log = (await site.probes())[1]["log"]
    assert next(entry["answer"] for entry in log if not entry["up"]) == "503"
    assert next(entry for entry in log if entry["answer"] == "503")["changed"]


async def test_the_threshold_counts_silence(start_site):
    site, backends = await start_site()
    site.probe["probeThreshold"] = 3
    await site.build()
    await site.until_up(True, True)
    backends[1].health = "silent"
    await site.until_up(True, False)
    log = (await site.probes())[1]["log"]
    fall = next(entry for entry in log if entry["changed"] and not entry["up"])
    before = log[: log.index(fall) + 1][-3:]
    assert [entry["answer"] for entry in before] == ["no answer"] * 3
    assert [entry["up"] for entry in before] == [True, True, False]


async def test_a_probe_without_an_answer_is_followed_by_the_next_at_once(start_site):
    site, backends = await start_site(probe_interval=0.4)
    backends[0].health = "silent"
    await site.build()
    found = await eventually(site.probes, lambda seen: len(seen[0]["log"]) >= 4)
    log = found[0]["log"]
    assert all(entry["monotonic"] - entry["sent"] >= 0.39 for entry in log)
    for earlier, later in pairwise(log):
        assert later["sent"] - earlier["monotonic"] < 0.2  # at once, not an interval later


async def test_probes_come_from_the_probes_source_each_on_a_connection_of_its_own(pair_of):
    site, backends = await pair_of()
    await eventually(site.probes, lambda seen: seen[0]["sent"] >= 3)
    assert len(backends[0].probed_from) >= 2
    assert set(backends[0].probed_from) == {LOOPBACK_PROBE_SOURCE}


async def test_a_refused_probe_takes_a_member_down_at_once(start_site):
    site, backends = await start_site()
    site.probe["probeThreshold"] = 50
    await site.build()
    await site.until_up(True, True)
    await backends[1].close_health()
    await site.until_up(True, False)
    assert await health(site) == ["Up_Probe_Success", "Down_Probe_HttpEndpointUnreachable"]


async def test_a_refused_probe_counts_as_silence_when_the_disputed_point_is_read_so(start_site):
    site, backends = await start_site(disputed=Disputed(probe_reset_is_answer=False))
    site.probe["probeThreshold"] = 3
    await site.build()
    await site.until_up(True, True)
    await backends[1].close_health()
    await site.until_up(True, False)
    log = (await site.probes())[1]["log"]
    refused = [entry["up"] for entry in log if entry["answer"] == "connection refused"]
    assert refused[:3] == [True, True, False]


async def test_one_200_brings_a_member_back(start_site):
    site, backends = await start_site()
    site.probe["probeThreshold"] = 5
    await site.build()
    await site.until_up(True, True)
    backends[1].health = "503"
    await site.until_up(True, False)
    backends[1].health = "200"
    await site.until_up(True, True)
    log = (await site.probes())[1]["log"]
    rise = [entry for entry in log if entry["changed"] and entry["up"]][-1]
    assert log[log.index(rise) - 1]["answer"] == "503"


async def test_as_many_200s_as_the_threshold_bring_a_member_back_when_read_so(start_site):
    site, backends = await start_site(disputed=Disputed(probe_one_answer_suffices=False))
    site.probe["probeThreshold"] = 4
    backends[1].health = "503"
    await site.build()
    await site.until_up(True, False)
    backends[1].health = "200"
    await site.until_up(True, True)
    log = (await site.probes())[1]["log"]
    assert [entry["up"] for entry in log if entry["answer"] == "200"][:4] == [False, False, False, True]


async def test_a_member_that_falls_again_and_again_comes_back_later_when_read_so(start_site):
    site, backends = await start_site(disputed=Disputed(probe_fluctuating_wait=True))
    await site.build()
    await site.until_up(True, True)
    for _ in range(2):
        backends[1].health = "503"
        await site.until_up(True, False)
        backends[1].health = "200"
        await site.until_up(True, True)
    log = (await site.probes())[1]["log"]
    falls = [place for place, (before, now) in enumerate(pairwise(log)) if before["up"] > now["up"]]
    assert len(falls) == 2
    back = [entry["up"] for entry in log[falls[1] + 1 :] if entry["answer"] == "200"]
    assert back[: back.index(True)].count(False) >= 2, log


async def test_a_tcp_probe_is_content_with_a_connection(start_site):
    site, backends = await start_site()
    site.probe.update(protocol="Tcp")
    del site.probe["requestPath"]
    for backend in backends:
        backend.health = "503"
    await site.build()
    await site.until_up(True, True)
    await backends[0].close_health()
    await site.until_up(False, True)
    assert await health(site) == ["Down_Probe_TcpProbeTimeout", "Up_Probe_Success"]


async def test_rule_health_says_what_the_probes_found(pair_of):
    site, backends = await pair_of()
    assert await health(site) == ["Up_Probe_Success", "Up_Probe_Success"]
    backends[1].health = "503"
    await site.until_up(True, False)
    assert await health(site) == ["Up_Probe_Success", "Down_Probe_HttpStatusCodeError"]
    backends[1].health = "silent"
    await eventually(lambda: health(site), lambda found: found[1] == "Down_Probe_HttpNoResponse")


async def test_a_stopped_machine_is_not_probed(pair_of):
    site, backends = await pair_of()
    await site.azure.arm("POST", site.azure.compute("virtualMachines", "lm-1") + "/deallocate")
    found = await eventually(site.probes, lambda seen: len(seen) == 1)
    assert found[0]["member"] == site.member_id(0).lower()
    await asyncio.sleep(0.6)  # what was under way
    count = len(backends[1].probed_from)
    await asyncio.sleep(0.6)
    assert len(backends[1].probed_from) == count
    assert await health(site) == ["Up_Probe_Success", ""]


async def test_a_probe_that_no_rule_uses_is_not_run(start_site):
    site, backends = await start_site()
    for rule in site.balancer.properties["loadBalancingRules"]:
        del rule["properties"]["probe"]
    await site.build()
    assert await site.probes() == []
    await asyncio.sleep(0.5)
    assert backends[0].probed_from == []


async def test_azures_interval_is_kept_unless_another_is_asked_for_and_shown(start_site):
    site, _ = await start_site(probe_interval=None)
    await site.build()
    assert {(item["interval"], item["azureInterval"]) for item in await site.probes()} == {(5.0, 5.0)}
    other, _ = await start_site(probe_interval=0.3)
    await other.build()
    assert {(item["interval"], item["azureInterval"]) for item in await other.probes()} == {(0.3, 5.0)}


async def test_the_log_tells_the_instants_of_each_answer_and_change(pair_of):
    began, wall_began = time.monotonic(), time.time()
    site, backends = await pair_of()
    backends[0].health = "503"
    await site.until_up(False, True)
    ended, wall_ended = time.monotonic(), time.time()
    found = (await site.probes())[0]
    fall = [entry for entry in found["log"] if entry["changed"]][-1]
    assert began <= fall["sent"] <= fall["monotonic"] <= ended
    assert wall_began - 1 <= fall["wall"] <= wall_ended + 1
    assert found["since"] == {"monotonic": fall["monotonic"], "wall": fall["wall"]}


async def test_probes_cannot_be_set_while_they_are_real(pair_of):
    site, _ = await pair_of()
    answer = await site.azure.send("PUT", "/_emulator/probes", {site.member_id(0): "503"})
    assert answer.status == 409
    assert "probed" in answer.body["error"]


async def test_a_changed_probe_is_run_as_it_is_now(pair_of):
    site, backends = await pair_of()
    site.probe["port"] = 8445
    await site.write()
    await site.until_up(False, False)
    assert {item["port"] for item in await site.probes()} == {8445}
    assert backends[0].health == "200"


async def test_a_changed_probe_goes_on_from_what_was_known(pair_of):
    site, _ = await pair_of(probe_interval=None)  # Azure's 5 s: nothing is probed within this test
    site.probe["intervalInSeconds"] = 6
    await site.write()
    assert [(item["up"], item["interval"]) for item in await site.probes()] == [(True, 6.0), (True, 6.0)]
    assert await site.served_by() in {"member-0", "member-1"}


async def test_the_log_can_be_asked_from_an_instant_on(pair_of):
    site, _ = await pair_of()
    await eventually(site.probes, lambda found: len(found[0]["log"]) >= 4)
    instant = (await site.probes())[0]["log"][2]["monotonic"]
    answer = await site.azure.send("GET", f"/_emulator/probes?since={instant}")
    logs = [item["log"] for item in answer.body["members"]]
    assert all(entry["monotonic"] >= instant for log in logs for entry in log)
    assert logs[0] or logs[1]
    for wrong in ("soon", "nan", "-1", "1e9"):
        assert (await site.azure.send("GET", f"/_emulator/probes?since={wrong}")).status == 400


async def test_a_probe_source_that_cannot_be_used_is_said(pair_of):
    site, backends = await pair_of(probe_source="192.0.2.1")
    shown = (await site.azure.send("GET", "/_emulator/probes")).body
    assert (shown["source"], shown["sourceUsed"]) == ("192.0.2.1", False)
    assert "192.0.2.1" not in backends[0].probed_from
    other, _ = await pair_of()
    shown = (await other.azure.send("GET", "/_emulator/probes")).body
    assert (shown["source"], shown["sourceUsed"]) == (LOOPBACK_PROBE_SOURCE, True)


@pytest.mark.parametrize("broken", ["reset", "closed"])
async def test_an_end_without_an_answer_is_a_failure(pair_of, broken):
    site, backends = await pair_of()
    backends[0].health = broken
    await site.until_up(False, True)
