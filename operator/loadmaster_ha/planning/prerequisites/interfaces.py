"""The units' interfaces: there, on one network, with an address that stays, with a way out."""

from collections.abc import Iterator

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import OUTBOUND_RULES, POOLS
from loadmaster_ha.planning.bodies import children, named, properties, reference_of, references
from loadmaster_ha.planning.layout import Attachment
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.reasons import Reason, finding


def interfaces_exist(context: Context) -> Iterator[Finding]:
    """Each named interface is there, and has the IP configuration."""
    for attachment in context.layout.attachments:
        if context.observation.is_absent(attachment.interface):
            what = f"Interface {attachment.interface} of the {attachment.role.lower()} does not exist"
            yield finding(Reason.INTERFACE_NOT_FOUND, f"{attachment.path}.resource", what)
    for attachment, interface in context.attachments():
        if attachment.find(interface) is None:
            what = f"Interface {interface.id} has no IP configuration {attachment.ip_configuration!r}"
            yield finding(Reason.IP_CONFIGURATION_NOT_FOUND, f"{attachment.path}.ipConfiguration", what)


def interfaces_differ(context: Context) -> Iterator[Finding]:
    """No interface is named twice."""
    seen: dict[ResourceID, Attachment] = {}
    for attachment in context.layout.attachments:
        other = seen.setdefault(attachment.interface, attachment)
        if other is not attachment:
            what = f"Interface {attachment.interface} is also {other.path}"
            yield finding(Reason.SAME_INTERFACE, attachment.path, what)


def arms_exist(context: Context) -> Iterator[Finding]:
    """The interface of each service is one that both units have."""
    for index, service in enumerate(context.layout.spec.services):
        arm = context.layout.arm_of(service)
        roles = {attachment.role for attachment in context.layout.on_arm(arm)}
        for role in Role:
            if role not in roles:
                what = f"Service {service.name!r} is on interface {arm!r}; the {role.lower()} has none of it"
                yield finding(Reason.SERVICE_INTERFACE_NOT_FOUND, f"spec.services[{index}].interface", what)


def one_virtual_network(context: Context) -> Iterator[Finding]:
    """All interfaces are in the frontend's network; behind a public frontend, in one network."""
    expected = context.layout.virtual_network
    for attachment in context.layout.attachments:
        subnet = attachment.subnet(context.observation)
        if subnet is None:
            continue
        expected = expected or subnet.top
        if subnet.top != expected:
            what = f"Interface {attachment.interface} is in {subnet.top}, not in {expected}"
            yield finding(Reason.INTERFACE_NOT_IN_VIRTUAL_NETWORK, attachment.path, what)


def addresses_stay(context: Context) -> Iterator[Finding]:
    """The units' private addresses are static, and those that the manifest gives are theirs."""
    for attachment, interface in context.attachments():
        entry = properties(attachment.find(interface) or {})
        if str(entry.get("privateIPAllocationMethod", "")).lower() == "dynamic":
            what = f"{entry.get('privateIPAddress')} of interface {interface.id} is dynamic"
            yield finding(Reason.DYNAMIC_UNIT_ADDRESS, attachment.path, what)
    for role in Role:
        given = context.layout.unit(role).address
        known = [
            item.address(context.observation) for item in context.layout.attachments if item.role is role
        ]
        if given is not None and all(known) and given not in known:
            has = ", ".join(map(str, known))
            what = f"The {role.lower()}'s interfaces have {has}, not {given}"
            yield finding(Reason.UNIT_ADDRESS_MISMATCH, f"spec.{role.lower()}.address", what)


def ways_out(context: Context) -> Iterator[Finding]:
    """Each unit keeps a way out when it joins: joining takes the default one away."""
    for role in Role:
        attachment = context.layout.primary(role)
        if context.observation.get(attachment.interface) is None or _has_way_out(context, attachment):
            continue
        subnet = attachment.subnet(context.observation)
        if subnet is not None and context.observation.get(subnet.top) is not None:
            what = (
                f"Interface {attachment.interface} of the {role.lower()} has no explicit way out of {subnet}"
            )
            yield finding(Reason.NO_EXPLICIT_OUTBOUND, attachment.path, what)


def _has_way_out(context: Context, attachment: Attachment) -> bool:
    interface = context.observation.get(attachment.interface)
    entry = properties(attachment.find(interface) or {})
    if entry.get("publicIPAddress"):
        return True
    subnet = attachment.subnet(context.observation)
    network = None if subnet is None else context.observation.get(subnet.top)
    found = properties(named(children(network, "subnets"), subnet.name) or {}) if subnet is not None else {}
    if found.get("natGateway") or (network is not None and network.properties.get("defaultPublicNatGateway")):
        return True
    return any(
        _gives_outbound(context, pool) for pool in references(entry, "loadBalancerBackendAddressPools")
    )


def _gives_outbound(context: Context, pool: ResourceID) -> bool:
    """Whether a pool has an outbound rule, or a public rule that lends its frontend for outbound."""
    balancer = context.observation.get(pool.top)
    for rule in children(balancer, OUTBOUND_RULES):
        if reference_of(properties(rule).get("backendAddressPool")) == pool:
            return True
    public = [
        entry
        for entry in children(balancer, "frontendIPConfigurations")
        if properties(entry).get("publicIPAddress")
    ]
    return bool(public) and any(
        not properties(rule).get("disableOutboundSnat")
        and pool
        in (reference_of(properties(rule).get("backendAddressPool")), *references(properties(rule), POOLS))
        for rule in children(balancer, "loadBalancingRules")
    )
