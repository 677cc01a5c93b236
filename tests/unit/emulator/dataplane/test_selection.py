"""Which members take new flows, and how flows are spread."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.emulator.dataplane.configuration import Configuration, Member, Probe, Rule, Target
from loadmaster_ha.emulator.dataplane.selection import candidates, choose

FRONTEND = ("10.0.2.4", 443)
MEMBERS = tuple(Member(f"m{number}", f"10.0.1.{4 + number}", running=True) for number in range(3))
ADDRESSES = st.builds("10.9.{}.{}".format, st.integers(0, 255), st.integers(1, 254))
CLIENTS = st.tuples(ADDRESSES, st.integers(1024, 65535))


def configuration(targets, *, all_probed_up=False, probe="p", nat=False, running=(True, True, True)):
    rule = Rule(
        id="r", balancer="b", protocol="tcp", address="10.0.2.4", port=443, backend_port=443,
        targets=targets, probe=probe, nat=nat,
    )  # fmt: skip
    members = {
        member.id: Member(member.id, member.address, runs)
        for member, runs in zip(MEMBERS, running, strict=True)
    }
    probes = {"p": Probe("p", "http", 8444, "/", 5, 2, all_probed_up)}
    return Configuration(members, probes, {"r": rule}), rule


def taking(up, *targets, **options):
    found, rule = configuration(targets or tuple(Target(member.id) for member in MEMBERS), **options)
    return [member.id for member in candidates(rule, found, lambda _, member: member in up)]


def test_members_that_the_probe_holds_up_take_flows():
    assert taking({"m0", "m2"}) == ["m0", "m2"]


def test_none_does_when_all_are_down_unless_the_probe_says_so():
    assert taking(set()) == []
    assert taking(set(), all_probed_up=True) == ["m0", "m1", "m2"]
    assert taking({"m1"}, all_probed_up=True) == ["m1"]


def test_the_admin_state_comes_first():
    targets = (Target("m0", "Up"), Target("m1", "Down"), Target("m2"))
    assert taking({"m1"}, *targets) == ["m0"]
    assert taking({"m1", "m2"}, *targets) == ["m0", "m2"]


def test_admin_down_stays_out_also_when_all_down_counts_as_up():
    assert taking(set(), Target("m0", "Down"), Target("m1"), all_probed_up=True) == ["m1"]


def test_a_stopped_machine_takes_none():
    assert taking({"m0", "m1"}, running=(False, True, True)) == ["m1"]


def test_without_probe_and_behind_nat_rules_nobody_is_asked():
    assert taking(set(), probe="") == ["m0", "m1", "m2"]
    assert taking(set(), Target("m1"), nat=True) == ["m1"]


@given(CLIENTS, st.sampled_from(["Default", "SourceIP", "SourceIPProtocol"]))
def test_a_flow_is_always_mapped_to_the_same_member(client, distribution):
    assert choose(MEMBERS, distribution, "tcp", client, FRONTEND) is choose(
        MEMBERS, distribution, "tcp", client, FRONTEND
    )


@given(CLIENTS, st.integers(1024, 65535), st.integers(1, 65535))
def test_with_source_affinity_ports_do_not_matter(client, other_port, other_frontend_port):
    for distribution in ("SourceIP", "SourceIPProtocol"):
        first = choose(MEMBERS, distribution, "tcp", client, FRONTEND)
        other = (FRONTEND[0], other_frontend_port)
        assert choose(MEMBERS, distribution, "tcp", (client[0], other_port), other) is first


def test_affinity_to_address_alone_ignores_the_protocol():
    for number in range(50):
        client = (f"10.9.0.{number}", 40000)
        tcp, udp = (choose(MEMBERS, "SourceIP", protocol, client, FRONTEND) for protocol in ("tcp", "udp"))
        assert tcp is udp


@pytest.mark.parametrize("count", [2, 3])
def test_flows_of_one_client_are_spread_evenly(count):
    members = MEMBERS[:count]
    found = Counter(
        choose(members, "Default", "tcp", ("10.9.0.1", port), FRONTEND).id for port in range(32768, 42768)
    )
    assert all(abs(number - 10000 / count) < 400 for number in found.values())
