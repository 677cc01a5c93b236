"""What people set otherwise by hand, on a unit and in Azure: found, named, and set right."""

import asyncio
import contextlib

import pytest
from tests.support.first_pairs import (
    ROLES,
    active_of,
    balancer_id,
    eventually,
    ha_settings,
    probe_ports,
    published_ports,
    security_group_id,
    servers_of,
    services,
    until_served,
    writes,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOREIGN_RULE = "corp-lockdown"


async def look_now(first):
    """Have the operator look at Azure and units now; it does so on a schedule of its own anyway."""
    look_now.count += 1
    await first.annotate(look=str(look_now.count))


look_now.count = 0


async def notes_of(first, reason):
    return [event["note"] for event in await first.events(reason)]


@contextlib.asynccontextmanager
async def changed_in_azure(first, resource, change, restore=None):
    """Change a resource as a third party; undo it after the block, if told how."""
    await first.stage.emulator.arm.edit(resource, change)
    try:
        yield
    finally:
        if restore is not None:
            await first.stage.emulator.arm.edit(resource, restore)


async def test_changes_by_hand_on_a_unit_and_in_azure_in_the_same_minute_are_both_repaired(first):
    active = first.units[await active_of(first)]
    removed = first.lab.web[0]

    def without_the_rule(body):
        rules = body["properties"]["loadBalancingRules"]
        body["properties"]["loadBalancingRules"] = [
            rule for rule in rules if rule["properties"]["frontendPort"] != first.port
        ]

    address, _, port = removed.rpartition(":")
    await active.call("delrs", vs=active.address, port=first.port, prot="tcp", rs=address, rsport=int(port))
    await active.call("modvs", vs=active.address, port=first.port, prot="tcp", Schedule="lc")
    await first.stage.emulator.arm.edit(balancer_id(first), without_the_rule)
    await look_now(first)
    await eventually(
        lambda: published_ports(first), lambda found: found == {8444, first.port}, "the rule is back"
    )
    for unit in first.units:
        await eventually(
            lambda unit=unit: servers_of(unit, first.port),
            lambda found: found == sorted(first.lab.web),
            "the real server is back",
        )
    await eventually(
        lambda: active.call("showvs", vs=active.address, port=first.port, prot="tcp"),
        lambda found: found["Schedule"] == "rr",
        "the schedule is as before",
    )
    await first.until_ready()
    await until_served(first)
    for repaired in ("loadBalancers", removed):  # told after the batch in which it was written
        await eventually(
            lambda: notes_of(first, "DriftRepaired"),
            lambda notes, repaired=repaired: any(repaired in note for note in notes),
            f"an Event tells that {repaired} was repaired",
        )


async def test_a_virtual_service_of_somebody_else_is_not_touched(first):
    active = first.units[await active_of(first)]
    theirs = {"vs": active.address, "port": 9000, "prot": "tcp"}
    await active.call("addvs", **theirs, NickName="somebody-elses")
    await look_now(first)
    await asyncio.sleep(5)
    await first.until_ready()
    assert f"{active.address}:9000" in await services(active)
    await active.call("delvs", **theirs)


async def test_both_units_set_to_master_by_hand_are_told_and_set_right(first):
    """The management API refuses it while the units are linked; the file of the agent is the way there is."""
    if await active_of(first) != 0:
        await first.annotate(switchover_to="master")
        await eventually(lambda: active_of(first), lambda found: found == 0, "the master is active")
    standby = first.units[1]
    standby.kill()
    standby.add_to_file({"mode": "Master"})
    await standby.start()
    # Also if the operator has looked while the unit was away: nothing else has been wanted since.
    await eventually(
        lambda: first.events("DriftRepaired"),
        lambda found: any("is Master" in event["note"] for event in found),
        "the mode is set right, and told",
    )
    await first.until_ready(120)
    await active_of(first)
    await first.until_condition("PairHealthy", "True", "ActiveStandby")
    for number, unit in enumerate(first.units):
        assert (await ha_settings(unit))["HaMode"] == ROLES[number].lower()
    await first.until_ready()
    await until_served(first)


async def test_a_check_port_changed_on_one_unit_only_is_set_right(first):
    standby = first.units[1 - await active_of(first)]
    async with first.client().steady(0.02) as log:
        await standby.call("azurehaparam", hcp=8445)
        await look_now(first)
        await eventually(
            lambda: ha_settings(standby), lambda found: found["Port"] == "8444", "the port is set right"
        )
        await first.until_condition("PairHealthy", "True", "ActiveStandby")
    assert log.failures() == [], log.told()
    await eventually(
        lambda: notes_of(first, "DriftRepaired"),
        lambda notes: any("8445" in note for note in notes),
        "an Event tells that the check port was repaired",
    )


async def test_a_probe_set_to_another_port_by_hand_is_set_right(first):
    def another(body):
        body["properties"]["probes"][0]["properties"]["port"] = 8446

    await first.stage.emulator.arm.edit(balancer_id(first), another)
    await look_now(first)
    await eventually(lambda: probe_ports(first), lambda found: found == {8444}, "the probe is set right")
    await first.lab.until_serving(await active_of(first))
    await first.until_ready()
    await until_served(first)


async def test_observing_reports_what_was_changed_by_hand_and_leaves_it(first):
    active = first.units[await active_of(first)]
    await first.patch({"spec": {"policy": {"mode": "Observe"}}})
    await first.until_ready()
    before = [len(writes(unit)) for unit in first.units]
    await active.call("modvs", vs=active.address, port=first.port, prot="tcp", Schedule="lc")

    def another(body):
        body["properties"]["probes"][0]["properties"]["port"] = 8446

    await first.stage.emulator.arm.edit(balancer_id(first), another)
    await look_now(first)
    pair = await first.until(
        lambda pair: any("lc" in line for line in pair["status"].get("pending") or []),
        "the change on the unit is told",
    )
    assert any(first_word(line) == active.role for line in pair["status"]["pending"]), pair["status"]
    # The units are fine; Azure's own view of the real rule, whose probe finds nobody there, says otherwise.
    held_down = f"is active, but Azure holds its address {active.address} down (Down_Probe_"
    await eventually(
        lambda: first.condition("PairHealthy"),
        lambda found: found["reason"] == "BalancerMisconfigured" and held_down in found["message"],
        "PairHealthy tells which address Azure holds down, and by which reason code",
    )
    await eventually(
        lambda: first.condition("AzureSynced"),
        lambda found: "8446" in found["message"],
        "AzureSynced tells of the probe",
    )
    assert await probe_ports(first) == {8446}
    assert sum(len(writes(unit)) for unit in first.units) == sum(before) + 1, "ours alone"
    await first.patch({"spec": {"policy": {"mode": "Enforce"}}})
    await eventually(lambda: probe_ports(first), lambda found: found == {8444}, "the probe is set right")
    await first.until_ready()
    await eventually(
        lambda: active.call("showvs", vs=active.address, port=first.port, prot="tcp"),
        lambda found: found["Schedule"] == "rr",
        "the schedule is as before",
    )


def first_word(line):
    return line.partition(":")[0]


async def test_synchronisation_cut_by_somebody_elses_security_rule_is_told_with_the_rules_name(
    in_namespaces, wire, first
):
    def lock_down(body):
        body["properties"]["securityRules"].append(
            {
                "name": FOREIGN_RULE,
                "properties": {
                    "priority": 110,
                    "direction": "Inbound",
                    "access": "Deny",
                    "protocol": "Tcp",
                    "sourceAddressPrefix": "*",
                    "sourcePortRange": "*",
                    "destinationAddressPrefix": "*",
                    "destinationPortRange": "6973",
                },
            }
        )

    def open_again(body):
        rules = body["properties"]["securityRules"]
        body["properties"]["securityRules"] = [rule for rule in rules if rule["name"] != FOREIGN_RULE]

    heal = wire.cut(6973)  # what the rule does in Azure
    try:
        async with changed_in_azure(first, security_group_id(first), lock_down, open_again):
            await look_now(first)
            await eventually(
                lambda: first.condition("PairHealthy"),
                lambda found: (found["status"], found["reason"]) == ("False", "PartnerUnreachable"),
                "PairHealthy tells that the units do not hear each other",
            )
            await first.until(
                lambda pair: (
                    any(FOREIGN_RULE in found["message"] for found in pair["status"]["conditions"])
                    and pair["status"]["active"] in ROLES
                ),
                "the rule is named, and who is active is known",
            )
            group = await first.stage.emulator.arm.get(security_group_id(first))
            assert FOREIGN_RULE in {rule["name"] for rule in group["properties"]["securityRules"]}
            await until_served(first)
    finally:
        heal()
    await look_now(first)
    await first.until_condition("PairHealthy", "True", "ActiveStandby")
    await first.until_ready()
