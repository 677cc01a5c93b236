"""What has to be true before the first write: chains of small checks, each of which returns findings.

`check` is the whole chain; `obstacles` holds what matters only when something is to be written;
`check_readable` is what deletion asks. What each reason means and what helps stands in `planning.reasons`.
"""

from typing import Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.prerequisites import (
    balancers,
    frontend,
    interfaces,
    machines,
    ports,
    provisioning,
    reading,
    security,
)
from loadmaster_ha.planning.prerequisites.context import Check, Context

CHAIN: Final[tuple[Check, ...]] = (
    # Is what the manifest names there, and may we see it?
    reading.resource_group_exists,
    reading.could_read,
    frontend.network_exists,
    interfaces.interfaces_exist,
    interfaces.interfaces_differ,
    interfaces.arms_exist,
    machines.machines_exist,
    security.groups_exist,
    # Is it ours to change?
    balancers.may_be_written,
    security.rules_are_ours,
    # Does it belong together?
    interfaces.one_virtual_network,
    machines.interfaces_belong,
    machines.one_resource_group,
    balancers.one_region,
    # Will Azure take it?
    balancers.is_standard,
    balancers.is_of_type,
    frontend.frontend_stays,
    frontend.address_fits,
    frontend.address_is_free,
    frontend.public_address_fits,
    balancers.no_other_of_this_kind,
    ports.no_rule_of_all_ports,
    ports.backend_ports_differ,
    ports.frontend_ports_differ,
    ports.management_ports_agree,
    ports.within_limits,
    # Will it work?
    machines.bootable,
    security.nothing_is_in_front,
    # What is at risk?
    machines.apart,
    interfaces.ways_out,
    interfaces.addresses_stay,
    security.groups_are_attached,
    security.real_servers_can_be_reached,
    balancers.probe_decides,
    balancers.nobody_holds_ours,
)

WRITING: Final[tuple[Check, ...]] = (provisioning.at_rest,)
DELETING: Final[tuple[Check, ...]] = (reading.could_read,)


def check(layout: Layout, observation: Observation) -> tuple[Finding, ...]:
    """Everything that stands against the pair, or is a risk."""
    return _run(CHAIN, layout, observation)


def obstacles(layout: Layout, observation: Observation) -> tuple[Finding, ...]:
    """What stands against a write now."""
    return _run(WRITING, layout, observation)


def check_readable(layout: Layout, observation: Observation) -> tuple[Finding, ...]:
    """What deletion cannot see."""
    return _run(DELETING, layout, observation)


def _run(chain: tuple[Check, ...], layout: Layout, observation: Observation) -> tuple[Finding, ...]:
    context = Context(layout, observation)
    return tuple(found for part in chain for found in part(context))
