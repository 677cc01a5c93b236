"""Between the two sides of a service: Azure leads to what can answer, units keep what Azure leads to.

Order of publishing: virtual service, opening in the security groups, balancing rule; of taking away: rule,
opening, drain, virtual service. Each side plans for itself and looks at what is observed of the other, so the
order holds whatever happens between two writes:

* `held_back` is what the Azure side may bring about now. A service that is not ready on the units is left out
  until it is; one that Azure leads to already stays as it is published.
* `published` is what of the services Azure still leads to. `services` removes nothing that is in it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from loadmaster_ha.domain.reading import Present, Reading, Unknown
from loadmaster_ha.domain.virtual_services import Protocol as UnitProtocol
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.balancer import RULES
from loadmaster_ha.planning.bodies import (
    children,
    name_of,
    properties,
    reference_of,
    references,
    singular_or_plural,
)
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.names import LONGEST
from loadmaster_ha.planning.observation import Observation, Resource
from loadmaster_ha.planning.ownership import may_write, owner_of
from loadmaster_ha.planning.security_groups import known_groups, our_rules
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.planning.units.observation import Publication
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec, Protocol, Service, Switch

_PROTOCOLS: Final = {Protocol.TCP: UnitProtocol.TCP, Protocol.UDP: UnitProtocol.UDP}
_CUT: Final = re.compile(r"[-a-z0-9]+_[0-9a-f]{8}")


def is_managed(spec: LoadMasterPairSpec) -> bool:
    """Whether the operator configures the units: it has credentials for both."""
    return None not in (
        spec.master.management.credentials_secret_ref,
        spec.slave.management.credentials_secret_ref,
    )


def held_back(target: PairTarget, ready: frozenset[str] | None, observation: Observation) -> PairTarget:
    """What the Azure side may bring about now; for `planning.pair.plan(..., publish=...)`.

    A service that is not ready is left out if Azure has no rule for it, else it keeps the rule's backend
    port, protocol and interface; so does one that wants a port which such a one still has. A disabled one is
    left out. Nothing is taken from clients because something is unknown. Services without a `virtualService`
    of ours are always ready.

    Args:
        target: the pair as the manifest wants it.
        ready: `UnitPlan.ready_services`; None: not known yet.
        observation: what is known of Azure.
    """
    if not is_managed(target.spec):
        return target
    layout = Layout(target)
    rules = _rules(layout, observation)
    waiting = frozenset(each.name for each in target.spec.services if not _is_ready(layout, each, ready))
    while True:
        services = tuple(_as_it_is(layout, target.spec.services, waiting, rules))
        pushed = _in_the_way(layout, services, waiting)
        if not pushed and services == target.spec.services:
            return target
        if not pushed:
            return replace(target, spec=target.spec.model_copy(update={"services": services}))
        waiting |= pushed


def published(layout: Layout, observation: Observation) -> Reading[frozenset[Publication]]:
    """What Azure still has of services of this pair: rules of the balancer, openings in security groups."""
    for resource in (layout.balancer, *layout.security_groups):
        if isinstance(reading := observation.read(resource), Unknown):
            return reading
    rules = _rules(layout, observation)
    groups = [group for group in known_groups(observation) if our_rules(layout, group)]
    arms = {
        address: attachment.arm
        for attachment in layout.attachments
        if (address := attachment.address(observation)) is not None
    }
    openings = (found for group in groups for found in _openings(layout, group, arms))
    return Present(frozenset((*rules.values(), *openings)))


def leads_to(publication: Publication, service: str, protocol: UnitProtocol, port: int, arm: str) -> bool:
    """Whether something in Azure leads, or may lead, to this port of a published service on the units."""
    named_so = service.startswith(publication.service) if publication.cut else service == publication.service
    return (
        named_so
        and publication.protocol is protocol
        and publication.port in (None, port)
        and publication.arm in (None, arm)
    )


def waits_for(target: PairTarget, ready: frozenset[str] | None) -> frozenset[str]:
    """The services that are held back until they are ready, in the words of `UnitPlan.ready_services`."""
    if not is_managed(target.spec):
        return frozenset()
    layout = Layout(target)
    return frozenset(
        place_of(layout, each)
        for each in target.spec.services
        if not _is_ready(layout, each, ready) and not _is_disabled(each)
    )


def place_of(layout: Layout, service: Service) -> str:
    """A service and where it is on the units: what is ready at one port is not ready at another."""
    return f"{service.name} {listening_at(layout, service)}"


def listening_at(layout: Layout, service: Service) -> str:
    """Where a service is on the units."""
    port = service.backend_port or service.port
    return f"{arm_name(layout, service)}:{port}/{service.protocol.lower()}"


def _is_ready(layout: Layout, service: Service, ready: frozenset[str] | None) -> bool:
    if service.virtual_service is None:
        return True
    if service.virtual_service.enabled is Switch.DISABLED:
        return False
    return ready is not None and place_of(layout, service) in ready


def _as_it_is(
    layout: Layout, services: tuple[Service, ...], waiting: frozenset[str], rules: Mapping[str, Publication]
) -> Iterator[Service]:
    """The services for Azure: those that wait stay as they are published, or away."""
    for service in services:
        if service.name not in waiting:
            yield service
        elif not _is_disabled(service) and service.name in rules:
            yield _kept(layout, service, rules[service.name])


def _is_disabled(service: Service) -> bool:
    return service.virtual_service is not None and service.virtual_service.enabled is Switch.DISABLED


def _kept(layout: Layout, service: Service, rule: Publication) -> Service:
    """The service with the backend that Azure leads to at the moment."""
    update: dict[str, Any] = {}
    if rule.port is not None:
        update["backend_port"] = rule.port
    if _PROTOCOLS[service.protocol] is not rule.protocol:
        update["protocol"] = next(found for found, unit in _PROTOCOLS.items() if unit is rule.protocol)
        update["tcp_reset"] = Switch.DISABLED
    if rule.arm is not None and rule.arm != arm_name(layout, service):
        update["interface"] = rule.arm
    return service.model_copy(update=update)


def arm_name(layout: Layout, service: Service) -> str:
    """The units' interface that a service is on, by its name in the manifest."""
    return service.interface or layout.spec.master.network_interfaces[0].name


def _in_the_way(layout: Layout, services: tuple[Service, ...], waiting: frozenset[str]) -> frozenset[str]:
    """Services that want a port which a waiting one still has: they wait as well."""
    taken = {key for each in services if each.name in waiting for key in _ports(layout, each)}
    return frozenset(
        each.name
        for each in services
        if each.name not in waiting and not taken.isdisjoint(_ports(layout, each))
    )


def _ports(layout: Layout, service: Service) -> tuple[tuple[object, ...], ...]:
    """What Azure gives to one service only: a port of the frontend, a port of an interface."""
    backend = service.backend_port or service.port
    return (
        (service.protocol, service.port),
        (service.protocol, backend, arm_name(layout, service)),
    )


def _rules(layout: Layout, observation: Observation) -> dict[str, Publication]:
    """Our balancing rules of services, by the service's name. Their names are never cut."""
    balancer = observation.get(layout.balancer)
    policy = layout.spec.policy.adoption
    if balancer is None or not may_write(owner_of(balancer, layout.identity), policy):
        return {}
    pools = {layout.balancer.child("backendAddressPools", layout.names.pool(None)): _primary(layout)}
    for attachment in layout.attachments:
        pools[layout.balancer.child("backendAddressPools", layout.names.pool(attachment.arm))] = (
            attachment.arm
        )
    found = (_rule(layout, rule, pools) for rule in children(balancer, RULES))
    return {each.service: each for each in found if each is not None}


def _rule(layout: Layout, rule: Mapping[str, Any], pools: Mapping[ResourceID, str]) -> Publication | None:
    service = _service_of(layout, name_of(rule))
    if service is None:
        return None
    body = properties(rule)
    pool = reference_of(body.get("backendAddressPool")) or next(references(body, "backendAddressPools"), None)
    protocol = UnitProtocol.UDP if str(body.get("protocol")).lower() == "udp" else UnitProtocol.TCP
    port = body.get("backendPort")
    return Publication(
        service, protocol, port if isinstance(port, int) else None, None if pool is None else pools.get(pool)
    )


def _openings(layout: Layout, group: Resource, arms: Mapping[str, str]) -> Iterator[Publication]:
    """What the group lets in to services. `arms`: address -> the units' interface."""
    for rule in our_rules(layout, group):
        name = name_of(rule)
        service = _service_of(layout, name)
        if service is None:
            continue
        body = properties(rule)
        protocol = UnitProtocol.UDP if str(body.get("protocol")).lower() == "udp" else UnitProtocol.TCP
        cut = len(name) == LONGEST and _CUT.fullmatch(_rest(layout, name)) is not None
        destinations = singular_or_plural(body, "destinationAddressPrefix", "destinationAddressPrefixes")
        reached = {arms.get(each.removesuffix("/32")) for each in destinations}
        for port in singular_or_plural(body, "destinationPortRange", "destinationPortRanges"):
            for arm in reached:
                yield Publication(service, protocol, int(port) if port.isdigit() else None, arm, cut)


def _service_of(layout: Layout, name: str) -> str | None:
    """The service that a rule of ours is for, by the rule's name: `lm_web_service_https[_Internet]`."""
    rest = _rest(layout, name)
    return rest.split("_", 1)[0] or None


def _rest(layout: Layout, name: str) -> str:
    prefix = layout.names.security_rule("service_").lower()
    return name.lower()[len(prefix) :] if name.lower().startswith(prefix) else ""


def _primary(layout: Layout) -> str:
    return layout.spec.master.network_interfaces[0].name
