"""Whether both units of a pair have the same services, apart from what is each unit's own. Pure.

An appliance does not tell how its synchronisation goes; that its services differ for longer than it takes is
the only sign (guide, 3.2: every two minutes).
"""

from collections.abc import Mapping
from dataclasses import replace

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.units import UnitFacts, UnitKind
from loadmaster_ha.domain.virtual_services import VirtualService


def differ(units: Mapping[Role, UnitFacts], arm_addresses: Mapping[tuple[Role, str], str]) -> bool:
    """Whether the services of two appliances are known to differ."""
    if set(units) != set(Role) or any(facts.kind is not UnitKind.APPLIANCE for facts in units.values()):
        return False
    found = [_comparable(facts, arm_addresses) for facts in units.values()]
    return None not in found and found[0] != found[1]


def _comparable(
    facts: UnitFacts, arm_addresses: Mapping[tuple[Role, str], str]
) -> frozenset[VirtualService] | None:
    if not isinstance(facts.services, Present):
        return None
    arms = {address: arm for (role, arm), address in arm_addresses.items() if role is facts.role}
    return frozenset(
        replace(
            each,
            index=0,
            key=replace(each.key, address=arms.get(each.key.address, each.key.address)),
            real_servers=tuple(
                sorted(
                    (replace(server, index=0) for server in each.real_servers),
                    key=lambda server: (server.address, server.port),
                )
            ),
        )
        for each in facts.services.value
    )
