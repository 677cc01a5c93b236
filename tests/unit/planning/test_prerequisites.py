"""Each prerequisite, violated alone in literal ARM bodies: reason, severity, and that nothing is written."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.planning import world
from tests.unit.planning.arm_model import COMPUTE, NETWORK, ArmModel

from loadmaster_ha.domain.findings import Severity
from loadmaster_ha.domain.reading import Unknown
from loadmaster_ha.planning import pair
from loadmaster_ha.planning.reasons import CATALOGUE, Reason

Bodies = dict[str, dict[str, Any]]
Break = Callable[[Bodies, dict[str, Any]], None]

STANDARD = {"name": "Standard", "tier": "Regional"}


def configuration(bodies: Bodies, nic: str = world.MASTER_INTERFACE) -> dict[str, Any]:
    found: dict[str, Any] = bodies[nic]["properties"]["ipConfigurations"][0]["properties"]
    return found


def units_subnet(bodies: Bodies) -> dict[str, Any]:
    found: dict[str, Any] = bodies[world.VIRTUAL_NETWORK]["properties"]["subnets"][1]["properties"]
    return found


def balancer(
    *, sku: Any = STANDARD, tags: Any = None, public: bool = False, **collections: Any
) -> dict[str, Any]:
    frontend = {"subnet": {"id": f"{world.VIRTUAL_NETWORK}/subnets/lb"}, "privateIPAddress": "10.0.1.50"}
    if public:
        frontend = {"publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/theirs"}}
    frontends = [{"name": "theirs", "properties": frontend}]
    return {
        "location": "westeurope",
        "sku": sku,
        "tags": tags or {},
        "properties": {"frontendIPConfigurations": frontends, **collections},
    }


def owned(uid: str = world.UID, **tags: str) -> dict[str, str]:
    return {"loadmaster.dev-owner": uid, "loadmaster.dev-pair": "other/web", **tags}


def shared_rules(bodies: Bodies, *rules: dict[str, Any]) -> None:
    bodies[world.SECURITY_GROUP]["properties"]["securityRules"] = list(rules)


# -- one function per violation: it spoils Azure or the manifest in one place
# ---------------------------------------------


def no_resource_group(bodies, spec):
    spec["azure"]["resourceGroup"] = "nowhere"
    for role, nic in (("master", world.MASTER_INTERFACE), ("slave", world.SLAVE_INTERFACE)):
        spec[role]["networkInterfaces"][0]["resource"] = nic
    spec["loadBalancer"]["frontend"]["subnet"]["resourceGroup"] = "edge"
    spec["networkSecurity"]["securityGroups"] = []


def no_network(bodies, spec):
    spec["loadBalancer"]["frontend"]["subnet"]["virtualNetwork"] = "typo"


def no_subnet(bodies, spec):
    spec["loadBalancer"]["frontend"]["subnet"]["name"] = "typo"


def no_interface(bodies, spec):
    spec["master"]["networkInterfaces"][0]["resource"] = "typo"


def no_ip_configuration(bodies, spec):
    spec["slave"]["networkInterfaces"][0]["ipConfiguration"] = "typo"


def other_network(bodies, spec):
    other = f"{NETWORK}/virtualNetworks/other"
    bodies[other] = copy.deepcopy(bodies[world.VIRTUAL_NETWORK])
    configuration(bodies)["subnet"] = {"id": f"{other}/subnets/units"}


def one_interface_for_both(bodies, spec):
    spec["slave"]["networkInterfaces"][0]["resource"] = "LM-0-NIC"


def service_on_an_arm_of_one_unit(bodies, spec):
    spec["master"]["networkInterfaces"].append({"name": "eth1", "resource": "lm-0-nic1"})
    spec["services"] = [{"name": "https", "port": 443, "interface": "eth1"}]


def no_machine(bodies, spec):
    spec["master"]["virtualMachine"] = {"name": "typo"}


def exchanged_machines(bodies, spec):
    spec["master"]["virtualMachine"] = {"name": "lm-1"}
    spec["slave"]["virtualMachine"] = {"name": "lm-0"}


def machines_in_two_groups(bodies, spec):
    elsewhere = world.SLAVE_MACHINE.replace("/edge/", "/elsewhere/")
    bodies[elsewhere] = bodies.pop(world.SLAVE_MACHINE)
    bodies[world.SLAVE_INTERFACE]["properties"]["virtualMachine"] = {"id": elsewhere}


def one_zone(bodies, spec):
    for machine in (world.MASTER_MACHINE, world.SLAVE_MACHINE):
        del bodies[machine]["properties"]["availabilitySet"]
        bodies[machine]["zones"] = ["1"]


def one_zone_and_required(bodies, spec):
    one_zone(bodies, spec)
    spec["policy"] = {"availability": "Require"}


def no_way_out(bodies, spec):
    del units_subnet(bodies)["natGateway"]


def guest_diagnostics(bodies, spec):
    extension = {"publisher": "Microsoft.Azure.Diagnostics", "type": "LinuxDiagnostic"}
    bodies[world.SLAVE_MACHINE]["resources"] = [{"name": "LinuxDiagnostic", "properties": extension}]


def in_another_internal_balancer(bodies, spec):
    other = f"{NETWORK}/loadBalancers/other"
    bodies[other] = balancer(backendAddressPools=[{"name": "p"}])
    configuration(bodies)["loadBalancerBackendAddressPools"] = [{"id": f"{other}/backendAddressPools/p"}]


def neighbour_in_another_internal_balancer(bodies, spec):
    bodies[f"{COMPUTE}/virtualMachines/lm-7"] = world.machine(7)
    bodies[f"{NETWORK}/networkInterfaces/lm-7-nic"] = world.interface(7)
    other = f"{NETWORK}/loadBalancers/other"
    bodies[other] = balancer(backendAddressPools=[{"name": "p"}])
    seven = configuration(bodies, f"{NETWORK}/networkInterfaces/lm-7-nic")
    seven["loadBalancerBackendAddressPools"] = [{"id": f"{other}/backendAddressPools/p"}]


def address_elsewhere(bodies, spec):
    spec["loadBalancer"]["frontend"]["privateIPAddress"] = "10.0.2.100"


def reserved_address(bodies, spec):
    spec["loadBalancer"]["frontend"]["privateIPAddress"] = "10.0.1.3"


def last_address(bodies, spec):
    spec["loadBalancer"]["frontend"]["privateIPAddress"] = "10.0.1.255"


def taken_address(bodies, spec):
    nic = world.interface(8)
    nic["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] = "10.0.1.100"
    bodies[f"{NETWORK}/networkInterfaces/printer"] = nic


def kemp_360_central_with_web_interface(bodies, spec):
    spec["loadBalancer"]["managementAccess"] = {"kemp360Central": True, "webInterface": {"mode": "NAT"}}


def foreign_nat_rule_to_443(bodies, spec):
    frontend = {"id": f"{world.BALANCER}/frontendIPConfigurations/theirs"}
    rule = {"frontendIPConfiguration": frontend, "protocol": "Tcp", "frontendPort": 4443, "backendPort": 443}
    bodies[world.BALANCER] = balancer(inboundNatRules=[{"name": "theirs", "properties": rule}])
    configuration(bodies)["loadBalancerInboundNatRules"] = [
        {"id": f"{world.BALANCER}/inboundNatRules/theirs"}
    ]


def foreign_rule_on_our_frontend_port(bodies, spec):
    ours = {"id": f"{world.BALANCER}/frontendIPConfigurations/lm_web_frontend"}
    rule = {"frontendIPConfiguration": ours, "protocol": "TCP", "frontendPort": 443, "backendPort": 9999}
    found = balancer(inboundNatRules=[{"name": "theirs", "properties": rule}])
    subnet = {"id": f"{world.VIRTUAL_NETWORK}/subnets/lb"}
    mine = {"subnet": subnet, "privateIPAddress": "10.0.1.100", "privateIPAllocationMethod": "Static"}
    found["properties"]["frontendIPConfigurations"].append({"name": "lm_web_frontend", "properties": mine})
    bodies[world.BALANCER] = found


def two_management_ports(bodies, spec):
    spec["loadBalancer"]["managementAccess"] = {"kemp360Central": True}
    spec["slave"]["management"] = {"port": 9443}


def rule_of_all_ports(bodies, spec):
    frontend = {"id": f"{world.BALANCER}/frontendIPConfigurations/theirs"}
    pool = {"id": f"{world.BALANCER}/backendAddressPools/p"}
    rule = {
        "frontendIPConfiguration": frontend,
        "backendAddressPool": pool,
        "protocol": "All",
        "frontendPort": 0,
        "backendPort": 0,
    }
    bodies[world.BALANCER] = balancer(
        backendAddressPools=[{"name": "p"}], loadBalancingRules=[{"name": "ha", "properties": rule}]
    )
    configuration(bodies)["loadBalancerBackendAddressPools"] = [pool]


def basic_balancer(bodies, spec):
    bodies[world.BALANCER] = balancer(sku={"name": "Basic"})


def gateway_balancer(bodies, spec):
    bodies[world.BALANCER] = balancer(sku={"name": "Gateway", "tier": "Regional"})


def global_balancer(bodies, spec):
    bodies[world.BALANCER] = balancer(sku={"name": "Standard", "tier": "Global"})


def public_balancer(bodies, spec):
    bodies[world.BALANCER] = balancer(public=True)


def other_subnet(bodies, spec):
    found = balancer()
    mine = {"subnet": {"id": f"{world.VIRTUAL_NETWORK}/subnets/units1"}, "privateIPAddress": "10.0.1.100"}
    found["properties"]["frontendIPConfigurations"] = [{"name": "lm_web_frontend", "properties": mine}]
    bodies[world.BALANCER] = found


def other_region(bodies, spec):
    spec["azure"]["location"] = "northeurope"


def owned_by_another(bodies, spec):
    bodies[world.BALANCER] = balancer(tags=owned("another"))


def not_created_by_us(bodies, spec):
    bodies[world.BALANCER] = balancer()
    spec["policy"] = {"adoption": "Never"}


def rule_of_a_namesake(bodies, spec):
    description = "Managed by loadmaster-operator for other/web, uid another"
    shared_rules(bodies, world.rule("lm_web_probe", access="Allow", priority=1500, description=description))


def no_security_group(bodies, spec):
    spec["networkSecurity"]["securityGroups"] = [{"name": "typo"}]


def unattached_security_group(bodies, spec):
    spec["networkSecurity"]["securityGroups"].append({"name": "idle"})
    bodies[f"{NETWORK}/networkSecurityGroups/idle"] = {"location": "westeurope", "properties": {}}


def full_security_group(bodies, spec):
    rules = [world.rule(f"r{p}", priority=p, sourceAddressPrefix="172.16.0.1") for p in range(1000, 4097)]
    shared_rules(bodies, *rules)


def probe_denied(bodies, spec):
    shared_rules(bodies, world.rule("no-probes", sourceAddressPrefix="168.63.129.16/32"))


def probe_denied_on_the_interface(bodies, spec):
    group = f"{NETWORK}/networkSecurityGroups/nic-nsg"
    rules = [
        world.rule("no-8000s", destinationPortRange="8000-8999", sourceAddressPrefix="AzureLoadBalancer")
    ]
    bodies[group] = {"location": "westeurope", "properties": {"securityRules": rules}}
    bodies[world.MASTER_INTERFACE]["properties"]["networkSecurityGroup"] = {"id": group}


def synchronisation_denied(bodies, spec):
    shared_rules(
        bodies,
        world.rule(
            "no-sync", protocol="TCP", destinationPortRanges=["22", "6900-6999"], destinationPortRange=None
        ),
    )


def service_denied(bodies, spec):
    shared_rules(
        bodies, world.rule("no-web", sourceAddressPrefix="VirtualNetwork", destinationPortRange="443")
    )


def management_not_let_in(bodies, spec):
    spec["networkSecurity"] = {"managementSources": ["20.50.0.0/16"]}


def admin_state(bodies, spec):
    member = {"name": "lm-1", "properties": {"adminState": "Up"}}
    pool = {"name": "lm_web_pool", "properties": {"loadBalancerBackendAddresses": [member]}}
    bodies[world.BALANCER] = balancer(backendAddressPools=[pool])


def foreign_rule_uses_our_old_pool(bodies, spec):
    rule = {
        "frontendIPConfiguration": {"id": f"{world.BALANCER}/frontendIPConfigurations/theirs"},
        "backendAddressPool": {"id": f"{world.BALANCER}/backendAddressPools/lm_web_pool_eth9"},
        "protocol": "Tcp",
        "frontendPort": 1,
        "backendPort": 1,
    }
    bodies[world.BALANCER] = balancer(
        backendAddressPools=[{"name": "lm_web_pool_eth9"}],
        loadBalancingRules=[{"name": "theirs", "properties": rule}],
    )


def dynamic_unit_address(bodies, spec):
    configuration(bodies)["privateIPAllocationMethod"] = "Dynamic"


def wrong_unit_address(bodies, spec):
    spec["master"]["address"] = "10.0.2.99"


def failed_network(bodies, spec):
    bodies[world.VIRTUAL_NETWORK]["properties"]["provisioningState"] = "Failed"


def updating_interface(bodies, spec):
    bodies[world.SLAVE_INTERFACE]["properties"]["provisioningState"] = "Updating"


BLOCKING, WAITING, WARNING = Severity.BLOCKING, Severity.WAITING, Severity.WARNING

VIOLATIONS: list[tuple[Break, Reason, Severity]] = [
    (no_resource_group, Reason.RESOURCE_GROUP_NOT_FOUND, BLOCKING),
    (no_network, Reason.VIRTUAL_NETWORK_NOT_FOUND, BLOCKING),
    (no_subnet, Reason.SUBNET_NOT_FOUND, BLOCKING),
    (no_interface, Reason.INTERFACE_NOT_FOUND, BLOCKING),
    (no_ip_configuration, Reason.IP_CONFIGURATION_NOT_FOUND, BLOCKING),
    (other_network, Reason.INTERFACE_NOT_IN_VIRTUAL_NETWORK, BLOCKING),
    (one_interface_for_both, Reason.SAME_INTERFACE, BLOCKING),
    (service_on_an_arm_of_one_unit, Reason.SERVICE_INTERFACE_NOT_FOUND, BLOCKING),
    (no_machine, Reason.VIRTUAL_MACHINE_NOT_FOUND, BLOCKING),
    (exchanged_machines, Reason.INTERFACE_NOT_ATTACHED, BLOCKING),
    (machines_in_two_groups, Reason.DIFFERENT_RESOURCE_GROUPS, BLOCKING),
    (one_zone, Reason.NO_AVAILABILITY, WARNING),
    (one_zone_and_required, Reason.NO_AVAILABILITY, BLOCKING),
    (no_way_out, Reason.NO_EXPLICIT_OUTBOUND, WARNING),
    (guest_diagnostics, Reason.GUEST_DIAGNOSTICS, BLOCKING),
    (in_another_internal_balancer, Reason.ANOTHER_BALANCER, BLOCKING),
    (neighbour_in_another_internal_balancer, Reason.ANOTHER_BALANCER, BLOCKING),
    (address_elsewhere, Reason.ADDRESS_NOT_IN_SUBNET, BLOCKING),
    (reserved_address, Reason.ADDRESS_RESERVED, BLOCKING),
    (last_address, Reason.ADDRESS_RESERVED, BLOCKING),
    (taken_address, Reason.ADDRESS_TAKEN, BLOCKING),
    (kemp_360_central_with_web_interface, Reason.PORT_TRIANGLE, BLOCKING),
    (foreign_nat_rule_to_443, Reason.PORT_TRIANGLE, BLOCKING),
    (foreign_rule_on_our_frontend_port, Reason.FRONTEND_PORT_TAKEN, BLOCKING),
    (two_management_ports, Reason.MANAGEMENT_PORTS_DIFFER, BLOCKING),
    (rule_of_all_ports, Reason.HIGH_AVAILABILITY_PORTS, BLOCKING),
    (basic_balancer, Reason.BASIC_LOAD_BALANCER, BLOCKING),
    (public_balancer, Reason.TYPE_MISMATCH, BLOCKING),
    (gateway_balancer, Reason.TYPE_MISMATCH, BLOCKING),
    (global_balancer, Reason.TYPE_MISMATCH, BLOCKING),
    (other_subnet, Reason.SUBNET_MISMATCH, BLOCKING),
    (other_region, Reason.LOCATION_MISMATCH, BLOCKING),
    (owned_by_another, Reason.OWNED_BY_OTHER, BLOCKING),
    (not_created_by_us, Reason.NOT_OWNED, BLOCKING),
    (rule_of_a_namesake, Reason.OWNED_BY_OTHER, BLOCKING),
    (no_security_group, Reason.SECURITY_GROUP_NOT_FOUND, BLOCKING),
    (unattached_security_group, Reason.SECURITY_GROUP_NOT_ATTACHED, WARNING),
    (full_security_group, Reason.NO_FREE_PRIORITY, BLOCKING),
    (probe_denied, Reason.PROBE_BLOCKED, BLOCKING),
    (probe_denied_on_the_interface, Reason.PROBE_BLOCKED, BLOCKING),
    (synchronisation_denied, Reason.SYNCHRONISATION_BLOCKED, BLOCKING),
    (service_denied, Reason.FOREIGN_DENY_RULE, WARNING),
    (management_not_let_in, Reason.NOT_LET_IN, WARNING),
    (admin_state, Reason.ADMIN_STATE_OVERRIDE, WARNING),
    (foreign_rule_uses_our_old_pool, Reason.ENTRY_IN_USE_BY_OTHERS, WARNING),
    (dynamic_unit_address, Reason.DYNAMIC_UNIT_ADDRESS, WARNING),
    (wrong_unit_address, Reason.UNIT_ADDRESS_MISMATCH, WARNING),
    (failed_network, Reason.PROVISIONING_FAILED, BLOCKING),
    (updating_interface, Reason.UPDATING, WAITING),
]


def empty_group_on_the_slave(bodies):
    group = f"{NETWORK}/networkSecurityGroups/nic-nsg"
    bodies[group] = {"location": "westeurope", "properties": {"securityRules": []}}
    bodies[world.SLAVE_INTERFACE]["properties"]["networkSecurityGroup"] = {"id": group}


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ("VirtualNetwork", False),  # let in by a default rule
        ("10.0.0.0/16", False),  # the network itself: the same
        ("10.0.0.0/8", False),  # may come by a gateway, which counts as the network
        ("20.50.0.0/16", True),
        ("Internet", True),
    ],
)
def test_an_unnamed_empty_group_is_told_of_what_it_certainly_does_not_let_in(sources, told):
    bodies, spec = world.guide_bodies(), world.guide_spec()
    empty_group_on_the_slave(bodies)
    spec["networkSecurity"]["managementSources"] = [sources]
    found = world.plan(ArmModel(bodies), world.target(spec)).findings
    assert [finding.reason for finding in found] == ([Reason.NOT_LET_IN] if told else [])
    assert all("DenyAllInBound" in finding.message and "nic-nsg" in finding.message for finding in found)


def test_the_guides_set_up_has_no_finding():
    assert world.plan(ArmModel(world.guide_bodies()), world.target()).findings == ()


@pytest.mark.parametrize(
    ("spoil", "reason", "severity"), VIOLATIONS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_violation_is_told_with_its_reason_before_the_first_write(spoil, reason, severity):
    bodies, spec = world.guide_bodies(), world.guide_spec()
    spoil(bodies, spec)
    found = world.plan(ArmModel(bodies), world.target(spec))
    told = [finding for finding in found.findings if finding.reason == reason]
    assert told, [str(finding) for finding in found.findings]
    assert {finding.severity for finding in told} == {severity}
    assert all(CATALOGUE[reason].remedy in finding.message and finding.subject for finding in told)
    if severity is WARNING:
        assert found.changes, [str(finding) for finding in found.findings]
    else:
        assert not found.changes


def public_address(**properties: Any) -> dict[str, Any]:
    sku = properties.pop("sku", "Standard")
    body = {"publicIPAllocationMethod": "Static", "ipAddress": "20.0.0.9", **properties}
    return {"location": "westeurope", "sku": {"name": sku}, "properties": body}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (None, Reason.PUBLIC_ADDRESS_NOT_FOUND),
        (public_address(sku="Basic"), Reason.BASIC_PUBLIC_ADDRESS),
        (public_address(publicIPAllocationMethod="Dynamic"), Reason.BASIC_PUBLIC_ADDRESS),
        (
            public_address(ipConfiguration={"id": f"{world.MASTER_INTERFACE}/ipConfigurations/primary"}),
            Reason.PUBLIC_ADDRESS_IN_USE,
        ),
        (public_address(natGateway={"id": f"{NETWORK}/natGateways/out"}), Reason.PUBLIC_ADDRESS_IN_USE),
        (
            public_address(publicIPAddressVersion="IPv6", ipAddress="2603:1020::9"),
            Reason.PUBLIC_ADDRESS_NOT_IPV4,
        ),
    ],
)
def test_a_public_address_that_does_not_fit_is_told(address, reason):
    bodies, spec = world.guide_bodies(), world.public_spec()
    spec["loadBalancer"]["frontend"]["publicIPAddress"] = {"name": "web-pip"}
    if address is not None:
        bodies[world.PUBLIC_ADDRESS] = address
    found = world.plan(ArmModel(bodies), world.target(spec))
    assert [finding.reason for finding in found.blocking] == [reason]
    assert not found.changes


def test_an_ipv6_address_is_not_told_as_the_frontends():
    bodies, spec = world.guide_bodies(), world.public_spec()
    spec["loadBalancer"]["frontend"]["publicIPAddress"] = {"name": "web-pip"}
    bodies[world.PUBLIC_ADDRESS] = public_address(publicIPAddressVersion="IPv6", ipAddress="2603:1020::9")
    wanted = world.target(spec)
    assert pair.frontend_address(wanted, world.look(ArmModel(bodies), wanted)) is None


def test_a_public_balancer_without_any_security_group_lets_nothing_in():
    bodies, spec = world.guide_bodies(), world.public_spec()
    del units_subnet(bodies)["networkSecurityGroup"]
    spec["networkSecurity"]["securityGroups"] = []
    found = world.plan(ArmModel(bodies), world.target(spec))
    assert {finding.reason for finding in found.warnings} == {Reason.NO_SECURITY_GROUP}


@pytest.mark.parametrize(
    ("resource", "unknown", "reason", "severity"),
    [
        (world.BALANCER, Unknown("Timeout", "ARM did not answer"), Reason.COULD_NOT_READ, WAITING),
        (world.SLAVE_INTERFACE, Unknown("AuthorizationFailed", "no"), Reason.AUTHORIZATION_FAILED, BLOCKING),
        (world.SLAVE_MACHINE, Unknown("ServerError", "later"), Reason.COULD_NOT_READ, WAITING),
        (world.SLAVE_MACHINE, Unknown("Throttled", "later"), "Throttled", WAITING),
        (world.BALANCER, Unknown("SubscriptionNotFound", "none"), "SubscriptionNotFound", BLOCKING),
        (world.AVAILABILITY_SET, Unknown("AuthorizationFailed", "no"), Reason.NOT_CHECKED, WARNING),
    ],
)
def test_what_could_not_be_read_is_neither_there_nor_absent(resource, unknown, reason, severity):
    arm = ArmModel(world.guide_bodies())
    arm.failing[resource.lower()] = unknown
    found = world.plan(arm, world.target())
    (told,) = [finding for finding in found.findings if finding.reason == reason]
    assert told.severity is severity
    assert unknown.message in told.message
    assert bool(found.changes) is (severity is WARNING)


def test_an_interface_may_be_named_by_its_id_in_any_case():
    spec = world.guide_spec()
    spec["master"]["networkInterfaces"][0]["resource"] = world.MASTER_INTERFACE.replace("/edge/", "/EDGE/")
    assert world.plan(ArmModel(world.guide_bodies()), world.target(spec)).findings == ()


def test_an_application_security_group_in_front_makes_no_claim():
    bodies = world.guide_bodies()
    group = [{"id": f"{NETWORK}/applicationSecurityGroups/a"}]
    shared_rules(bodies, world.rule("asg", sourceAddressPrefix=None, sourceApplicationSecurityGroups=group))
    assert world.plan(ArmModel(bodies), world.target()).findings == ()


def test_once_joined_the_neighbours_are_not_read_any_more():
    arm, target = ArmModel(world.guide_bodies()), world.target()
    assert any(
        str(need).lower() == world.AVAILABILITY_SET.lower() for need in world.look(arm, target).resources
    )
    world.converge(arm, target)
    assert not any(
        str(need).lower() == world.AVAILABILITY_SET.lower() for need in world.look(arm, target).resources
    )


def test_every_reason_is_explained():
    assert set(CATALOGUE) == set(Reason)
