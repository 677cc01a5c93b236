"""What is published (`spec.services`): an entry is a balancing rule, openings, and a virtual service."""

from enum import StrEnum
from typing import Final

from pydantic import ConfigDict, Field

from loadmaster_ha.resources.model import Model, Rule, as_set, rules
from loadmaster_ha.resources.names import AddressPrefix, BackendPort, FrontendPort, InterfaceName, ServiceName
from loadmaster_ha.resources.virtual_services import Switch, VirtualService

__all__ = ["Protocol", "Service", "Switch"]

_BACKEND_PORT: Final = "(has(self.backendPort) ? self.backendPort : self.port)"


class Protocol(StrEnum):
    """Transport protocol."""

    TCP = "TCP"
    UDP = "UDP"


class Service(Model):
    """One published port."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                f"self.protocol == 'UDP' || {_BACKEND_PORT} != 6973",
                message="backend port 6973 is where the units synchronise their settings; choose another "
                "port",
            ),
            Rule(
                "self.protocol == 'TCP' || self.tcpReset == 'Disabled'",
                message="tcpReset is only for protocol TCP; leave it out",
                field_path=".tcpReset",
            ),
            Rule(
                f"!has(self.virtualService) || ({_BACKEND_PORT} >= 3 && {_BACKEND_PORT} <= 65530)",
                message="the port of a virtual service on the units is 3 to 65530; choose another "
                "backendPort",
                field_path=".backendPort",
            ),
            Rule(
                "self.protocol == 'TCP' || !has(self.virtualService) || (self.virtualService.type == "
                "'Generic' && !has(self.virtualService.tls))",
                message="a virtual service on UDP has type Generic and no tls",
                field_path=".virtualService",
            ),
        )
    )

    name: ServiceName
    """Name of the service, of which the names of its rules in Azure are made."""

    protocol: Protocol = Protocol.TCP
    """TCP or UDP."""

    port: FrontendPort
    """Port of the frontend that clients use."""

    backend_port: BackendPort | None = None
    """Port on the units. Default: the same as port."""

    interface: InterfaceName | None = None
    """Name of the units' interface that gets the traffic. Default: the primary one."""

    idle_timeout_minutes: int = Field(default=4, ge=4, le=100, strict=True)
    """Minutes after which the balancer forgets an idle flow."""

    tcp_reset: Switch = Switch.DISABLED
    """Enabled tells both ends of a TCP connection by a reset when its flow is forgotten."""

    source_address_prefixes: tuple[AddressPrefix, ...] = Field(
        default=(), min_length=1, max_length=100, json_schema_extra=as_set()
    )
    """Who may use the service: IPv4 addresses, CIDR blocks, Azure service tags. Default: VirtualNetwork for
    an Internal balancer, Internet for a Public one."""

    virtual_service: VirtualService | None = None
    """The virtual service that answers on the units. Absent: only the Azure side is made, the virtual
    service is somebody else's."""
