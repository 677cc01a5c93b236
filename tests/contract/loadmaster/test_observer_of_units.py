"""One look at a unit over HTTPS: our agent, and an appliance in both versions of the API."""

import asyncio
import base64
import dataclasses

import pytest
from tests.support.managed_units import (
    KINDS,
    OWN_ADDRESS,
    agent_client,
    appliance_client,
    managed_unit,
)
from tests.support.management import served
from tests.support.pem import self_signed
from tests.support.scripted_appliance import Habits, ScriptedAppliance

from loadmaster_ha.agent.ha.model import SwitchoverEnded
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role, UnitState
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.unit_changes import (
    AddRealServer,
    AddService,
    Reboot,
    WriteMode,
    WriteParameters,
)
from loadmaster_ha.domain.units import Certificate, HighAvailabilitySettings, ObservedState, UnitKind
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService
from loadmaster_ha.loadmaster import agent_orders
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.observer import (
    identity,
    look,
    observe,
    service_states,
    state_of,
    watch_agent,
)
from loadmaster_ha.loadmaster.unit_certificates import fingerprint_of
from loadmaster_ha.loadmaster.writer import write

NOTHING = Material()
SERVICE = VirtualService(0, ServiceKey(OWN_ADDRESS, 8080), "lm_web_http@0f5d1c2e")
BOOTED = "Fri, 08 Aug 25 10:07:09 UTC"


@pytest.fixture(params=KINDS)
async def unit(request, tmp_path):
    async with managed_unit(request.param, tmp_path) as managed:
        yield managed


async def test_a_fresh_unit_is_seen_as_it_is(unit):
    facts = await observe(unit.client, Role.SLAVE, services=True, certificates=True)

    assert facts.role is Role.SLAVE
    assert facts.kind is (UnitKind.AGENT if unit.agent else UnitKind.APPLIANCE)
    assert facts.boot == BOOTED
    assert facts.settings == HighAvailabilitySettings(all_interfaces=False)
    assert (facts.mode_in_force, facts.state) == (Mode.SINGLE, ObservedState.ACTIVE)
    assert facts.active_since
    assert (facts.services, facts.certificates) == (Present(()), Present(()))
    assert facts.has_shared_secret
    assert (facts.agent is None, facts.inputs is None) == (unit.agent is None, unit.agent is None)
    assert (
        facts.identity == f"serial:{unit.agent.unit.serial_number if unit.agent else unit.appliance.serial}"
    )


async def test_what_was_not_asked_for_is_absent(unit):
    facts = await observe(unit.client, Role.MASTER, services=False, certificates=False)

    assert (facts.services, facts.certificates) == (Absent(), Absent())


async def test_services_are_seen_with_their_state(unit):
    await write(unit.client, AddService(Role.MASTER, SERVICE), NOTHING)
    await write(unit.client, AddRealServer(Role.MASTER, SERVICE, RealServer(0, "10.0.3.7", 80)), NOTHING)

    facts = await observe(unit.client, Role.MASTER, services=True, certificates=False)
    later = await service_states(unit.client)

    assert isinstance(facts.services, Present)
    (found,) = facts.services.value
    assert dataclasses.replace(found, index=0, real_servers=()) == SERVICE
    assert dict(facts.service_status) == {SERVICE.nickname: "Down"}
    status = "Down" if unit.agent else "Up"
    assert later[SERVICE.nickname].status == status
    assert dict(later[SERVICE.nickname].real_servers) == {"10.0.3.7:80": status}


@pytest.mark.parametrize("kind", ["appliance-v1", "appliance-v2"])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Active", ObservedState.ACTIVE),
        ("Standby", ObservedState.STANDBY),
        ("Passive", ObservedState.UNCONNECTED),
    ],
)
async def test_an_appliance_of_a_pair_is_seen_in_every_state(tmp_path, kind, word, state):
    async with managed_unit(kind, tmp_path) as unit:
        appliance = unit.appliance
        appliance.mode = appliance.mode_in_force = "slave"
        appliance.partner, appliance.check_port, appliance.preferred = "10.0.2.5", 8444, 0
        appliance.is_in(word)

        seen = await look(unit.client)

        assert seen.settings == HighAvailabilitySettings(
            Mode.SLAVE, PreferredHost.NONE, "10.0.2.5", 8444, all_interfaces=False
        )
        assert (seen.mode_in_force, seen.state) == (Mode.SLAVE, state)
        assert bool(seen.active_since) is (word == "Active")
        assert await state_of(unit.client) is state


@pytest.mark.parametrize("kind", ["appliance-v1", "appliance-v2"])
async def test_an_appliance_comes_back_from_its_reboot_in_the_mode_that_was_set(tmp_path, kind):
    async with managed_unit(kind, tmp_path, Habits(boot_seconds=0.3)) as unit:
        before = await look(unit.client)
        await write(unit.client, WriteMode(Role.MASTER, Mode.MASTER, before.boot), NOTHING)
        await write(unit.client, WriteParameters(Role.MASTER, port=8444), NOTHING)
        assert (await look(unit.client)).mode_in_force is Mode.SINGLE

        await write(unit.client, Reboot(Role.MASTER, before.boot, "The mode was set."), NOTHING)
        with pytest.raises(UnitFault) as raised:
            await look(unit.client)
        assert raised.value.reason is FaultReason.BOOTING
        after = await _once_back(unit.client)

        assert after.boot != before.boot
        assert (after.mode_in_force, after.state) == (Mode.MASTER, ObservedState.UNCONNECTED)
        unit.appliance.balancer_polls()
        assert await state_of(unit.client) is ObservedState.ACTIVE


async def _once_back(client):
    async with asyncio.timeout(30):
        while True:
            try:
                return await look(client)
            except UnitFault:
                await asyncio.sleep(0.1)


async def test_an_agent_is_seen_in_its_states(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        for state in UnitState:
            unit.agent.unit.is_in(state, Mode.SLAVE)

            seen = await look(unit.client)

            assert seen.state == ObservedState(state.value)
            assert seen.mode_in_force is Mode.SLAVE, "in force, whatever is set"
            assert seen.settings.mode is Mode.SINGLE
            assert bool(seen.active_since) is (state is UnitState.ACTIVE)


async def test_an_agent_tells_a_change_at_once(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        first = await watch_agent(unit.client, 0)
        waiting = asyncio.create_task(watch_agent(unit.client, first.revision, 30))
        await asyncio.sleep(0.2)
        assert await state_of(unit.client) is ObservedState.ACTIVE, "other calls go on meanwhile"
        assert not waiting.done()

        unit.agent.unit.is_in(UnitState.STANDBY)

        async with asyncio.timeout(20):
            told = await waiting
        assert (told.state, told.revision) == (ObservedState.STANDBY, first.revision + 1)


async def test_an_agent_that_has_nothing_new_says_so_when_the_time_is_over(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        first = await watch_agent(unit.client, 0)

        assert await watch_agent(unit.client, first.revision, 1) == first


# Who it is


async def test_a_fresh_agent_at_the_same_address_is_another_unit(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with managed_unit("agent", tmp_path / "one") as first:
        before = await identity(first.client)
    async with served(tmp_path / "two") as fresh:
        fresh.unit.serial_number = "0123456789abcdef"
        async with agent_client(fresh) as client:
            assert await identity(client) != before


async def test_an_appliance_without_a_serial_number_is_told_by_its_certificate():
    identities = set()
    for _ in range(2):
        habits = Habits(serial_number=False)
        async with ScriptedAppliance(habits=habits, own_certificate=True) as appliance:
            async with appliance_client(appliance) as client:
                found = await identity(client)
            assert found == f"certificate:{appliance.fingerprint}"
            identities.add(found)
    assert len(identities) == 2


# What cannot be read


@pytest.mark.parametrize("kind", ["appliance-v1", "appliance-v2"])
async def test_what_may_not_be_read_is_unknown_and_not_absent(tmp_path, kind):
    async with managed_unit(kind, tmp_path) as unit:
        unit.appliance.forbidden = {"listvs", "listcert"}

        facts = await observe(unit.client, Role.MASTER, services=True, certificates=True)

    for reading in (facts.services, facts.certificates):
        assert isinstance(reading, Unknown)
        assert reading.reason == "Forbidden"


async def test_certificates_that_are_of_no_interest_cost_no_call(tmp_path):
    async with managed_unit("appliance-v2", tmp_path) as unit:
        pem = self_signed("shop.example")
        unit.appliance.certificates = {"lm_ours": pem, "theirs": pem}

        facts = await observe(
            unit.client,
            Role.MASTER,
            services=False,
            certificates=True,
            of_interest=lambda name: name.startswith("lm_"),
        )

        assert facts.certificates == Present(
            (Certificate("lm_ours", fingerprint_of(pem)), Certificate("theirs", None))
        )
        assert [each.command for each in unit.appliance.calls].count("readcert") == 1


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_certificate_is_read_in_other_forms_too(tmp_path, wrapped):
    async with managed_unit("appliance-v2", tmp_path) as unit:
        pem = self_signed("shop.example")
        public = pem.partition("-----BEGIN PRI")[0]
        der = "".join(public.splitlines()[1:-1])
        unit.appliance.certificates = {"shop": base64.b64encode(public.encode()).decode() if wrapped else der}

        facts = await observe(unit.client, Role.MASTER, services=False, certificates=True)

        assert facts.certificates == Present((Certificate("shop", fingerprint_of(pem)),))


# Switch-over and drain


async def test_a_switch_over_of_an_agent_is_done_and_told(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        unit.agent.unit.is_in(UnitState.ACTIVE)

        answer = await agent_orders.switchover(unit.client, Role.SLAVE, 600)

        assert answer == agent_orders.SwitchoverAnswer(done=True, reason="Done", detail="Handed over.")
        assert unit.agent.unit.switchovers == [(Role.SLAVE, 600)]
        await agent_orders.undo_switchover(unit.client)
        assert unit.agent.unit.holds_undone == 1


async def test_a_switch_over_that_is_given_up_is_an_answer_with_the_reason(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        unit.agent.unit.is_in(UnitState.ACTIVE)
        unit.agent.unit.switchover_ends = SwitchoverEnded(
            "1", done=False, reason="NoProber", message="Nobody probes the other unit."
        )

        answer = await agent_orders.switchover(unit.client, Role.SLAVE)

        assert (answer.done, answer.reason) == (False, "NoProber")
        assert answer.detail == "Nobody probes the other unit."


async def test_a_unit_without_a_partner_does_not_switch_over(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        with pytest.raises(UnitFault, match="HA is not configured"):
            await agent_orders.switchover(unit.client, Role.SLAVE)


async def test_an_agent_drains_until_it_is_told_otherwise(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        await agent_orders.drain(unit.client)
        await agent_orders.drain(unit.client, 60)
        await agent_orders.undrain(unit.client)

        assert (unit.agent.unit.drains, unit.agent.unit.undrains) == ([None, 60], 1)


async def test_an_appliance_has_no_word_for_a_switch_over(tmp_path):
    async with managed_unit("appliance-v2", tmp_path) as unit:
        with pytest.raises(UnitFault) as raised:
            await agent_orders.switchover(unit.client, Role.SLAVE)

        assert raised.value.reason is FaultReason.UNKNOWN_COMMAND
