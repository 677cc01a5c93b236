"""Which changes of a plan may follow one another without observing Azure in between."""

import pytest

from loadmaster_ha.planning.arm import ResourceID, network
from loadmaster_ha.planning.changes import Delete, Put, Section, may_follow

GROUP = network("s", "g", "networkSecurityGroups", "lm-nsg")
OTHER_GROUP = network("s", "g", "networkSecurityGroups", "other-nsg")
BALANCER = network("s", "g", "loadBalancers", "web-ilb")
INTERFACE = network("s", "g", "networkInterfaces", "lm-0-nic")
PARTNER = network("s", "g", "networkInterfaces", "lm-1-nic")


def put(resource: ResourceID, etag: str | None) -> Put:
    return Put(Section.LOAD_BALANCER, resource, {}, etag, ())


def rule(name: str, etag: str | None, group: ResourceID = GROUP) -> Put:
    return put(group.child("securityRules", name), etag)


@pytest.mark.parametrize(
    ("change", "applied"),
    [
        (rule("b", None), [rule("a", None)]),
        (put(BALANCER, None), [rule("a", None)]),
        (put(INTERFACE, 'W/"1"'), [rule("a", None), put(BALANCER, None)]),
        (put(PARTNER, 'W/"1"'), [put(BALANCER, None), put(INTERFACE, 'W/"1"')]),
        (rule("b", 'W/"1"', OTHER_GROUP), [rule("a", 'W/"1"')]),
        (put(BALANCER, 'W/"1"'), [rule("a", 'W/"1"')]),
    ],
)
def test_a_change_whose_guard_is_untouched_follows_at_once(change, applied):
    assert may_follow(change, applied)


@pytest.mark.parametrize(
    ("change", "applied"),
    [
        (rule("b", 'W/"1"'), [rule("a", None)]),  # rules share their group's etag
        (Delete(Section.SECURITY_GROUPS, GROUP.child("securityRules", "b"), 'W/"1"', ""), [rule("a", None)]),
        (put(INTERFACE, 'W/"1"'), [put(BALANCER, 'W/"1"')]),  # a changed balancer may touch its members
        (put(BALANCER, 'W/"1"'), [put(INTERFACE, 'W/"1"')]),  # members leaving or joining touch the balancer
        (Delete(Section.LOAD_BALANCER, BALANCER, 'W/"1"', ""), [put(INTERFACE, 'W/"1"')]),
        (Delete(Section.SECURITY_GROUPS, GROUP.child("securityRules", "b"), None, ""), []),
        (put(BALANCER, 'W/"1"'), [put(BALANCER, None)]),
    ],
)
def test_a_change_whose_guard_may_be_outdated_waits_for_a_look(change, applied):
    assert not may_follow(change, applied)
