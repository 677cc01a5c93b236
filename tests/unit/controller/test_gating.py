"""What Azure keeps until the units can follow: it is told, and watched where it still is."""

from dataclasses import replace

import pytest
from tests.unit.planning import services_world as lab

from loadmaster_ha.controller.azure_view import AzureView
from loadmaster_ha.controller.conditions import ConditionStatus, Reason
from loadmaster_ha.controller.exchange import Exchange, UnitsView
from loadmaster_ha.controller.gating import put_off
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.status import Situation, conditions
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.planning.changes import Plan

KEY = PairKey("edge", "web")


def pair(port=8444, **service):
    spec = lab.spec(lab.service(**service))
    spec["healthCheck"] = {"port": port}
    return lab.wanted(spec).pair


def moved(target, **service):
    """The pair, as Azure has it, whose service leads elsewhere."""
    (only,) = target.spec.services
    spec = target.spec.model_copy(update={"services": (only.model_copy(update=service),)})
    return replace(target, spec=spec)


def test_what_azure_has_as_wanted_is_not_put_off():
    assert put_off(pair(), pair()) == ()


def test_a_service_that_is_not_published_yet_is_not_put_off_but_missing():
    target = pair()
    none = replace(target, spec=target.spec.model_copy(update={"services": ()}))
    assert put_off(target, none) == ()


def test_what_is_put_off_is_named_with_what_is_there_and_what_is_wanted():
    assert put_off(pair(port=8445), pair(port=8444)) == (
        "the check port stays 8444 until the units can follow to 8445",
    )
    assert put_off(pair(), moved(pair(), backend_port=8082)) == (
        "service 'https' leads to eth0:8082/tcp until the units answer for it at eth0:443/tcp",
    )


def test_azure_is_not_said_to_be_as_wanted_while_something_is_put_off():
    situation = Situation(1, plan=Plan(), unpublished=("shop",), put_off=("the check port stays 8444",))
    found = {each.type.value: each for each in conditions(situation)}
    synced = found["AzureSynced"]
    assert (synced.status, synced.reason) == (ConditionStatus.FALSE, Reason.APPLYING)
    assert synced.message == (
        "Published once the units answer for it: shop. Not changed yet: the check port stays 8444."
    )
    assert found["Reconciling"].status is ConditionStatus.TRUE
    assert found["Ready"].status is ConditionStatus.FALSE


@pytest.mark.parametrize(
    ("units", "ports", "asked"),
    [
        (UnitsView(check_port=8444), Present(frozenset({8444})), 8444),
        (UnitsView(check_port=8445), Present(frozenset({8444})), 8445),
        (UnitsView(), Present(frozenset({8444})), 8444),
        (UnitsView(), Present(frozenset({8444, 8446})), 8445),
        (UnitsView(), Unknown("AzureUnreachable", "no"), 8445),
    ],
    ids=["the units cannot follow", "they can", "not looked at yet", "changed by hand", "nothing is known"],
)
def test_the_check_port_that_azure_probes_is_asked_and_the_new_one_known(units, ports, asked):
    exchange = Exchange(
        wake_azure=lambda _: None,
        wake_units=lambda _: None,
        refresh_watch=lambda _: None,
        stored=lambda _: {},
    )
    exchange.wanted(KEY, pair(port=8445))
    exchange.azure_seen(KEY, AzureView(ports=ports))
    exchange.units_seen(KEY, units)
    facts = exchange.watch_facts(KEY)
    assert facts is not None
    assert (facts.check_port, facts.wanted_port) == (asked, 8445)
