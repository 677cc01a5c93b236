"""Heartbeats as JSON: literal bytes, neighbours one release apart, and nonsense."""

import json

import pytest
from tests.support.ha_engine import report

from loadmaster_ha.agent.ha.model import HandoverKind, Outcome
from loadmaster_ha.agent.ha.wire import MalformedReport, decode, encode
from loadmaster_ha.domain.ha import Mode, UnitState

FIRST_RELEASE = """{"boot_id": "b-7", "mode": "Slave", "state": "Standby", "preferred_host": "None",
 "check_port": 8444, "healthy": true, "active_for": 0, "healthy_for": 12.5}"""


def test_a_heartbeat_of_the_first_release_is_understood():
    partner = decode(json.loads(FIRST_RELEASE))
    assert (partner.mode, partner.state, partner.healthy_for) == (Mode.SLAVE, UnitState.STANDBY, 12.5)
    assert (partner.handover, partner.probe_age, partner.outcome) == ("", None, None)


def test_members_of_a_later_release_are_left_out():
    assert decode({**json.loads(FIRST_RELEASE), "colour": "blue"}).boot_id == "b-7"


def test_everything_in_it_is_json():
    partner = report(
        outcome=Outcome("s1", False, "LinkLost", "gone"), handover="s1", handover_kind=HandoverKind.STOP
    )
    assert decode(json.loads(json.dumps(encode(partner)))) == partner


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("boot_id", 7),
        ("mode", "Both"),
        ("state", None),
        ("check_port", 70000),
        ("check_port", True),
        ("healthy", "yes"),
        ("active_for", -1),
        ("active_for", float("nan")),
        ("healthy_for", None),
        ("probe_age", "soon"),
        ("outcome", "done"),
        ("outcome", {"id": "s1"}),
        ("handover_kind", "Magic"),
    ],
)
def test_nonsense_is_refused_by_name(member, value):
    with pytest.raises(MalformedReport, match=r"heartbeat: "):
        decode({**json.loads(FIRST_RELEASE), member: value})


def test_a_missing_member_is_named():
    body = json.loads(FIRST_RELEASE)
    del body["healthy"]
    with pytest.raises(MalformedReport, match="healthy"):
        decode(body)
