"""Every trouble with the units of a pair, as a person is told of it: real operator, API server and HTTPS.

Each case is a pair with one thing wrong; all share one operator. `says` are the words without which nobody
could act on the message: the field, the unit, the address, what to do. What the reasons mean stands in
docs/units.md; that none is forgotten is held by tests/unit/controller/test_every_reason_is_provoked.py.
"""

import pytest
import pytest_asyncio
from tests.support.agents_instead import agents_at_work
from tests.support.appliance_words import NEW_SERVICE, Refused
from tests.support.arm_proxy import Moment
from tests.support.emulator import running_emulator
from tests.support.live_pairs import condition
from tests.support.rig import Stage
from tests.support.scripted_appliance import Habits
from tests.support.troubled_pairs import Trouble, at_work, chosen, troubled_pairs
from tests.support.world import LEAVE_OUT

from loadmaster_ha.agent.ha.model import SwitchoverEnded

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD = "7.2.48.3.16812.RELEASE"
NEWER = "7.2.59.4.22904.RELEASE"
HTML = "text/html"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pairs(control_plane, crd, tmp_path_factory, request):
    """Give the pairs of the chosen cases, on their way."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        stage = Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))
        async with troubled_pairs(
            stage, "reasons-units", chosen(request, CASES | AT_LAST | PUT_BACK | SWITCHING)
        ) as found:
            yield found


def says(text, code=422):
    """Both units refuse everything with these words."""

    def do(*units):
        for unit in units:
            unit.before = refuse(text, code)

    return do


def refuse(text, code=422, only=None):
    def before(call):
        if only is None or call.command.lower() == only:
            raise Refused(text, code)

    return before


def answers(status, content_type, body):
    """Something else has the address of both units."""

    def do(*units):
        for unit in units:
            unit.instead = (status, content_type, body)

    return do


def with_service(unit, port=8443, nickname="shop"):
    """A virtual service that somebody made by hand."""
    unit.services.rows.append(
        {**NEW_SERVICE, "Index": 1, "VSAddress": unit.own_address, "VSPort": str(port), "NickName": nickname}
    )
    unit.services.servers[1] = []


def exchanged(master, slave):
    """The two run in each other's role, and serve."""
    at_work(slave, master)


def one_unit(master, slave):
    """The slave's address leads to the master."""
    slave.serial, slave.booted = master.serial, master.booted


def unread_services(*units):
    for unit in units:
        with_service(unit)
        unit.before = refuse("Out of memory", 500, only="listvs")


def habits(**both):
    return Habits(**both), Habits(**both)


async def rotate_while_the_slave_is_away(pair):
    await pair.condition("HASynced", "True")
    pair.units[1].before = refuse("Out of memory", 500)
    await pair.rig.pairs.put_secret("another-partner", secret="another-secret-of-the-two")
    await pair.apply(highAvailability__sharedSecretRef={"name": "another-partner"})


async def rotate_while_the_slave_refuses(pair):
    """The master takes the new secret, the slave cannot store it."""
    await pair.condition("HASynced", "True")
    pair.units[1].before = refuse("Disk full", 500, only="setlmcommsecret")
    await pair.rig.pairs.put_secret("third-partner", secret="a-third-secret-of-the-two")
    await pair.apply(highAvailability__sharedSecretRef={"name": "third-partner"})


async def move_the_port_while_the_slave_refuses(pair):
    """Azure and the master have the new port, the slave cannot store it."""
    await pair.condition("HASynced", "True")
    pair.units[1].before = refuse("Disk full", 500, only="azurehaparam")
    await pair.apply(healthCheck__port=8445)


async def delete_while_the_slave_is_away(pair):
    await pair.condition("HASynced", "True")
    pair.units[1].before = refuse("Out of memory", 500)
    await pair.rig.pairs.delete(pair.name)


async def delete(pair):
    """Once Azure and units are as wanted."""
    await pair.condition("HASynced", "True")
    await pair.condition("AzureSynced", "True")
    await pair.rig.pairs.delete(pair.name)


async def exchange_the_modes_and_delete(pair):
    """Somebody makes each of the two what the other one was; the master is active no more."""
    await pair.condition("HASynced", "True")
    await pair.condition("AzureSynced", "True")
    exchanged(*pair.units)
    await pair.rig.pairs.annotate(pair.name, look="now")
    await pair.condition("Stalled", "True", "RolesExchanged")
    await pair.rig.pairs.delete(pair.name)


async def put_an_opening_back_while_the_slave_is_away(pair):
    """Somebody's template restores what the deletion has removed; Azure takes its time to remove it again."""
    await pair.condition("HASynced", "True")
    await pair.condition("AzureSynced", "True")
    group = await pair.world.arm.get(pair.world.security_group)
    pair.units[1].before = refuse("Out of memory", 500)
    await pair.rig.pairs.delete(pair.name)
    await pair.rig.pairs.until(
        lambda found: "Azure is clean" in condition(found, "Deleting").get("message", ""),
        "nothing is left in Azure",
        pair.name,
    )
    pair.stack.callback(pair.held.set)

    async def hold(_):
        await pair.held.wait()

    def of_the_group(exchange):
        return pair.world.security_group.lower() in exchange.path.lower()

    pair.rig.proxy.at(Moment.BEFORE, of_the_group, hold)
    (opening,) = (each for each in group["properties"]["securityRules"] if "_service_" in each["name"])
    opening = {key: opening[key] for key in ("name", "properties")}
    await pair.world.arm.edit(
        pair.world.security_group, lambda body: body["properties"]["securityRules"].append(opening)
    )
    await pair.rig.pairs.annotate(pair.name, look="again")


async def ask_agents_to_switch_over(pair):
    """The master begins, and does not come to an end by itself."""
    master, _ = pair.agents = await agents_at_work(pair)
    master.unit.switchover_may_end.clear()
    await pair.condition("HASynced", "True")
    await pair.rig.pairs.annotate(pair.name, switchover_to="slave")


async def move_the_port_while_the_slave_is_away(pair):
    await pair.condition("HASynced", "True")
    pair.units[1].before = refuse("Out of memory", 500)
    await pair.rig.pairs.annotate(pair.name, look="now")
    await pair.condition("HASynced", "Unknown", "Unavailable")
    await pair.apply(healthCheck__port=8445)


def loses_answers(master, slave):
    """Whatever the master is told about its partner it neither keeps nor answers."""
    at_work(master, slave)
    master.partner = "10.9.9.9"
    master.forgets.add("partner")
    master.before = lambda _: master.loses_answer_of.add("azurehaparam")


def management_at(address, port):
    return {"address": address, "port": port, "credentialsSecretRef": {"name": "login"}, "tls": {}}


CASES = {
    # the two as a pair
    "one unit": Trouble(
        "SameUnit",
        ("Both are the unit serial:", "running since", "Correct management.address"),
        units=one_unit,
    ),
    "exchanged": Trouble(
        "RolesExchanged",
        ("named as slave is active and runs as master", "Exchange spec.master and spec.slave"),
        units=exchanged,
    ),
    "slave serves": Trouble(
        "ServingUnitNotMaster",
        ("named as slave is in single mode", "tcp/8080", "Exchange spec.master and spec.slave"),
        units=lambda _, slave: with_service(slave, 8080),
    ),
    "both serve": Trouble(
        "BothUnitsServing",
        ("the master has virtual services on tcp/8080", "the slave has", "Remove the virtual services"),
        units=lambda *units: [with_service(unit, 8080) for unit in units],
    ),
    "services unread": Trouble(
        "ServicesNotRead", ("single mode", "Out of memory"), ("HASynced", "False"), units=unread_services
    ),
    "other versions": Trouble(
        "VersionSkew",
        ("7.2.54.12", "7.2.59.4", "standby unit first"),
        ("HASynced", "True"),
        reported=True,
        units=at_work,
        habits=(Habits(), Habits(firmware=NEWER)),
    ),
    "weak firmware": Trouble(
        "AffectedFirmware",
        ("7.2.48.3", "CVE-", "Update the firmware"),
        ("HASynced", "True"),
        reported=True,
        units=at_work,
        habits=habits(firmware=OLD, shared_secret=False),
    ),
    # the shared secret
    "no secret": Trouble(
        "SharedSecretRequired",
        ("7.2.54.12", "8 to 127 letters", "spec.highAvailability.sharedSecretRef"),
        fields={"highAvailability": {}},
    ),
    "secret not known": Trouble(
        "SharedSecretNotSupported",
        ("7.2.48.3", "leave spec.highAvailability.sharedSecretRef out"),
        ("HASynced", "True"),
        reported=True,
        units=at_work,
        habits=habits(firmware=OLD, shared_secret=False),
    ),
    "secret waits": Trouble(
        "SharedSecretWaits",
        ("master still has the former", "when the slave answers", "See to the unit"),
        ("HASynced", "Unknown"),
        units=at_work,
        then=rotate_while_the_slave_is_away,
    ),
    "secret on its way": Trouble(
        "SharedSecretRotation",
        ("The slave still has the former", "do not synchronise until both have the new one", "Disk full"),
        ("HASynced", "False"),
        reported=True,
        units=at_work,
        then=rotate_while_the_slave_refuses,
    ),
    # check port and reboots
    "check port on its way": Trouble(
        "CheckPortChanges",
        ("The slave answers on port 8444, not on 8445", "new connections may fail", "Disk full"),
        ("HASynced", "False"),
        reported=True,
        units=at_work,
        then=move_the_port_while_the_slave_refuses,
    ),
    "check port waits": Trouble(
        "CheckPortWaits",
        ("not on 8445", "waits until the slave answers"),
        ("HASynced", "Unknown"),
        reported=True,
        units=at_work,
        then=move_the_port_while_the_slave_is_away,
    ),
    "rebooting": Trouble(
        "UnitRebooting",
        ("was told to reboot", "waiting at most 900 s"),
        ("HASynced", "False"),
        habits=habits(boot_seconds=300),
    ),
    "reboot waits": Trouble(
        "RebootWaits",
        ("The master has to be rebooted", "policy.reboots is WhenIdle"),
        ("HASynced", "False"),
        fields={"policy": {"reboots": "WhenIdle"}},
        units=lambda master, _: with_service(master, 8080),
    ),
    "reboot by hand": Trouble(
        "RebootOwed",
        ("Master: ", "Slave: ", "policy.reboots is Manual"),
        ("RebootRequired", "True"),
        fields={"policy": {"reboots": "Manual"}},
    ),
    "versions by row": Trouble(
        "DifferentVersions",
        ("Master 7.2.54.12", "Slave 7.2.59.4", "standby first"),
        ("VersionsMatch", "False"),
        units=at_work,
        habits=(Habits(), Habits(firmware=NEWER)),
    ),
    "deletion": Trouble(
        "CleaningUp",
        ("is being deleted",),
        ("Ready", "False"),
        fields={"policy": {"deletion": "Delete"}},
        units=at_work,
        then=delete_while_the_slave_is_away,
    ),
    "no interface": Trouble(
        "UnitAddressUnknown",
        ("address of the slave is not known", "give spec.<unit>.address"),
        ("HASynced", "Unknown"),
        world={"lm-1-nic": LEAVE_OUT, "lm-1": LEAVE_OUT},
    ),
    # between the operator and a unit
    "no way": Trouble(
        "Unreachable",
        ("255.255.255.255:8443 cannot be reached", "Check management.address"),
        ("HASynced", "Unknown"),
        fields={"master__management": management_at("255.255.255.255", 8443)},
        units=at_work,
    ),
    "nothing listens": Trouble(
        "Refused",
        ("127.0.0.1:9 refuses connections", "Check management.port"),
        ("HASynced", "Unknown"),
        fields={"master__management": management_at("127.0.0.1", 9)},
        units=at_work,
    ),
    "no answer": Trouble(
        "AnswerLost",
        ("without an answer", "partner"),
        ("HASynced", "False"),
        units=loses_answers,
    ),
    "not seen": Trouble(
        "NotObserved",
        ("Not both units have told their version",),
        ("VersionsMatch", "Unknown"),
        units=lambda *units: [setattr(unit, "hangs", True) for unit in units],
    ),
    "api disabled": Trouble(
        "ApiDisabled",
        ("does not have the API", "Enable the API Interface", "licensing can switch it off"),
        units=answers(404, HTML, b"<html><body>404 Not Found</body></html>"),
    ),
    "booting": Trouble(
        "Booting",
        ("The system is still booting", "boot diagnostics"),
        ("HASynced", "Unknown"),
        units=says("The system is still booting", 503),
    ),
    "unlicensed": Trouble(
        "Unlicensed", ("not licensed", "License the unit"), units=says("This LoadMaster is not licensed")
    ),
    "eula": Trouble(
        "EulaNotAccepted",
        ("EULA", "Accept it in the unit's web user interface"),
        units=says("The EULA has not been accepted"),
    ),
    "licensing": Trouble(
        "LicensingFailed",
        ("Connection to default gateway failed", "Check Kemp ID and password"),
        units=says("Connection to default gateway failed"),
    ),
    "hangs": Trouble(
        "TimedOut",
        ("The master could not be asked", "network security group"),
        ("HASynced", "Unknown"),
        units=lambda *units: [setattr(unit, "hangs", True) for unit in units],
    ),
    "malformed": Trouble(
        "Malformed",
        ("another machine may have the address",),
        ("HASynced", "Unknown"),
        units=answers(200, "application/json", b"[1, 2"),
    ),
    "too large": Trouble(
        "TooLarge",
        ("another machine may have the address",),
        ("HASynced", "Unknown"),
        units=answers(200, "application/json", b" " * 40_000_000),
    ),
    "command refused": Trouble(
        "InvalidRequest",
        ("hamode: master invalid", "change the field"),
        ("HASynced", "False"),
        units=lambda *units: [
            setattr(unit, "before", refuse("hamode: master invalid", only="azurehamode")) for unit in units
        ],
    ),
    "command unknown": Trouble(
        "UnknownCommand",
        ("reboot", "Update the unit's firmware"),
        ("HASynced", "False"),
        units=lambda *units: [
            setattr(unit, "before", refuse("Unknown command", 405, only="reboot")) for unit in units
        ],
    ),
}

AT_LAST = {
    "reboots by hand": Trouble(
        "RebootLeftToPerson",
        ("The master is set to single mode and was not rebooted", "policy.reboots is Manual", "The slave is"),
        fields={"policy": {"reboots": "Manual", "deletion": "Delete"}},
        units=at_work,
        then=delete,
    ),
    "refused as a pair": Trouble(
        "UnitsLeftAsTheyAre",
        ("Nothing of this pair is left in Azure.", "HA settings of the units are not touched"),
        fields={"policy": {"deletion": "Delete"}},
        units=at_work,
        then=exchange_the_modes_and_delete,
    ),
}
"""What the last Event of a deleted pair tells; its conditions go with it."""
PUT_BACK = {
    "put back": Trouble(
        "StillPublished",
        ("Azure still has rules or openings of this pair", "AzureSynced"),
        ("HASynced", "Unknown"),
        fields={"policy": {"deletion": "Delete"}, "services": [{"name": "https", "port": 443}]},
        units=at_work,
        then=put_an_opening_back_while_the_slave_is_away,
    ),
}
SWITCHING = {
    "switching over": Trouble(
        "SwitchingOver",
        ("A planned switch-over to the slave is under way",),
        ("Reconciling", "True"),
        then=ask_agents_to_switch_over,
    ),
}
SINGLE, EXCHANGED = ["single", "single"], ["slave", "master"]


@pytest.mark.parametrize("name", CASES)
async def test_a_trouble_of_the_units_is_told_by_name_place_and_remedy(pairs, name):
    await pairs.told(name)


@pytest.mark.parametrize(("name", "modes"), [("reboots by hand", SINGLE), ("refused as a pair", EXCHANGED)])
async def test_what_a_deletion_leaves_on_the_units_is_told_by_its_last_event(pairs, name, modes):
    await pairs.told_at_last(name)
    units = (await pairs.pair(name)).units
    assert [unit.mode for unit in units] == modes
    assert [unit.boots for unit in units] == [0, 0]


@pytest.mark.parametrize("name", PUT_BACK)
async def test_units_wait_with_the_deletion_while_azure_leads_to_them_again(pairs, name):
    await pairs.told(name)
    pair = await pairs.pair(name)
    assert pair.units[1].mode == "slave"
    pair.held.set()
    pair.units[1].before = None
    await pair.rig.pairs.annotate(pair.name, look="at last")
    await pair.rig.pairs.gone(pair.name)
    group = await pair.world.arm.get(pair.world.security_group)
    assert not [each["name"] for each in group["properties"]["securityRules"] if "lm_" in each["name"]]
    assert [unit.mode for unit in pair.units] == ["single", "single"]


@pytest.mark.parametrize("name", SWITCHING)
async def test_a_switch_over_is_told_while_it_lasts_and_then_why_it_was_aborted(pairs, name):
    await pairs.told(name)
    pair = await pairs.pair(name)
    live, master = pair.rig.pairs, pair.agents[0].unit
    assert "lastSwitchover" not in (await live.get(pair.name))["status"], "it is not over"

    master.switchover_ends = SwitchoverEnded("1", False, "NoProber", "Nobody probes the slave.")
    master.switchover_may_end.set()
    (note,) = await live.told("SwitchoverAborted", name=pair.name)
    assert "Nobody probes the slave" in note

    def is_over(found):
        asked = "loadmaster.dev/switchover-to" in (found["metadata"].get("annotations") or {})
        return not asked and condition(found, "Reconciling").get("reason") != "SwitchingOver"

    found = await live.until(is_over, "the request is answered", pair.name)
    outcome = found["status"]["lastSwitchover"]
    assert (outcome["requested"], outcome["outcome"]) == ("slave", "Aborted")
    assert outcome["reason"] == "Nobody probes the slave"
    assert [to for to, _ in master.switchovers] == ["Slave"], "it was ordered once"
