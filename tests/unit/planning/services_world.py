"""A unit as small as can be, and a pair's two sides beside each other: for tests of published services."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from tests.unit.planning import world
from tests.unit.planning.arm_model import ArmModel

from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Reading
from loadmaster_ha.domain.unit_changes import (
    AddRealServer,
    AddService,
    DeleteCertificate,
    DeleteRealServer,
    DeleteService,
    ModifyRealServer,
    ModifyService,
    PutCertificate,
    UnitChange,
)
from loadmaster_ha.domain.units import (
    Certificate,
    HighAvailabilitySettings,
    ObservedState,
    UnitFacts,
    UnitKind,
)
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService
from loadmaster_ha.planning import pair
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.units.marks import Marks
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget, WantedCertificate
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.planning.units.publishing import held_back, published
from loadmaster_ha.planning.units.services import plan_services, plan_services_deletion

MARKS = Marks(world.IDENTITY)
MASTER = "10.0.2.4"
SLAVE = "10.0.2.5"
ARMS = {
    (Role.MASTER, "eth0"): MASTER,
    (Role.SLAVE, "eth0"): SLAVE,
    (Role.MASTER, "eth1"): "10.0.3.4",
    (Role.SLAVE, "eth1"): "10.0.3.5",
}


def spec(*services: dict[str, Any], **policy: str) -> dict[str, Any]:
    """A managed pair of two arms with these services."""
    found = world.guide_spec()
    for number, role in enumerate(("master", "slave")):
        found[role] = {
            "networkInterfaces": [
                {"name": "eth0", "resource": f"lm-{number}-nic"},
                {"name": "eth1", "resource": f"lm-{number}-nic1"},
            ],
            "management": {"credentialsSecretRef": {"name": f"lm-{number}"}},
        }
    return {
        **found,
        "services": list(services),
        "policy": policy,
        "highAvailability": {"allInterfaces": True},
    }


def service(name: str = "https", port: int = 443, **more: Any) -> dict[str, Any]:
    """A service with two real servers by address; `virtualService` holds what is given besides."""
    outside = {key: more.pop(key) for key in ("backendPort", "interface", "protocol") if key in more}
    behind = {"realServers": servers("10.0.5.1", "10.0.5.2"), "drainSeconds": 60, **more}
    return {"name": name, "port": port, **outside, "virtualService": behind}


def servers(*addresses: str, **more: Any) -> list[dict[str, Any]]:
    return [{"address": address, "port": 80, **more} for address in addresses]


def real(*addresses: str) -> tuple[RealServer, ...]:
    return tuple(RealServer(0, address, 80) for address in addresses)


def wanted(
    manifest: Mapping[str, Any],
    *,
    certificates: Mapping[str, Reading[WantedCertificate]] | None = None,
    endpoints: Mapping[str, Reading[tuple[RealServer, ...]]] | None = None,
) -> UnitsTarget:
    return UnitsTarget(
        pair=world.target(manifest),
        addresses={Role.MASTER: MASTER, Role.SLAVE: SLAVE},
        arm_addresses=ARMS,
        certificates=certificates or {},
        endpoints=endpoints or {},
    )


def certificate(name: str, fingerprint: str, *, untimely: bool = False) -> Present[WantedCertificate]:
    return Present(WantedCertificate(MARKS.certificate(name), fingerprint * 64, untimely=untimely))


class Unit:
    """What one unit holds. A change of something that is not there is an error."""

    def __init__(self, *there: VirtualService, kind: UnitKind = UnitKind.AGENT) -> None:
        self.kind = kind
        self.services: dict[ServiceKey, VirtualService] = {each.key: each for each in there}
        self.certificates: dict[str, str | None] = {}
        self.state = ObservedState.ACTIVE
        self.mode = Mode.MASTER
        self._last = 100

    def facts(self, role: Role = Role.MASTER) -> UnitFacts:
        return UnitFacts(
            role=role,
            kind=self.kind,
            firmware="7.2.61.0",
            identity="1",
            boot="then",
            commands=frozenset(),
            settings=HighAvailabilitySettings(mode=self.mode),
            mode_in_force=self.mode,
            state=self.state,
            services=Present(tuple(self.services.values())),
            certificates=Present(tuple(Certificate(*each) for each in self.certificates.items())),
        )

    def apply(self, change: UnitChange) -> None:
        match change:
            case AddService():
                assert change.service.key not in self.services
                assert not change.service.real_servers
                self._has_certificates(change.service)
                self.services[change.service.key] = replace(change.service, index=self._number())
            case ModifyService():
                assert self.services[change.have.key] == change.have
                self._has_certificates(change.want)
                self.services[change.have.key] = change.want
            case DeleteService():
                del self.services[change.service.key]
            case AddRealServer():
                there = self._behind(change.service)
                assert (change.server.address, change.server.port) not in there
                self._put(change.service, {**there, "new": replace(change.server, index=self._number())})
            case ModifyRealServer():
                there = self._behind(change.service)
                assert there[change.have.address, change.have.port] == change.have
                self._put(change.service, {**there, (change.have.address, change.have.port): change.want})
            case DeleteRealServer():
                there = self._behind(change.service)
                del there[change.server.address, change.server.port]
                self._put(change.service, there)
            case PutCertificate():
                assert (change.name in self.certificates) is change.replaces
                self.certificates[change.name] = change.fingerprint
            case DeleteCertificate():
                used = {name for each in self.services.values() if each.tls for name in each.tls.certificates}
                assert change.name not in used
                del self.certificates[change.name]
            case _:
                raise AssertionError(change)

    def of(self, name: str) -> list[VirtualService]:
        return [each for each in self.services.values() if each.nickname == MARKS.nickname(name)]

    def _has_certificates(self, service: VirtualService) -> None:
        assert service.tls is None or set(service.tls.certificates) <= set(self.certificates)

    def _behind(self, service: VirtualService) -> dict[Any, RealServer]:
        return {(each.address, each.port): each for each in self.services[service.key].real_servers}

    def _put(self, service: VirtualService, there: Mapping[Any, RealServer]) -> None:
        now = self.services[service.key]
        self.services[service.key] = replace(now, real_servers=tuple(there.values()))

    def _number(self) -> int:
        self._last += 1
        return self._last


class Pair:
    """Azure and the active unit, each planned for by its own lane, which observes the other."""

    def __init__(self, unit: Unit | None = None) -> None:
        self.arm = ArmModel(world.guide_bodies())
        self.unit = unit or Unit()
        self.now = 1000.0
        self.since: dict[str, float] = {}
        self.ready: frozenset[str] | None = None
        self.reading: Reading[UnitFacts] | None = None
        self.blind = False
        """Azure cannot be seen from the units' lane."""

    def crash(self) -> None:
        """What is only remembered is gone."""
        self.since, self.ready = {}, None

    def observation(self, target: UnitsTarget) -> UnitsObservation:
        layout = Layout(target.pair)
        return UnitsObservation(
            units={Role.MASTER: self.reading or Present(self.unit.facts())},
            published=Absent() if self.blind else published(layout, world.look(self.arm, target.pair)),
            draining_since=dict(self.since),
        )

    def plan_units(self, target: UnitsTarget, *, deleting: bool = False) -> UnitPlan:
        decide = plan_services_deletion if deleting else plan_services
        plan = decide(target, self.observation(target), active=Role.MASTER, now=self.now)
        self.since = {name: self.since.get(name, self.now) for name in plan.draining}
        self.ready = plan.ready_services
        return plan

    def units_step(self, target: UnitsTarget, *, deleting: bool = False) -> UnitChange | None:
        """Plan, and make the first change."""
        plan = self.plan_units(target, deleting=deleting)
        if not plan.changes:
            return None
        self.unit.apply(plan.changes[0])
        return plan.changes[0]

    def azure_step(self, target: UnitsTarget, *, deleting: bool = False) -> Any:
        """Plan, and make the first change."""
        observation = world.look(self.arm, target.pair)
        if deleting:
            plan = pair.plan_deletion(target.pair, observation)
        else:
            publish = held_back(target.pair, self.ready, observation)
            plan = pair.plan(target.pair, observation, publish=publish)
        assert not plan.blocking, plan.blocking
        if not plan.changes:
            return None
        self.arm.apply(plan.changes[0])
        return plan.changes[0]

    def rules(self) -> dict[str, tuple[int, str]]:
        """Our rules of services in the balancer: name -> backend port, pool."""
        try:
            body = self.arm.get(world.BALANCER)
        except KeyError:
            return {}
        prefix = "lm_web_service_"
        return {
            rule["name"].removeprefix(prefix): (
                rule["properties"]["backendPort"],
                rule["properties"]["backendAddressPool"]["id"].rsplit("/", 1)[-1],
            )
            for rule in body["properties"].get("loadBalancingRules", [])
            if rule["name"].startswith(prefix)
        }

    def openings(self) -> dict[str, set[tuple[str, int]]]:
        """Our openings for services: name -> addresses and ports."""
        found: dict[str, set[tuple[str, int]]] = {}
        for rule in self.arm.get(world.SECURITY_GROUP)["properties"]["securityRules"]:
            if rule["name"].startswith("lm_web_service_"):
                name = rule["name"].removeprefix("lm_web_service_").split("_")[0]
                body = rule["properties"]
                places = product(body["destinationAddressPrefixes"], body["destinationPortRanges"])
                found.setdefault(name, set()).update((address, int(port)) for address, port in places)
        return found

    def settle(self, target: UnitsTarget, *, deleting: bool = False, rounds: int = 400) -> list[Any]:
        """Let both lanes work, and time go on, until nobody has anything to do."""
        made: list[Any] = []
        for _ in range(rounds):
            changes = [
                self.units_step(target, deleting=deleting),
                self.azure_step(target, deleting=deleting),
            ]
            made += [change for change in changes if change is not None]
            if changes == [None, None]:
                plan = self.plan_units(target, deleting=deleting)
                if plan.look_again is None:
                    return made
                self.now += plan.look_again
        raise AssertionError("never ends")


def copied(unit: Unit) -> Unit:
    return copy.deepcopy(unit)
