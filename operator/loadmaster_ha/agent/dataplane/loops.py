"""Services that would get their own connections back: refused, since one such connection takes all there are.

HAProxy neither sees nor ends a loop: a service whose real server is the service itself opens one connection
after the other to itself, until the worker has none left and *no* service of the unit is served. It is the
same when the way leads over other services of this unit, which by itself is allowed. A setting that names the
partner's address comes back on the partner, which finds it by the same rule.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv6Address, ip_address

from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService


def loops(services: Iterable[VirtualService]) -> Mapping[ServiceKey, str]:
    """Those that would close a loop with services before them, each with the reason; the others may stay."""
    services = tuple(services)
    at = {(each.key.address, port): each for each in services for port in (each.key.port, *each.extra_ports)}
    refused: dict[ServiceKey, str] = {}
    leads: dict[ServiceKey, list[VirtualService]] = {}
    for service in services:
        for place in _targets(service):
            target = at.get(place)
            way = None if target is None else _way(target, service, leads)
            if way is not None:
                refused[service.key] = _reason(place, way)
                break
        else:
            leads[service.key] = [at[place] for place in _targets(service) if place in at]
    return refused


def _targets(service: VirtualService) -> Iterator[tuple[str, int]]:
    for server in service.real_servers:
        yield _plain(server.address), server.port
    if service.standby is not None:
        yield _plain(service.standby[0]), service.standby[1]


def _way(
    start: VirtualService, end: VirtualService, leads: Mapping[ServiceKey, list[VirtualService]]
) -> list[VirtualService] | None:
    """From one service to another by what is allowed so far; None: there is no way."""
    ways, seen = [[start]], {start.key}
    while ways:
        way = ways.pop()
        if way[-1].key == end.key:
            return way
        for onward in leads.get(way[-1].key, ()):
            if onward.key not in seen:
                seen.add(onward.key)
                ways.append([*way, onward])
    return None


def _reason(place: tuple[str, int], way: list[VirtualService]) -> str:
    address, port = place
    over = ", ".join(str(each.key) for each in way[:-1])
    leads = f"leads back to this virtual service over {over}" if over else "is this virtual service itself"
    return (
        f"real server {address}:{port} {leads}: a connection would go round until the unit has none left; "
        "give the address of the server behind it"
    )


def _plain(address: str) -> str:
    """`::ffff:10.0.2.4` is 10.0.2.4 to the system."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
