"""What stays on each unit: the list of the guide, section 1, line by line, and what is the agent's own."""

import json

import pytest

from loadmaster_ha.agent.settings.model import LOCAL, LOCAL_PARAMETERS, Kind, Put, is_local

GUIDE = {
    "Default gateway (both IPv4 and IPv6)": [
        (Kind.LOCAL_PARAMETER, "dfltgw"),
        (Kind.LOCAL_PARAMETER, "dfltgwv6"),
    ],
    "IP addresses and netmasks": [(Kind.INTERFACE, "eth0")],
    "Hostname": [(Kind.LOCAL_PARAMETER, "hostname")],
    "Name server": [(Kind.LOCAL_PARAMETER, "nameserver")],
    "Domain": [(Kind.LOCAL_PARAMETER, "domain"), (Kind.LOCAL_PARAMETER, "searchlist")],
    "Admin default gateway": [(Kind.LOCAL_PARAMETER, "admingw")],
    "Administrative certificate settings (.cert, .pem and .setadmin files)": [
        (Kind.ADMIN_CERTIFICATE, "management")
    ],
    "Network interface settings: Link Status (Speed and Duplex), MTU and additional addresses": [
        (Kind.INTERFACE, "eth1"),
        (Kind.ADDITIONAL_ADDRESS, "eth0|10.0.0.9/24"),
    ],
    "Virtual LAN (VLAN) configuration": [(Kind.VLAN, "eth0.7")],
    "Virtual Extensible LAN (VXLAN) configuration": [(Kind.VXLAN, "vxlan1")],
    "Additional routes": [(Kind.ROUTE, "10.9.0.0/16")],
}
OURS = [(Kind.HA, "ha"), (Kind.AGENT, "agent"), (Kind.SECRET, "partner")]
LOCAL_PLACES = [*(place for places in GUIDE.values() for place in places), *OURS]


def test_the_guides_list_and_the_agents_own_are_all_that_is_local():
    assert {kind for kind, _ in LOCAL_PLACES} == LOCAL
    names = {key for kind, key in LOCAL_PLACES if kind is Kind.LOCAL_PARAMETER}
    assert names | {"wuiport", "apiport", "enableapi"} == LOCAL_PARAMETERS


def test_a_kind_that_only_a_later_release_knows_is_synchronised():
    assert not is_local("kind-of-next-year")


@pytest.mark.parametrize(("kind", "key"), LOCAL_PLACES)
def test_a_local_setting_is_never_sent(pair, kind, key):
    pair.a.store.commit([Put(kind, key, {"value": "before"}), Put(Kind.USER, "alice", {"hash": "x"})])
    pair.link()
    pair.commit("a", Put(kind, key, {"value": "after"}), Put(Kind.USER, "bob", {"hash": "x"}))
    pair.compare()

    assert pair.b.store.snapshot.get(kind, key) is None
    assert set(pair.b.store.snapshot.entities(Kind.USER)) == {"alice", "bob"}
    assert f'"{kind}"' not in json.dumps([message for _, message in pair.said])


@pytest.mark.parametrize(("kind", "key"), LOCAL_PLACES)
def test_a_local_setting_from_the_partner_is_refused_and_counted(pair, kind, key):
    pair.link()
    pair.b.store.commit([Put(kind, key, {"value": "mine"})])
    told = pair.a.replicator._addressed(
        [
            {
                "t": "change",
                "n": 77,
                "entities": [[kind.value, key, {"b": [9999, "f" * 16], "f": {"value": "theirs"}}]],
            }
        ]
    )

    pair.say("a", told)
    pair.settle()

    assert pair.b.store.snapshot.get(kind, key) == {"value": "mine"}
    assert pair.b.replicator.status(pair.now).operations["Received", "Refused"] == 1
    pair.compare()
    assert pair.a.store.snapshot.get(kind, key) is None
