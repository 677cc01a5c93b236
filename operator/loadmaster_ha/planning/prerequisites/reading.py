"""Could everything be read? Without that nothing is written: absent and unreadable are not the same."""

from collections.abc import Iterator
from typing import Final

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.reading import Absent, Unknown
from loadmaster_ha.planning.needs import (
    all_needs,
    availability_sets,
    named_resources,
    only_for_real_servers,
)
from loadmaster_ha.planning.observation import AddressQuestion, Need
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.reasons import Reason, finding

REFUSALS: Final = frozenset({"AuthorizationFailed", "LinkedAuthorizationFailed", "Forbidden"})
"""Answers that will be the same until somebody grants a right."""

TELLING: Final = {
    "Throttled": Severity.WAITING,
    "BudgetExhausted": Severity.WAITING,
    "SubscriptionNotFound": Severity.BLOCKING,
}
"""Answers about the whole subscription: they are the reason themselves, whatever was being read."""


def could_read(context: Context) -> Iterator[Finding]:
    """Every need is known that something depends on."""
    needs = all_needs(context.layout, context.observation)
    needs -= only_for_real_servers(context.layout, context.observation)
    optional = _only_for_neighbours(context, needs)
    for need in sorted(needs, key=str):
        reading = _reading(context, need)
        if isinstance(reading, Unknown):
            yield _unread(need, reading, optional=need in optional)


def resource_group_exists(context: Context) -> Iterator[Finding]:
    """The subscription has the pair's resource group."""
    reading = context.observation.read(context.layout.balancer)
    group = context.observation.read(context.layout.resource_group)
    missing = isinstance(reading, Absent) and reading.reason == "ResourceGroupNotFound"
    if missing or (
        isinstance(group, Absent) and context.layout.resource_group in context.observation.resources
    ):
        what = f"Resource group {context.layout.resource_group.resource_group!r} does not exist"
        yield finding(Reason.RESOURCE_GROUP_NOT_FOUND, "spec.azure.resourceGroup", what)


def _unread(need: Need, reading: Unknown, *, optional: bool) -> Finding:
    subject = need.virtual_network if isinstance(need, AddressQuestion) else need
    what = f"whether {need.address} is free in {subject}" if isinstance(need, AddressQuestion) else str(need)
    message = f"Could not read {what}: {reading.reason}: {reading.message}".rstrip(". ")
    if (severity := TELLING.get(reading.reason)) is not None:
        return Finding(reading.reason, reading.message, severity, str(subject))
    if reading.reason not in REFUSALS:
        return finding(Reason.COULD_NOT_READ, subject, message)
    if optional:
        return finding(Reason.NOT_CHECKED, subject, message, severity=Severity.WARNING)
    return finding(Reason.AUTHORIZATION_FAILED, subject, message)


def _reading(context: Context, need: Need) -> object:
    if isinstance(need, AddressQuestion):
        not_read = Unknown("NotRead", "it has not been asked for yet")
        return context.observation.addresses.get(need, not_read)
    return context.observation.read(need)


def _only_for_neighbours(context: Context, needs: frozenset[Need]) -> frozenset[Need]:
    """Needs that serve only the check of the units' neighbours in their availability sets."""
    layout, observation = context.layout, context.observation
    own = {*named_resources(layout), *context.machines.values()}
    sets = set(availability_sets(layout, observation))
    kinds = {"virtualmachines", "networkinterfaces", "availabilitysets"}
    return frozenset(
        need
        for need in needs
        if not isinstance(need, AddressQuestion)
        and need.names
        and (need in sets or (need.names[0].lower() in kinds and need not in own))
    )
