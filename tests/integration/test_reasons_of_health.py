"""Every word of the diagnosis that two appliances can be brought to, as a person reads it in `PairHealthy`.

The operator only observes (policy.mode Observe), so each pair stays as it was put up; its health ports and
frontend answer HTTP as the units are. What the words mean stands in docs/reference/diagnosis.md. Real agents
are brought to the others in tests/e2e.
"""

import pytest
import pytest_asyncio
from tests.support.agents_instead import agents_at_work, agents_instead
from tests.support.appliance_words import Refused
from tests.support.emulator import running_emulator
from tests.support.rig import Stage
from tests.support.scripted_appliance import Habits
from tests.support.troubled_pairs import Trouble, at_work, chosen, troubled_pairs

from loadmaster_ha.agent.api.unit import PartnerLinkStatus

pytestmark = pytest.mark.asyncio(loop_scope="module")

OBSERVE = {"policy": {"mode": "Observe"}}
UNHEALTHY = ("PairHealthy", "False")
NEWER = "7.2.59.4.22904.RELEASE"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pairs(control_plane, crd, tmp_path_factory, request):
    """Give the pairs of the chosen cases, on their way."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        stage = Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))
        async with troubled_pairs(stage, "reasons-health", chosen(request, {**WELL, **SICK})) as found:
            yield found


def both_are(state):
    def do(*units):
        at_work(*units)
        for unit in units:
            unit.state = state

    return do


def slave_with(**attributes):
    """At work, and something of the slave is otherwise."""

    def do(master, slave):
        at_work(master, slave)
        for name, value in attributes.items():
            setattr(slave, name, value)

    return do


def slave_says(text, code=422):
    """At work, and the slave answers everything with these words."""

    def do(master, slave):
        at_work(master, slave)

        def before(_):
            raise Refused(text, code)

        slave.before = before

    return do


def case(reason, *says, units=None, **more):
    return Trouble(reason, says, UNHEALTHY, fields=OBSERVE, units=units, health=True, **more)


async def an_agent_as_slave(pair):
    await agents_instead(pair, "slave")


async def agents_out_of_step(pair):
    """A setting of the master's has waited for its partner for longer than two periods of two minutes."""
    master, slave = await agents_at_work(pair)
    slave.unit.link = PartnerLinkStatus(connected=True)
    master.unit.link = PartnerLinkStatus(connected=True, lag=1, lag_seconds=241.0)


WELL = {
    "all is well": Trouble("Synced", ("Both units are as",), ("Ready", "True"), units=at_work, health=True)
}
SICK = {
    "not configured": case("NotConfigured", "in single mode", "see HASynced"),
    "port": case(
        "PortMismatch",
        "8445 on the slave; the balancer probes 8444",
        "spec.healthCheck.port",
        units=slave_with(check_port=8445),
    ),
    "modes": case(
        "ModeConflict",
        "Both units have the mode Master",
        "set one to master",
        units=slave_with(mode="master", mode_in_force="master"),
    ),
    "partner": case(
        "PartnerMismatch",
        "the slave's is 10.9.9.9",
        "each unit's partner",
        units=slave_with(partner="10.9.9.9"),
    ),
    "both active": case("BothActive", "Both units are active", "TCP 6973", units=both_are("Active")),
    "none active": case("NoneActive", "nobody is served", "data plane", units=both_are("Standby")),
    "versions": case(
        "VersionSkew",
        "master 7.2.54.12, slave 7.2.59.4",
        "the standby first",
        units=at_work,
        habits=(Habits(), Habits(firmware=NEWER)),
    ),
    "licensing": case(
        "LicensingFailed", "The slave", "Kemp ID", units=slave_says("Connection to default gateway failed")
    ),
    "unlicensed": case("Unlicensed", "The slave", "not licensed", units=slave_says("Unit is not licensed")),
    "booting": case(
        "Booting", "The slave", "still booting", units=slave_says("The system is still booting", 503)
    ),
    "mixed": case(
        "MixedUnits", "the slave is an Agent", "of the same kind", units=at_work, then=an_agent_as_slave
    ),
    "out of step": case(
        "SyncStale",
        "The master has settings that its partner has not taken for over four minutes",
        "TCP 6973",
        units=at_work,
        then=agents_out_of_step,
    ),
    "service down": Trouble(
        "ServiceUnreachable",
        ("web", "10.0.6.1:80", "See to the real servers"),
        UNHEALTHY,
        fields={
            "services": [
                {
                    "name": "web",
                    "port": 8080,
                    "virtualService": {"realServers": [{"address": "10.0.6.1", "port": 80}]},
                }
            ]
        },
        units=at_work,
        habits=(Habits(fewest_checks=10**9), Habits(fewest_checks=10**9)),
        health=True,
    ),
}


@pytest.mark.parametrize("name", ["all is well"])
async def test_a_sound_pair_says_so_in_every_condition(pairs, name):
    await pairs.told(name)
    wanted = {
        "Ready": ("True", "Synced"),
        "Reconciling": ("False", "Idle"),
        "Stalled": ("False", "ProgressPossible"),
        "Paused": ("False", "NotSuspended"),
        "Deleting": ("False", "NotDeleting"),
        "AzureSynced": ("True", "Synced"),
        "HASynced": ("True", "Synced"),
        "PairHealthy": ("True", "ActiveStandby"),
        "Available": ("True", "FrontendServed"),
        "VersionsMatch": ("True", "SameVersion"),
        "RebootRequired": ("False", "NoRebootOwed"),
    }

    def shown(pair):
        conditions = pair["status"]["conditions"]
        return {each["type"]: (each["status"], each["reason"]) for each in conditions} == wanted

    await pairs.rig.pairs.until(shown, f"the conditions are {wanted}", "all-is-well")


@pytest.mark.parametrize("name", SICK)
async def test_a_sick_pair_is_told_by_word_cause_and_remedy(pairs, name):
    told = await pairs.told(name)
    if name == "mixed":
        stalled = await pairs.rig.pairs.condition("Stalled", "True", "MixedUnits", name)
        assert "two appliances or two node agents" in stalled["message"]
    if name == "none active":
        away = await pairs.rig.pairs.condition("Available", "False", "FrontendNotServed", "none-active")
        assert "see PairHealthy" in away["message"], told
