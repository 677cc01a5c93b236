"""Which services go into the next configuration, when not all of them can.

One service that cannot be served (its certificate is missing, its port is taken, the partner knows more than
this unit) must not keep the others from being served. Its former version stays in use if it has one that
still can be served, and the reason is kept for whoever asks.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from loadmaster_ha.agent.dataplane.limits import conflict, refusal
from loadmaster_ha.agent.dataplane.loops import loops
from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService


@dataclass(frozen=True, slots=True)
class Admission:
    """What is served, and what is not as it should be."""

    services: tuple[VirtualService, ...]
    rejected: Mapping[ServiceKey, str]
    """By the key of the service as it was asked for, the reason in words."""


def admit(
    services: Iterable[VirtualService],
    former: Mapping[int, VirtualService],
    node: Node,
    certificates: Collection[str],
    *,
    known: Mapping[ServiceKey, str] | None = None,
    occupied: Collection[ServiceKey] = (),
) -> Admission:
    """Sort services into those that can be served and those that cannot.

    Args:
        services: what is wanted.
        former: what is served now, by index.
        node: where.
        certificates: names of the certificates that there are.
        known: refusals that were found out otherwise.
        occupied: those among them whose ports somebody else has; no former version can have these either.
    """
    services = tuple(services)
    rejected: dict[ServiceKey, str] = {**loops(services), **(known or {})}
    chosen: list[VirtualService] = []
    for service in services:
        reason = rejected.get(service.key) or refusal(service, node, certificates)
        if reason is None:
            chosen.append(service)
            continue
        rejected[service.key] = reason
        earlier = former.get(service.index)
        if earlier is None or earlier == service or earlier.key in occupied:
            continue
        if refusal(earlier, node, certificates) is None:
            chosen.append(earlier)
    clashes = {**loops(chosen), **conflict(chosen)}
    rejected |= clashes
    return Admission(tuple(each for each in chosen if each.key not in clashes), rejected)
