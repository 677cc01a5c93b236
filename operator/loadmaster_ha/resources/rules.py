"""CEL rules that span several sections of a LoadMasterPair; all others stand beside their field."""

from typing import Final

from loadmaster_ha.resources import cel
from loadmaster_ha.resources.model import Rule

_INTERFACE_IDS: Final = (
    f"(self.master.networkInterfaces.map(i, {cel.interface_id('i')}) + "
    f"self.slave.networkInterfaces.map(i, {cel.interface_id('i')}))"
)
_FRONTEND: Final = "self.loadBalancer.frontend.privateIPAddress"
_MANAGEMENT_PORTS: Final = "[self.master.management.port, self.slave.management.port]"
_INTERFACE: Final = "(has(s.interface) ? s.interface : self.master.networkInterfaces[0].name)"
_TARGETS: Final = (
    f"{cel.SERVICES}.map(s, '%s/%d of %s'.format([s.protocol, {cel.BACKEND_PORT}, {_INTERFACE}]))"
)
_NO_SUCH_INTERFACE: Final = (
    "has(s.interface) && !self.master.networkInterfaces.exists(i, i.name == s.interface)"
)
_MANAGED: Final = "has(self.master.management.credentialsSecretRef)"
_UNMANAGED_SERVICES: Final = f"(!{_MANAGED} ? {cel.SERVICES}.filter(s, has(s.virtualService)) : [])"
_UNPROBED_SERVICES: Final = (
    f"({_MANAGED} && !self.highAvailability.allInterfaces ? {cel.SERVICES}.filter(s, has(s.interface) && "
    "s.interface != self.master.networkInterfaces[0].name) : [])"
)
_TCP_SERVICES: Final = f"{cel.SERVICES}.filter(s, s.protocol == 'TCP')"


def _management_address(unit: str) -> str:
    """Where a unit is managed, as far as the manifest says it; else empty."""
    own = f"(has(self.{unit}.address) ? self.{unit}.address : '')"
    return f"(has(self.{unit}.management.address) ? self.{unit}.management.address : {own})"


def _no_service(offending: str, complaint: str) -> Rule:
    """The list of services `offending` is empty; the message names the first one."""
    return Rule(
        f"{offending}.size() == 0",
        message=f"a service: {complaint}",
        message_expression=cel.text(f"service %s: {complaint}", f"{offending}[0].name"),
        field_path=".services",
    )


def _no_tcp_service(clash: str, complaint: str) -> Rule:
    """No TCP service `s` with `clash`."""
    return _no_service(f"{_TCP_SERVICES}.filter(s, {clash})", complaint)


UNITS: Final = (
    Rule(
        cel.let(_INTERFACE_IDS, "ids", cel.all_different("ids")),
        message="master and slave must have network interfaces of their own: the same resource is named more "
        "than once",
        field_path=".slave.networkInterfaces",
    ),
    Rule(
        f"{_INTERFACE_IDS}.all(id, "
        "id.startsWith('/subscriptions/' + self.azure.subscriptionID.lowerAscii() + '/'))",
        message="the network interfaces must be in the subscription azure.subscriptionID",
        field_path=".master.networkInterfaces",
    ),
    Rule(
        "!has(self.master.virtualMachine) || !has(self.slave.virtualMachine) || "
        "self.master.virtualMachine.name.lowerAscii() != self.slave.virtualMachine.name.lowerAscii()",
        message="master and slave must be two different virtual machines",
        field_path=".slave.virtualMachine",
    ),
    Rule(
        "!has(self.master.address) || !has(self.slave.address) || self.master.address != self.slave.address",
        message="master and slave must have different addresses",
        field_path=".slave.address",
    ),
    Rule(
        f"!has({_FRONTEND}) || !((has(self.master.address) && self.master.address == {_FRONTEND}) || "
        f"(has(self.slave.address) && self.slave.address == {_FRONTEND}))",
        message="the frontend needs an address of its own; privateIPAddress is the address of a unit",
        field_path=".loadBalancer.frontend.privateIPAddress",
    ),
    Rule(
        "self.master.networkInterfaces.size() == self.slave.networkInterfaces.size() && "
        "self.master.networkInterfaces.all(m, self.slave.networkInterfaces.exists(s, s.name == m.name))",
        message="both units must have network interfaces of the same names: each arm has a pool with one of "
        "each unit",
        field_path=".slave.networkInterfaces",
    ),
    Rule(
        "self.master.networkInterfaces[0].name == self.slave.networkInterfaces[0].name",
        message="the first network interface is the primary one; it must have the same name on both units",
        field_path=".slave.networkInterfaces",
    ),
    Rule(
        f"{_MANAGED} == has(self.slave.management.credentialsSecretRef)",
        message="management.credentialsSecretRef must be set on both units or on neither: the operator "
        "configures both, or takes care of Azure only",
        field_path=".slave.management.credentialsSecretRef",
    ),
    Rule(
        f"!({_management_address('master')} == {_management_address('slave')} && "
        f"{_management_address('master')} != '' && "
        "self.master.management.port == self.slave.management.port)",
        message="master and slave must have different management addresses or ports",
        field_path=".slave.management.address",
    ),
)
"""Master and slave beside each other."""

PORTS: Final = (
    Rule(
        f"!(self.healthCheck.port in {cel.nat_ports(cel.ACCESS)})",
        message="the check port is also a management port of the frontend; choose another one in "
        "loadBalancer.managementAccess",
        message_expression=cel.text(
            "check port %d is also a management port of the frontend; choose another one in "
            "loadBalancer.managementAccess",
            "self.healthCheck.port",
        ),
        field_path=".healthCheck.port",
    ),
    Rule(
        f"!(self.healthCheck.port in {_MANAGEMENT_PORTS})",
        message="the check port cannot be the units' management port",
        field_path=".healthCheck.port",
    ),
    Rule(
        f"!{cel.ACCESS}.kemp360Central || self.master.management.port == self.slave.management.port",
        message="with kemp360Central both units must have the same management.port, which the balancing rule "
        "leads to",
        field_path=".slave.management.port",
    ),
)
"""Check port, management ports."""

SERVICES: Final = (
    _no_tcp_service(
        f"self.healthCheck.port in [s.port, {cel.BACKEND_PORT}]",
        "its port or backendPort is the check port (healthCheck.port); choose another one",
    ),
    _no_tcp_service(
        f"s.port in {cel.nat_ports(cel.ACCESS)}",
        "its port is a management port of the frontend; choose another one here or in "
        "loadBalancer.managementAccess",
    ),
    _no_tcp_service(
        f"{cel.ACCESS}.kemp360Central && (s.port == 8443 || {cel.BACKEND_PORT} in {_MANAGEMENT_PORTS})",
        "with kemp360Central port 8443 and the units' management port are taken; choose another port or "
        "backendPort",
    ),
    _no_tcp_service(
        f"{cel.web_is_translated(cel.ACCESS)} && {cel.BACKEND_PORT} in {_MANAGEMENT_PORTS}",
        "its backendPort is the management port, the target of NAT rules; choose another one, or set "
        "loadBalancer.managementAccess.webInterface.mode: Disabled",
    ),
    _no_tcp_service(
        f"{cel.ACCESS}.ssh.mode == 'NAT' && {cel.BACKEND_PORT} == 22",
        "its backendPort is 22, the target of NAT rules; choose another one, or set "
        "loadBalancer.managementAccess.ssh.mode: Disabled",
    ),
    _no_tcp_service(
        f"has(s.virtualService) && ({cel.BACKEND_PORT} == 22 || {cel.BACKEND_PORT} in {_MANAGEMENT_PORTS})",
        "its virtual service would be on port 22 (SSH) or the management port of the units; choose another "
        "backendPort",
    ),
    _no_service(
        _UNMANAGED_SERVICES,
        "virtualService needs management.credentialsSecretRef on both units, else nobody can make it; leave "
        "virtualService out to take care of Azure only",
    ),
    _no_service(
        _UNPROBED_SERVICES,
        "it is on another interface than the primary one, where the units answer the probe only with "
        "highAvailability.allInterfaces: true",
    ),
    Rule(
        f"!{cel.SERVICES}.exists(s, {_NO_SUCH_INTERFACE})",
        message="interface must be the name of one of the units' networkInterfaces",
        message_expression=cel.text(
            "service %s: interface must be the name of one of the units' networkInterfaces, and %s is none",
            f"{cel.SERVICES}.filter(s, {_NO_SUCH_INTERFACE})[0].name",
            f"{cel.SERVICES}.filter(s, {_NO_SUCH_INTERFACE})[0].interface",
        ),
        field_path=".services",
    ),
    Rule(
        cel.let(_TARGETS, "targets", cel.all_different("targets")),
        message="two services of the same interface and protocol cannot have the same backendPort (Azure's "
        "rule for one pool)",
        message_expression=cel.text(
            "backend port %s is used by more than one service; choose another backendPort",
            cel.let_value(_TARGETS, "targets", cel.first_repeated("targets")),
        ),
        field_path=".services",
    ),
)
"""Published services beside everything else."""

SPEC_RULES: Final = (*UNITS, *PORTS, *SERVICES)
