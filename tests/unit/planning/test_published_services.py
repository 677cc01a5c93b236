"""One published service at a time: what is written for it, in which order, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.planning import services_world as lab
from tests.unit.planning.services_world import MARKS, Pair, Unit

from loadmaster_ha.domain.findings import Severity
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.unit_changes import (
    AddRealServer,
    AddService,
    DeleteService,
    ModifyRealServer,
    ModifyService,
    PutCertificate,
)
from loadmaster_ha.domain.units import ObservedState, UnitKind
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService
from loadmaster_ha.planning.units.marks import Marks, Whose
from loadmaster_ha.planning.units.observation import RebootUnderWay, UnitsObservation
from loadmaster_ha.planning.units.real_servers import LONGEST_FIRST_CHECK
from loadmaster_ha.planning.units.service_reasons import CATALOGUE, reasons_table
from loadmaster_ha.planning.units.services import plan_services, unit_that_takes_writes

PAGE = Path(__file__).resolve().parents[3] / "docs" / "services.md"
TLS = {"certificateSecretRef": {"name": "web-tls"}}


def plan(pair, target):
    return pair.plan_units(target)


def reasons(found):
    return [finding.reason for finding in found.findings]


def names(changes):
    return [type(change).__name__ for change in changes]


def test_certificate_comes_before_the_service_and_the_service_before_its_real_servers():
    target = lab.wanted(lab.spec(lab.service(tls=TLS)), certificates={"https": lab.certificate("https", "1")})
    found = plan(Pair(), target)
    assert names(found.changes) == ["PutCertificate", "AddService", "AddRealServer", "AddRealServer"]
    added = next(change for change in found.changes if isinstance(change, AddService))
    assert added.service.key == ServiceKey(lab.MASTER, 443)
    assert added.service.nickname == "lm_web_https@6f1a2b3c"
    assert not found.ready_services
    assert found.ready_when_made == {"https eth0:443/tcp"}


def test_what_is_held_back_or_cannot_answer_is_not_ready_when_the_plan_is_carried_out():
    pair, target = Pair(), lab.wanted(lab.spec(lab.service()))
    pair.unit.state = ObservedState.UNCONNECTED
    held = plan_services(target, pair.observation(target), active=None, now=0.0)
    assert held.held_back
    assert not held.changes
    assert not held.ready_when_made
    nobody = plan(
        Pair(), lab.wanted(lab.spec(lab.service(realServers=lab.servers("10.0.5.1", state="Disabled"))))
    )
    assert nobody.changes
    assert not nobody.ready_when_made
    uncertified = plan(Pair(), lab.wanted(lab.spec(lab.service(tls=TLS))))
    assert not uncertified.ready_when_made


def test_what_is_ready_stays_so_while_something_of_it_is_changed():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service())))
    found = plan(pair, lab.wanted(lab.spec(lab.service(scheduling="LeastConnection"))))
    assert found.changes
    assert found.ready_services == found.ready_when_made == {"https eth0:443/tcp"}


def test_renewal_replaces_the_certificate_and_touches_nothing_else():
    pair = Pair()
    manifest = lab.spec(lab.service(tls=TLS))
    pair.settle(lab.wanted(manifest, certificates={"https": lab.certificate("https", "1")}))
    renewed = lab.wanted(manifest, certificates={"https": lab.certificate("https", "2")})
    assert plan(pair, renewed).changes == (
        PutCertificate(Role.MASTER, MARKS.certificate("https"), "2" * 64, replaces=True),
    )


def test_a_certificate_that_clients_refuse_for_its_dates_takes_nobodys_place():
    manifest = lab.spec(lab.service(tls=TLS))
    expired = lab.wanted(manifest, certificates={"https": lab.certificate("https", "2", untimely=True)})
    pair = Pair()
    pair.settle(lab.wanted(manifest, certificates={"https": lab.certificate("https", "1")}))
    assert plan(pair, expired).converged
    bare = Pair()
    bare.settle(expired)
    assert bare.unit.certificates == {MARKS.certificate("https"): "2" * 64}, "there is no better one"


def test_a_certificate_that_is_missing_is_told_with_what_is_served_meanwhile():
    manifest = lab.spec(lab.service(tls=TLS))
    gone = lab.wanted(manifest, certificates={"https": Absent("SecretNotFound", "the Secret is gone")})
    pair = Pair()
    (fresh,) = (each.message for each in plan(pair, gone).blocking)
    assert "Service 'https' has no certificate: the Secret is gone" in fresh
    pair.settle(lab.wanted(manifest, certificates={"https": lab.certificate("https", "1")}))
    (kept,) = (each.message for each in plan(pair, gone).blocking)
    assert "Service 'https' keeps the certificate that is on the units: the Secret is gone" in kept


def test_tls_is_switched_off_and_its_certificate_goes_after_that():
    pair = Pair()
    pair.settle(
        lab.wanted(lab.spec(lab.service(tls=TLS)), certificates={"https": lab.certificate("https", "1")})
    )
    found = plan(pair, lab.wanted(lab.spec(lab.service())))
    assert names(found.changes) == ["ModifyService", "DeleteCertificate"]


@pytest.mark.parametrize(
    ("reading", "reason", "severity"),
    [
        (Unknown("Forbidden", "no"), "CertificateUnknown", Severity.WAITING),
        (Absent("SecretNotFound", "There is no Secret web-tls."), "CertificateNotFound", Severity.BLOCKING),
    ],
)
def test_without_its_certificate_a_service_is_not_made_and_an_existing_one_follows_its_servers(
    reading, reason, severity
):
    manifest = lab.spec(lab.service(tls=TLS))
    found = plan(Pair(), lab.wanted(manifest, certificates={"https": reading}))
    assert found.changes == ()
    assert [(each.reason, each.severity) for each in found.findings] == [(reason, severity)]
    pair = Pair()
    pair.settle(lab.wanted(manifest, certificates={"https": lab.certificate("https", "1")}))
    more = lab.spec(lab.service(tls=TLS, realServers=lab.servers("10.0.5.1", "10.0.5.2", "10.0.5.3")))
    assert names(plan(pair, lab.wanted(more, certificates={"https": reading})).changes) == ["AddRealServer"]


def scaled(count):
    manifest = lab.spec(
        lab.service(realServersFrom={"service": {"name": "web", "port": "http"}}, realServers=[])
    )
    del manifest["services"][0]["virtualService"]["realServers"]
    addresses = (f"10.0.6.{number}" for number in range(1, count + 1))
    return lab.wanted(manifest, endpoints={"https": Present(lab.real(*addresses))})


def test_endpoints_scaled_up_and_down_touch_nothing_but_real_servers():
    pair = Pair()
    pair.settle(scaled(3))
    up = pair.settle(scaled(30))
    assert names(up) == ["AddRealServer"] * 27
    down = pair.settle(scaled(3))
    assert names(down) == ["ModifyRealServer"] * 27 + ["DeleteRealServer"] * 27
    assert plan(pair, scaled(3)).changes == ()


def test_a_real_server_is_drained_for_its_time_and_longer_after_a_restart():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service())))
    pair.now += LONGEST_FIRST_CHECK
    fewer = lab.wanted(lab.spec(lab.service(realServers=lab.servers("10.0.5.1"))))
    assert isinstance(quiet := pair.units_step(fewer), ModifyRealServer)
    assert (quiet.want.enabled, quiet.want.draining) == (False, True)
    assert plan(pair, fewer).look_again == 60
    pair.now += 59
    assert plan(pair, fewer).changes == ()
    pair.crash()
    assert plan(pair, fewer).look_again == 60
    pair.now += 60
    assert names(plan(pair, fewer).changes) == ["DeleteRealServer"]


def test_a_draining_real_server_that_is_wanted_again_takes_connections_again():
    pair = Pair()
    both = lab.wanted(lab.spec(lab.service()))
    pair.settle(both)
    pair.now += LONGEST_FIRST_CHECK
    pair.units_step(lab.wanted(lab.spec(lab.service(realServers=lab.servers("10.0.5.1")))))
    (change,) = plan(pair, both).changes
    assert isinstance(change, ModifyRealServer)
    assert (change.want.enabled, change.want.draining) == (True, False)


def test_new_real_servers_alone_are_nothing_to_wait_for():
    pair = Pair()
    both = lab.wanted(lab.spec(lab.service()))
    pair.settle(both)
    found = plan(pair, both)
    assert found.draining, "they have not been checked yet"
    assert (found.changes, found.look_again) == ((), None)


def test_where_all_servers_are_exchanged_the_old_ones_serve_until_a_new_one_was_checked():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service())))
    others = lab.wanted(lab.spec(lab.service(realServers=lab.servers("10.0.5.8", "10.0.5.9"))))
    assert isinstance(pair.units_step(others), AddRealServer)
    assert isinstance(pair.units_step(others), AddRealServer)
    found = plan(pair, others)
    assert found.changes == ()
    assert found.look_again == 13  # one check every 9 s, 4 s for an answer
    pair.now += 13
    assert names(plan(pair, others).changes) == ["ModifyRealServer", "ModifyRealServer"]


def test_no_ready_endpoint_drains_all_and_says_so_and_the_service_stays_published():
    pair = Pair()
    pair.settle(scaled(2))
    found = plan(pair, scaled(0))
    assert names(found.changes) == ["ModifyRealServer"] * 2
    assert reasons(found) == ["NoRealServers"]
    pair.settle(scaled(0))
    assert list(pair.rules()) == ["https"]
    assert pair.unit.of("https")[0].real_servers == ()


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (Unknown("Forbidden", "no"), "RealServersUnknown"),
        (Absent("ServiceNotFound", "There is no Service web."), "RealServersNotFound"),
    ],
)
def test_what_cannot_be_looked_up_stays(reading, reason):
    pair = Pair()
    target = scaled(3)
    pair.settle(target)
    unknown = replace(target, endpoints={"https": reading})
    found = plan(pair, unknown)
    assert found.changes == ()
    assert reasons(found) == [reason]
    assert found.ready_services


def foreign(nickname, port=443, **more):
    return VirtualService(7, ServiceKey(lab.MASTER, port), nickname=nickname, **more)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (foreign(""), "VirtualServiceClash"),
        (foreign("shop"), "VirtualServiceClash"),
        (foreign("lm_web-2_https@6f1a2b3c"), "VirtualServiceClash"),
        (foreign("shop", 8080, extra_ports=(443,)), "VirtualServiceClash"),
        (foreign("lm_web_https@99999999"), "VirtualServiceOwnedByOther"),
    ],
)
def test_a_place_that_somebody_else_has_blocks_that_service_alone(there, reason):
    pair = Pair(Unit(there))
    target = lab.wanted(lab.spec(lab.service(), lab.service("http", 80)))
    found = plan(pair, target)
    assert [(each.reason, each.subject) for each in found.blocking] == [(reason, "spec.services[0]")]
    assert names(found.changes) == ["AddService", "AddRealServer", "AddRealServer"]
    pair.settle(target)
    assert pair.unit.services[there.key] == there
    assert list(pair.rules()) == ["http"]


def test_adoption_always_takes_over_the_service_of_a_namesake():
    there = foreign("lm_web_https@99999999", real_servers=(RealServer(8, "10.0.9.9", 80),))
    pair = Pair(Unit(there))
    found = plan(pair, lab.wanted(lab.spec(lab.service(), adoption="Always")))
    assert names(found.changes)[0] == "ModifyService"
    pair.settle(lab.wanted(lab.spec(lab.service(), adoption="Always")))
    assert len(pair.unit.of("https")) == 1


def test_services_that_exchange_their_ports_are_told_so():
    pair = Pair()
    pair.settle(
        lab.wanted(lab.spec(lab.service("a", 81, backendPort=1001), lab.service("b", 82, backendPort=1002)))
    )
    crossed = lab.spec(lab.service("a", 81, backendPort=1002), lab.service("b", 82, backendPort=1001))
    found = plan(pair, lab.wanted(crossed))
    assert reasons(found) == ["ServicePortsExchanged", "ServicePortsExchanged"]
    assert found.changes == ()
    assert pair.rules()["a"][0] == 1001


def test_a_manifest_that_no_longer_has_the_virtual_service_leaves_it_alone():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service())))
    target = lab.wanted(lab.spec({"name": "https", "port": 443}))
    assert reasons(plan(pair, target)) == ["VirtualServiceLeftAlone"]
    assert pair.settle(target) == []
    assert len(pair.unit.of("https")) == 1


def test_a_service_waits_while_nobody_can_say_whether_azure_leads_to_it():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service())))
    pair.blind = True
    found = plan(pair, lab.wanted(lab.spec()))
    assert found.changes == ()
    assert reasons(found) == ["StillPublished"]


def test_removal_is_rule_then_opening_then_drain_then_service():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service())))
    gone = lab.wanted(lab.spec())
    assert pair.units_step(gone) is None
    while pair.azure_step(gone) is not None:
        assert pair.units_step(gone) is None
    assert (pair.rules(), pair.openings()) == ({}, {})
    found = plan(pair, gone)
    assert (reasons(found), found.look_again) == (["Draining"], 60)
    assert not found.converged
    pair.now += 60
    assert names(plan(pair, gone).changes) == ["DeleteService"]


def test_a_deleted_pair_drains_nothing_once_azure_leads_nowhere():
    pair = Pair()
    target = lab.wanted(lab.spec(lab.service()))
    pair.settle(target)
    assert pair.units_step(target, deleting=True) is None, "Azure still leads to it"
    while pair.azure_step(target, deleting=True) is not None:
        pass
    assert isinstance(pair.units_step(target, deleting=True), DeleteService)


def test_a_disabled_service_leaves_azure_before_the_unit_and_comes_back_after_it():
    pair = Pair()
    on, off = lab.wanted(lab.spec(lab.service())), lab.wanted(lab.spec(lab.service(enabled="Disabled")))
    pair.settle(on)
    assert reasons(plan(pair, off)) == ["StillPublished"]
    made = pair.settle(off)
    assert isinstance(made[-1], ModifyService)
    assert pair.rules() == {}
    made = pair.settle(on)
    assert isinstance(made[0], ModifyService)
    assert list(pair.rules()) == ["https"]


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, None])
def test_a_disabled_service_that_is_removed_goes_wherever_the_disabling_had_got_to(steps):
    """`steps`: of Azure's side, before the entry is taken out of the manifest; None: all is done."""
    pair = Pair()
    on, off = lab.wanted(lab.spec(lab.service())), lab.wanted(lab.spec(lab.service(enabled="Disabled")))
    pair.settle(on)
    if steps is None:
        pair.settle(off)
    for _ in range(steps or 0):
        pair.azure_step(off)
    gone = lab.wanted(lab.spec())
    pair.settle(gone)
    pair.now += 60
    pair.settle(gone)
    assert (pair.rules(), pair.openings()) == ({}, {})
    assert pair.unit.of("https") == []
    assert plan(pair, gone).converged


def test_a_service_that_was_made_disabled_and_is_removed_goes():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service(enabled="Disabled"))))
    assert pair.rules() == {}
    gone = lab.wanted(lab.spec())
    assert isinstance(pair.settle(gone)[-1], DeleteService)
    assert plan(pair, gone).converged


def test_what_people_set_besides_stays_and_what_azure_forbids_is_put_right():
    pair = Pair()
    target = lab.wanted(lab.spec(lab.service()))
    pair.settle(target)
    (there,) = pair.unit.of("https")
    set_by_hand = replace(there, standby=("10.0.5.99", 80), error_code=503, transparent=True, idle_timeout=5)
    pair.unit.services[there.key] = set_by_hand
    (change,) = plan(pair, target).changes
    assert isinstance(change, ModifyService)
    assert [each.path.rpartition(".")[2] for each in change.differences] == ["idle_timeout", "transparent"]
    assert change.want == replace(there, standby=("10.0.5.99", 80), error_code=503)


@pytest.mark.parametrize(
    ("entry", "subject", "kind"),
    [
        ({"protocol": "UDP"}, "protocol", UnitKind.AGENT),
        ({"healthCheck": {"type": "ICMP"}}, "virtualService.healthCheck.type", UnitKind.AGENT),
        ({"type": "HTTP"}, "virtualService.type", UnitKind.AGENT),
        ({"type": "HTTP2"}, "virtualService.type", UnitKind.APPLIANCE),
        ({"forwardedFor": "Enabled"}, "virtualService.forwardedFor", UnitKind.APPLIANCE),
        (
            {"persistence": {"mode": "ServerCookie", "cookie": "id"}},
            "virtualService.persistence.mode",
            UnitKind.AGENT,
        ),
        ({"backendPort": 6973}, "backendPort", UnitKind.APPLIANCE),
        ({"backendPort": 8443}, "backendPort", UnitKind.APPLIANCE),
        ({"backendPort": 8444}, "backendPort", UnitKind.APPLIANCE),
        ({"backendPort": 22}, "backendPort", UnitKind.APPLIANCE),
        ({"backendPort": 9101}, "backendPort", UnitKind.AGENT),
        ({"backendPort": 65535}, "backendPort", UnitKind.AGENT),
        (
            {"realServers": lab.servers(lab.SLAVE), "backendPort": 80},
            "virtualService.realServers[0]",
            UnitKind.AGENT,
        ),
    ],
)
def test_what_units_cannot_do_is_refused_by_field_before_anything_is_written(entry, subject, kind):
    found = plan(Pair(Unit(kind=kind)), lab.wanted(lab.spec(lab.service(**entry))))
    assert found.changes == ()
    assert [each.subject for each in found.blocking] == [f"spec.services[0].{subject}"]


def test_8443_is_the_units_own_also_where_their_management_is_elsewhere():
    spec = lab.spec(lab.service(backendPort=8443))
    for unit in ("master", "slave"):
        spec[unit]["management"]["port"] = 443
    found = plan(Pair(Unit(kind=UnitKind.APPLIANCE)), lab.wanted(spec))
    assert found.changes == ()
    assert [each.reason for each in found.blocking] == ["ServicePortReserved"]


@pytest.mark.parametrize(
    "entry", [{"protocol": "UDP"}, {"healthCheck": {"type": "ICMP"}}, {"backendPort": 9101}]
)
def test_an_appliance_may_do_what_a_node_agent_cannot(entry):
    found = plan(Pair(Unit(kind=UnitKind.APPLIANCE)), lab.wanted(lab.spec(lab.service(**entry))))
    assert found.blocking == ()
    assert names(found.changes)[0] == "AddService"


def test_a_service_on_another_arm_has_that_arms_address():
    manifest = lab.spec(lab.service(interface="eth1"))
    manifest["highAvailability"] = {"allInterfaces": True}
    found = plan(Pair(), lab.wanted(manifest))
    assert reasons(found) == []
    assert found.changes[0].service.key.address == "10.0.3.4"


def units(master, slave, **kwargs):
    readings = {}
    for role, state in ((Role.MASTER, master), (Role.SLAVE, slave)):
        unit = Unit()
        if state is None:
            readings[role] = Unknown("Unreachable", "no answer")
            continue
        unit.state, unit.mode = state, kwargs.get("mode", Mode(role.value))
        readings[role] = Present(unit.facts(role))
    return UnitsObservation(units=readings)


U, A, S = ObservedState.UNCONNECTED, ObservedState.ACTIVE, ObservedState.STANDBY


@pytest.mark.parametrize(
    ("observation", "active", "expected"),
    [
        (units(A, S), Role.MASTER, Role.MASTER),
        (units(S, A), Role.SLAVE, Role.SLAVE),
        (units(U, U), None, Role.MASTER),
        (units(U, None), None, None),
        (units(U, S), None, None),
        (units(A, A), None, None),
        (units(None, S), Role.MASTER, None),
        (units(U, U, mode=Mode.SINGLE), None, None),
    ],
)
def test_written_is_the_active_unit_or_the_master_of_a_pair_that_was_never_probed(
    observation, active, expected
):
    assert unit_that_takes_writes(observation, active) is expected


@pytest.mark.parametrize(
    ("master", "serves", "expected"),
    [
        (U, Present(False), Role.MASTER),
        (U, Absent(), Role.MASTER),
        (U, Present(True), None),
        (S, Present(False), None),
        (None, Present(False), None),
    ],
)
def test_the_master_of_a_fresh_pair_takes_writes_while_the_slave_reboots(master, serves, expected):
    observation = replace(
        units(master, None), frontend_serves=serves, reboots={Role.SLAVE: RebootUnderWay("boot", 0.0)}
    )
    assert unit_that_takes_writes(observation, None) is expected


def test_the_slave_of_a_fresh_pair_takes_no_writes_while_the_master_reboots():
    observation = replace(units(None, U), reboots={Role.MASTER: RebootUnderWay("boot", 0.0)})
    assert unit_that_takes_writes(observation, None) is None


def test_without_an_active_unit_everything_is_held_back_and_told_once():
    target = lab.wanted(lab.spec(lab.service(), lab.service("http", 80)))
    found = plan_services(target, units(S, S), active=None, now=0)
    assert found.changes == ()
    assert len(found.held_back) == 6
    assert reasons(found) == ["NoUnitTakesWrites"]
    converged = Pair()
    converged.settle(target)
    converged.unit.state = S
    facts = converged.unit.facts()
    idle = plan_services(target, UnitsObservation(units={Role.MASTER: Present(facts)}), active=None, now=0)
    assert idle.converged


def test_a_pair_without_virtual_services_asks_for_nothing():
    found = plan_services(lab.wanted(lab.spec()), units(None, None), active=None, now=0)
    assert found == type(found)()


def test_deletion_takes_all_of_ours_and_orphan_leaves_it():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service())))
    orphan = lab.wanted(lab.spec(lab.service(), deletion="Orphan"))
    assert pair.plan_units(orphan, deleting=True).converged
    made = pair.settle(lab.wanted(lab.spec(lab.service())), deleting=True)
    assert isinstance(made[-1], DeleteService)
    assert pair.unit.services == {}


def test_names_fit_and_tell_whose_they_are():
    longest = Marks(type(MARKS.identity)("n", "p" * 40, MARKS.identity.uid))
    assert len(longest.certificate("s" * 24)) == 64
    assert longest.certificate("s" * 23 + "a") != longest.certificate("s" * 23 + "b")
    assert longest.owns_certificate(longest.certificate("s" * 24))
    assert MARKS.whose("lm_web_https@6f1a2b3c") is Whose.OURS
    assert MARKS.whose("lm_web_https@00000000") is Whose.NAMESAKE
    assert MARKS.whose("lm_web-2_https@6f1a2b3c") is Whose.FOREIGN
    assert not MARKS.owns_certificate("lm_6f1a2b3c_web-2_https")


def test_the_page_has_the_table_of_reasons():
    page = PAGE.read_text(encoding="utf-8")
    start, end = "<!-- reasons -->\n", "\n<!-- end of reasons -->"
    assert page[page.index(start) + len(start) : page.index(end)] == reasons_table(), (
        "docs/services.md is stale: put the output of "
        "loadmaster_ha.planning.units.service_reasons.reasons_table() between its marks"
    )
    assert set(CATALOGUE) == set(type(next(iter(CATALOGUE))))


def test_a_rule_moves_to_another_port_only_when_that_one_answers():
    pair = Pair()
    pair.settle(lab.wanted(lab.spec(lab.service(backendPort=1001))))
    moved = lab.wanted(lab.spec(lab.service(backendPort=1002)))
    assert pair.azure_step(moved) is None  # what was ready at 1001 is not at 1002
    made = pair.settle(moved)
    assert names(made)[0] == "AddService"
    assert isinstance(made[-1], DeleteService)
    assert pair.rules()["https"][0] == 1002
