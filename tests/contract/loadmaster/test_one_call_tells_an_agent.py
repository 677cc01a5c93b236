"""`agentstatus` of the real agent tells what several commands do; older agents are asked for the rest."""

from collections import Counter
from dataclasses import replace

import pytest
import pytest_asyncio
from tests.support.managed_units import agent_client
from tests.support.management import served

from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.unit_changes import WriteAgentInputs, WriteMode, WriteParameters
from loadmaster_ha.loadmaster import agent_status, ha_settings, writer
from loadmaster_ha.loadmaster.catalogue.agent import HA_FIELDS
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.observer import observe
from loadmaster_ha.loadmaster.write_errors import NotKeptError

CHANGES = (
    WriteMode(Role.MASTER, Mode.MASTER, "boot"),
    WriteParameters(Role.MASTER, "10.0.2.5", 8444, PreferredHost.MASTER, all_interfaces=True),
    WriteAgentInputs(Role.MASTER, frontend="10.0.2.100", probe_interval=7),
)
MORE = frozenset({*HA_FIELDS, "serialnumber", "activetime", "probeinterval"})
"""Of `agentstatus`; agents of before did not have it there."""


class Counting:
    """A client that counts what is asked; with `old` an agent that tells less."""

    def __init__(self, client, *, old=False):
        self.client, self.old, self.asked = client, old, Counter()

    @property
    def certificate(self):
        return self.client.certificate

    async def offer(self):
        return await self.client.offer()

    async def call(self, command, parameters=None, **more):
        self.asked[command] += 1
        answer = await self.client.call(command, parameters or {}, **more)
        if self.old and command == "agentstatus":
            left = {name: value for name, value in answer.fields.items() if name not in MORE}
            return replace(answer, fields=left)
        return answer


@pytest_asyncio.fixture
async def client(tmp_path):
    async with served(tmp_path) as unit, agent_client(unit) as found:
        yield found


async def test_it_says_the_same_as_the_commands_of_their_own(client):
    for change in CHANGES:
        await writer.write(client, change, Material())
    status = (await client.call("agentstatus")).fields

    assert agent_status.settings(status) == ha_settings.read((await client.call("getazurehaparams")).fields)
    told = (await client.call("agentgetparams")).fields
    assert agent_status.inputs_in_status(status) == agent_status.inputs(told)
    assert (
        status["serialnumber"] == (await client.call("get", {"param": "serialnumber"})).fields["serialnumber"]
    )
    assert status["activetime"].endswith(" UTC")


async def test_a_whole_look_is_three_calls(client):
    counting = Counting(client)
    await observe(counting, Role.MASTER, services=True, certificates=True)
    assert counting.asked == {"agentstatus": 1, "listvs": 1, "listcert": 1}


async def test_an_older_agent_is_asked_for_the_rest_and_seen_alike(client):
    for change in CHANGES:
        await writer.write(client, change, Material())
    old = Counting(client, old=True)
    seen = await observe(old, Role.MASTER, services=True, certificates=True)

    now = await observe(client, Role.MASTER, services=True, certificates=True)
    assert seen.inputs is not None
    assert seen.active_since
    assert now.active_since
    assert replace(seen, active_since="") == replace(now, active_since="")
    assert {"getazurehaparams", "agentgetparams", "get"} <= set(old.asked)


@pytest.mark.parametrize("old", [False, True])
async def test_all_settings_are_read_back_together(client, old):
    counting = Counting(client, old=old)
    for change in CHANGES:
        await writer.carry_out(counting, change, Material())
    assert counting.asked == {"azurehamode": 1, "azurehaparam": 1, "agentsetparams": 1}
    await writer.read_back(counting, CHANGES)
    assert counting.asked["agentstatus"] == 1
    assert (counting.asked["getazurehaparams"], counting.asked["agentgetparams"]) == (old, old)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "undo",
    [
        ("azurehamode", {"hamode": "second"}),
        ("azurehaparam", {"hcp": 8445}),
        ("agentsetparams", {"probeinterval": 9}),
    ],
)
async def test_what_was_not_kept_is_noticed(client, undo, old):
    for change in CHANGES:
        await writer.carry_out(client, change, Material())
    await client.call(*undo)
    with pytest.raises(NotKeptError):
        await writer.read_back(Counting(client, old=old), CHANGES)
