"""What the Azure lane may bring about now, given what the units can answer. Pure.

`planning.units.publishing` and `planning.units.check_port` have the rules; here they are put together.
"""

from collections.abc import Container, Mapping
from dataclasses import replace

from loadmaster_ha.controller.exchange import UnitsView
from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.planning.changes import Plan
from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.planning.units.publishing import held_back, is_managed, listening_at, waits_for


def unpublished(target: PairTarget, publish: PairTarget, waiting: frozenset[str]) -> tuple[str, ...]:
    """Names of the services that Azure does not have yet because the units cannot answer for them."""
    there = {each.name for each in publish.spec.services}
    waits = {each.partition(" ")[0] for each in waiting}
    return tuple(each.name for each in target.spec.services if each.name in waits - there)


def put_off(target: PairTarget, publish: PairTarget) -> tuple[str, ...]:
    """What Azure has, and keeps for now, otherwise than the manifest wants it, in words."""
    told = []
    wanted, kept = target.spec.health_check.port, publish.spec.health_check.port
    if wanted != kept:
        told.append(f"the check port stays {kept} until the units can follow to {wanted}")
    layout, there = Layout(target), {each.name: each for each in publish.spec.services}
    for service in target.spec.services:
        wants = listening_at(layout, service)
        has = listening_at(layout, there.get(service.name, service))
        if has != wants:
            told.append(f"service {service.name!r} leads to {has} until the units answer for it at {wants}")
    return tuple(told)


def publishable(
    target: PairTarget, units: UnitsView, observation: Observation
) -> tuple[PairTarget, frozenset[str]]:
    """The pair as Azure shall have it now, and the services that wait for the units (as `ready` names them).

    The check port stays where it is as long as the units are not known to follow.
    """
    if not is_managed(target.spec):
        return target, frozenset()
    found = held_back(target, units.ready, observation)
    waiting = waits_for(target, units.ready)
    if units.check_port is None or units.check_port == target.spec.health_check.port:
        return found, waiting
    check = found.spec.health_check.model_copy(update={"port": units.check_port})
    spec = found.spec.model_copy(update={"health_check": check})
    return PairTarget(found.identity, spec), waiting


def with_paths(planned: Plan, paths: Mapping[str, tuple[Finding, ...]], looked_up: Container[str]) -> Plan:
    """The plan with what stands in the way to real servers that Kubernetes names, beside the manifest's."""
    more = (each for name, found in paths.items() if name in looked_up for each in found)
    return replace(planned, findings=tuple(dict.fromkeys((*planned.findings, *more))))
