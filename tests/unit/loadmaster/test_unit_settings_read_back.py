"""What units read back of HA and say of themselves, in the words of both versions of the API, normalised.

Literal answers: the two API collections, Kemp's clients, and (agents) the reference of our own API.
"""

import pytest

from loadmaster_ha.domain.ha import Mode, PreferredHost
from loadmaster_ha.domain.units import AgentInputs, AgentStatus, HighAvailabilitySettings, ObservedState
from loadmaster_ha.loadmaster import agent_status, ha_settings, v1, v2
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.unit_certificates import fingerprint_of

HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<Response stat="200" code="ok"><Success><Data>'
TAIL = "</Data></Success></Response>"
MASTER = HighAvailabilitySettings(Mode.MASTER, PreferredHost.MASTER, "10.0.2.5", 8444, all_interfaces=False)
SINGLE = HighAvailabilitySettings(Mode.SINGLE, None, None, None, all_interfaces=False)


def from_v1(inner, command="getazurehaparams"):
    content = f"{HEAD}{inner}{TAIL}".encode("iso-8859-1")
    return v1.decode_answer(COMMANDS[command].reply, 200, "text/xml", content).fields


def from_v2(inner, command="getazurehaparams"):
    content = b'{"code":200,' + inner.encode() + b',"status":"ok"}'
    return v2.decode_answer(COMMANDS[command].reply, 200, "text/json", content).fields


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        (from_v2('"HaMode":"master","HaPrefered":"1","Partner":"10.0.2.5","Port":"8444",'
                 '"HealthCheckAllInterfaces":"unset"'), MASTER),
        (from_v2('"HaMode":"single","Partner":"unset","Port":"unset",'
                 '"HealthCheckAllInterfaces":"unset"'), SINGLE),
        (from_v2('"HaMode":"single"'), SINGLE),
        (from_v2('"HaMode":"slave","HaPrefered":0,"Partner":"lm-0.Example","Port":8444,'
                 '"HealthCheckAllInterfaces":true'),
         HighAvailabilitySettings(Mode.SLAVE, PreferredHost.NONE, "lm-0.example", 8444, all_interfaces=True)),
        (from_v1("<AzureHA><HaMode>master</HaMode><HaPrefered>1</HaPrefered><Partner>10.0.2.5</Partner>"
                 "<Port>\n8444\n</Port><HealthCheckAllInterfaces>unset</HealthCheckAllInterfaces></AzureHA>"),
         MASTER),
        (from_v1("<AwsHA><HaMode>master</HaMode><HaPrefered>1</HaPrefered><Partner>10.0.2.5</Partner>"
                 "<Port>8444</Port></AwsHA>"), MASTER),
        (from_v1("<AzureHA><HaMode>first</HaMode><HaPrefered>1</HaPrefered><Partner>10.0.2.5</Partner>"
                 "<Port>8444</Port></AzureHA>"), MASTER),
        (from_v1("<AzureHA><HaMode>single</HaMode><HaPrefered></HaPrefered><Partner></Partner><Port></Port>"
                 "</AzureHA>"), SINGLE),
    ],
)  # fmt: skip
def test_settings_are_read_in_all_their_forms(fields, settings):
    assert ha_settings.read(fields) == settings


@pytest.mark.parametrize(
    ("word", "everywhere"),
    [("unset", False), ("", False), (None, False), ("no", False), ("0", False), ("N", False),
     ("yes", True), ("Y", True), ("1", True), (1, True), (True, True), ("eth0,eth1", None)],
)  # fmt: skip
def test_all_interfaces_may_be_unclear(word, everywhere):
    fields = {"HaMode": "master", "HealthCheckAllInterfaces": word}

    assert ha_settings.read(fields).all_interfaces is everywhere


@pytest.mark.parametrize("fields", [{"HaMode": "primary"}, {"HaMode": "master", "Port": "eighty"}])
def test_settings_that_no_unit_can_have_are_malformed(fields):
    with pytest.raises(UnitFault) as raised:
        ha_settings.read(fields)

    assert raised.value.reason is FaultReason.MALFORMED


@pytest.mark.parametrize(
    ("word", "state", "in_force"),
    [
        ("Active", ObservedState.ACTIVE, Mode.MASTER),
        ("Standby", ObservedState.STANDBY, Mode.MASTER),
        ("Passive", ObservedState.UNCONNECTED, Mode.MASTER),
        ("HA not configured", ObservedState.ACTIVE, Mode.SINGLE),
        (None, ObservedState.ACTIVE, Mode.SINGLE),
        ("Thinking", ObservedState.UNKNOWN, Mode.MASTER),
    ],
)
def test_the_words_of_hastatus(word, state, in_force):
    assert ha_settings.state(word) is state
    assert ha_settings.mode_in_force(word, MASTER) is in_force


def test_nobody_tells_the_role_of_a_unit_that_is_single_after_its_next_reboot():
    assert ha_settings.mode_in_force("Standby", SINGLE) is None


@pytest.mark.parametrize(
    ("commands", "chosen"),
    [
        ({"azurehamode", "azurehaparam", "getazurehaparams", "setcloudhamode", "setcloudhaparam",
          "getcloudhaparams"}, "getazurehaparams"),
        ({"setcloudhamode", "setcloudhaparam", "getcloudhaparams"}, "getcloudhaparams"),
        ({"setcloudhamode", "setcloudhaparam", "getcloudhaparameters"}, "getcloudhaparameters"),
    ],
)  # fmt: skip
def test_the_family_of_commands_is_the_one_that_is_there(commands, chosen):
    assert ha_settings.family(frozenset(commands)).read == chosen


def test_a_unit_without_any_family_is_named():
    with pytest.raises(UnitFault) as raised:
        ha_settings.family(frozenset({"awshamode", "awshaparam", "getawshaparams"}))

    assert raised.value.reason is FaultReason.UNKNOWN_COMMAND


STATUS_V1 = (
    "<revision>7</revision><settingsrevision>5</settingsrevision><mode>Slave</mode><state>Standby</state><reason>PartnerActive</reason>"
    "<detail>The master is active.</detail><activeseconds>0</activeseconds><draining>no</draining>"
    "<held>yes</held><partnerconnected>yes</partnerconnected><partner>10.0.2.4</partner>"
    "<partnermode>Master</partnermode><partnerstate>Active</partnerstate><linkbytesin>10</linkbytesin>"
    "<linkbytesout>20</linkbytesout><linkrefusals><refusal>Unauthorised 3</refusal></linkrefusals>"
    "<synclag>2</synclag><synclagseconds>130</synclagseconds>"
    "<synclastsuccess>Fri, 08 Aug 25 10:07:09 UTC</synclastsuccess>"
    "<version>7.2.54.12.1.AGENT</version><boottime>Fri, 08 Aug 25 09:00:00 UTC</boottime>"
    "<notices><notice>ModeConflict: both are slave</notice></notices><newer>something</newer>"
)
STATUS = AgentStatus(
    revision=7,
    settings_revision=5,
    mode=Mode.SLAVE,
    state=ObservedState.STANDBY,
    reason="PartnerActive",
    detail="The master is active.",
    active_seconds=0,
    held=True,
    partner_connected=True,
    partner="10.0.2.4",
    partner_mode="Master",
    partner_state="Active",
    link_refusals=("Unauthorised 3",),
    link_bytes_in=10,
    link_bytes_out=20,
    sync_lag=130,
    sync_last_success="Fri, 08 Aug 25 10:07:09 UTC",
    boot_time="Fri, 08 Aug 25 09:00:00 UTC",
    notices=("ModeConflict: both are slave",),
)


def test_the_status_of_an_agent_is_read():
    assert agent_status.status(from_v1(STATUS_V1, "agentstatus")) == STATUS


def test_a_status_says_little_when_there_is_little_to_say():
    fields = from_v2('"revision":1,"mode":"Single","state":"Active"', "agentwatch")

    assert agent_status.status(fields) == AgentStatus(1, Mode.SINGLE, ObservedState.ACTIVE)


def test_a_state_of_a_newer_agent_is_unknown():
    fields = from_v2('"revision":1,"mode":"Slave","state":"Resting"', "agentwatch")

    assert agent_status.status(fields).state is ObservedState.UNKNOWN


@pytest.mark.parametrize("inner", ['"mode":"Slave"', '"revision":3', '"revision":"x","mode":"Slave"'])
def test_a_status_without_revision_or_mode_is_malformed(inner):
    with pytest.raises(UnitFault) as raised:
        agent_status.status(from_v2(inner, "agentstatus"))

    assert raised.value.reason is FaultReason.MALFORMED


def test_what_an_agent_was_told_is_read():
    inner = '"frontend":"10.0.2.100","probesource":"168.63.129.16","probeinterval":5,"probethreshold":2'
    told = from_v2(inner, "agentgetparams")

    assert agent_status.inputs(told) == AgentInputs("10.0.2.100", "168.63.129.16", 5, 2)
    assert agent_status.inputs({}) == AgentInputs()


def test_what_is_no_certificate_has_no_fingerprint():
    assert fingerprint_of("nothing of the kind") is None
    assert fingerprint_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") is None
