"""Who is not answered at all, and the packet filter that sees to it."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.emulator.dataplane.admission import EVERYBODY, _program, unanswered
from loadmaster_ha.emulator.dataplane.configuration import Member, Rule, SecurityRule, Target
from loadmaster_ha.emulator.dataplane.listeners import obstacle

PORT = 443
EVERY_PORT = ((0, 65535),)
RULE = Rule("r", "b", "tcp", "10.0.2.4", PORT, PORT, (Target("a"), Target("b")))


def number(text):
    return int(ipaddress.IPv4Address(text))


def security_rule(allow, *sources, ports=EVERY_PORT, protocol="*"):
    return SecurityRule(allow, protocol, sources, EVERY_PORT, ports, probes=False)


def within(intervals, value):
    return any(first <= value <= last for first, last in intervals)


INTERVALS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(
    lambda pair: tuple(sorted(pair))
)
GROUPS = st.lists(
    st.builds(
        security_rule,
        st.booleans(),
        INTERVALS,
        ports=st.sampled_from([EVERY_PORT, ((443, 443),), ((80, 80),)]),
        protocol=st.sampled_from(["*", "tcp", "udp"]),
    ),
    max_size=5,
).map(tuple)
MEMBERS = st.lists(
    st.builds(
        Member,
        st.sampled_from(["a", "b"]),
        st.integers(1, 2**32 - 2).map(lambda value: str(ipaddress.IPv4Address(value))),
        st.booleans(),
        st.lists(GROUPS, max_size=2).map(tuple),
    ),
    max_size=3,
)


@given(MEMBERS, st.integers(0, 2**32 - 1), st.integers(-2, 2))
def test_a_source_is_unanswered_exactly_when_every_member_has_an_obstacle(members, source, offset):
    found = unanswered(RULE, members, PORT)
    edges = [edge for interval in found for edge in interval] + [number(item.address) for item in members]
    for value in [source, *(min(max(edge + offset, 0), 2**32 - 1) for edge in edges)]:
        client = (str(ipaddress.IPv4Address(value)), 40000)
        nobody = all(obstacle(RULE, member, client, PORT) for member in members)
        assert within(found, value) == nobody


def test_with_no_member_nobody_is_answered():
    assert unanswered(RULE, (), PORT) == EVERYBODY


def test_the_only_member_is_not_answered_by_itself():
    own = number("10.0.1.4")
    assert unanswered(RULE, (Member("a", "10.0.1.4", running=True),), PORT) == ((own, own),)


@given(st.lists(INTERVALS, max_size=20), st.integers(0, 2**32 - 1))
def test_the_filter_drops_exactly_these_sources(intervals, source):
    for value in [source, *(edge for interval in intervals for edge in interval)]:
        assert dropped(_program(intervals), value) == within(intervals, value)


def dropped(program, source):
    """Run the few instructions of classic BPF that the filter uses."""
    position = 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        match code:
            case 0x20:
                pass  # the source address is loaded
            case 0x35:
                position += if_true if source >= operand else if_false
            case 0x25:
                position += if_true if source > operand else if_false
            case 0x06:
                return operand == 0
            case _:
                raise AssertionError(code)
