"""Both sides of published services at once, in any interleaving, killed anywhere (Hypothesis).

What must hold after every single write: Azure leads nobody to a service that cannot answer, no virtual
service goes while Azure leads to it, nobody else's is touched. And it ends where the manifest says.
"""

import copy
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.unit.planning import services_world as lab
from tests.unit.planning.services_world import MARKS, Pair, Unit

from loadmaster_ha.domain.unit_changes import DeleteRealServer, DeleteService, UnitChange
from loadmaster_ha.domain.units import UnitKind
from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService
from loadmaster_ha.planning.units.observation import UnitsTarget

EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)

ADDRESSES = ["10.0.5.1", "10.0.5.2", "10.0.5.3", "10.0.5.4"]
FOREIGN = VirtualService(
    index=7,
    key=ServiceKey(lab.MASTER, 9000),
    nickname="somebody's",
    real_servers=(RealServer(8, "10.0.9.9", 80),),
)
NAMESAKE = replace(FOREIGN, index=9, key=ServiceKey(lab.MASTER, 9002), nickname="lm_web_https@99999999")
OTHER_PAIR = replace(FOREIGN, index=11, key=ServiceKey(lab.MASTER, 9001), nickname="lm_other_https@99999999")


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """Up to three services, whose backend ports no two share (that, the API server would refuse)."""
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True))
    backends = draw(st.lists(st.sampled_from([1000, 1001, 1002, 1003]), min_size=3, max_size=3, unique=True))
    found = []
    for name, backend in zip(names, backends, strict=False):
        if draw(st.integers(0, 9)) == 0:
            found.append({"name": name, "port": 100 + ord(name), "backendPort": backend})
            continue
        addresses = draw(st.lists(st.sampled_from(ADDRESSES), max_size=4, unique=True))
        more: dict[str, Any] = {
            "realServers": lab.servers(*addresses),
            "drainSeconds": draw(st.sampled_from([0, 5, 60])),
            "interface": draw(st.sampled_from(["eth0", "eth0", "eth1"])),
            "enabled": draw(st.sampled_from(["Enabled", "Enabled", "Enabled", "Disabled"])),
            "scheduling": draw(st.sampled_from(["RoundRobin", "LeastConnection"])),
        }
        if draw(st.booleans()):
            more["tls"] = {"certificateSecretRef": {"name": "web-tls"}}
        found.append(lab.service(name, 100 + ord(name), backendPort=backend, **more))
    return lab.spec(*found)


@st.composite
def targets(draw: st.DrawFn) -> UnitsTarget:
    manifest = draw(manifests())
    prints = {name: draw(st.sampled_from("12")) for name in "abc"}
    certificates = {name: lab.certificate(name, each) for name, each in prints.items()}
    return lab.wanted(manifest, certificates=certificates)


class Watched:
    """A pair whose every write is looked at."""

    def __init__(self, kind: UnitKind) -> None:
        self.pair = Pair(Unit(FOREIGN, NAMESAKE, OTHER_PAIR, kind=kind))
        self.pair.unit.certificates["theirs"] = "f" * 64

    def units(self, target: UnitsTarget, *, deleting: bool = False) -> bool:
        before = copy.deepcopy(self.pair.unit)
        change = self.pair.units_step(target, deleting=deleting)
        if change is not None:
            self._judge_units(target, before, change)
        for each in (FOREIGN, NAMESAKE, OTHER_PAIR):
            assert self.pair.unit.services[each.key] == each
        assert self.pair.unit.certificates["theirs"] == "f" * 64
        return change is not None

    def azure(self, target: UnitsTarget, *, deleting: bool = False) -> bool:
        before = self.pair.rules()
        done = self.pair.azure_step(target, deleting=deleting) is not None
        managed = {each.name: each for each in target.pair.spec.services if each.virtual_service}
        for name, rule in self.pair.rules().items():
            if name in managed and before.get(name) != rule:
                assert self.answers(name, rule), f"{name} is led to {rule}, where nothing answers"
        return done

    def answers(self, name: str, rule: tuple[int, str]) -> bool:
        port, pool = rule
        arm = "eth1" if pool.endswith("_eth1") else "eth0"
        address = {"eth0": lab.MASTER, "eth1": "10.0.3.4"}[arm]
        there = self.pair.unit.services.get(ServiceKey(address, port))
        return (
            there is not None
            and there.nickname == MARKS.nickname(name)
            and there.enabled
            and any(each.enabled for each in there.real_servers)
        )

    def _judge_units(self, target: UnitsTarget, before: Unit, change: UnitChange) -> None:
        if isinstance(change, DeleteService):
            name = change.service.nickname.removeprefix("lm_web_").split("@")[0]
            port = change.service.key.port
            rule = self.pair.rules().get(name)
            on_arm = "pool_eth1" if change.service.key.address == "10.0.3.4" else "pool"
            assert rule is None or rule[0] != port or not rule[1].endswith(on_arm)
            if rule is None:
                place = (change.service.key.address, port)
                assert place not in self.pair.openings().get(name, set())
        if isinstance(change, DeleteRealServer):
            service = before.services[change.service.key]
            name = service.nickname.removeprefix("lm_web_").split("@")[0]
            entry = next(each for each in target.pair.spec.services if each.name == name)
            assert entry.virtual_service is not None
            assert not change.server.enabled or entry.virtual_service.drain_seconds == 0

    def settle(self, target: UnitsTarget, *, deleting: bool = False) -> None:
        for _ in range(400):
            done = [self.units(target, deleting=deleting), self.azure(target, deleting=deleting)]
            if not any(done):
                plan = self.pair.plan_units(target, deleting=deleting)
                if plan.look_again is None:
                    return
                self.pair.now += plan.look_again
        raise AssertionError("never ends")


steps = st.lists(st.sampled_from(["units", "units", "azure", "azure", "time", "crash"]), max_size=40)


def _run(watched: Watched, target: UnitsTarget, course: list[str]) -> None:
    for step in course:
        match step:
            case "units":
                watched.units(target)
            case "azure":
                watched.azure(target)
            case "time":
                watched.pair.now += 7
            case "crash":
                watched.pair.crash()


def _exchanged(watched: Watched, target: UnitsTarget) -> bool:
    plan = watched.pair.plan_units(target)
    return any(found.reason in {"ServicePortsExchanged", "VirtualServiceClash"} for found in plan.blocking)


@EXAMPLES
@given(
    st.lists(st.tuples(targets(), st.booleans(), steps), min_size=1, max_size=4), st.sampled_from(UnitKind)
)
def test_nothing_is_led_to_that_cannot_answer_and_nothing_goes_that_is_led_to(history, kind):
    watched = Watched(kind)
    for target, finished, course in history:
        _run(watched, target, course)
        if finished:
            watched.settle(target)
    target = history[-1][0]
    watched.settle(target)
    if _exchanged(watched, target):
        return  # told, and waits for a person
    _is_as_wanted(watched, target)
    watched.settle(target, deleting=True)
    assert set(watched.pair.unit.services) == {FOREIGN.key, NAMESAKE.key, OTHER_PAIR.key}
    assert watched.pair.unit.certificates == {"theirs": "f" * 64}


def _is_as_wanted(watched: Watched, target: UnitsTarget) -> None:
    pair = watched.pair
    spec = target.pair.spec
    handed_over = {each.name for each in spec.services if each.virtual_service is None}
    expected = set()
    for each in spec.services:
        wanted = each.virtual_service
        if wanted is None:
            assert each.name in pair.rules()
            continue
        expected.add(each.name)
        place = ServiceKey(lab.ARMS[lab.Role.MASTER, each.interface or "eth0"], each.backend_port)
        there = pair.unit.services[place]
        # A new place without real servers cannot answer: Azure leads to the old one, which stays until then.
        assert wanted.real_servers == () or pair.unit.of(each.name) == [there]
        assert there.enabled is (wanted.enabled == "Enabled")
        assert {(server.address, server.port) for server in there.real_servers} == {
            (server.address, server.port) for server in wanted.real_servers
        }
        assert (there.tls is not None) is (wanted.tls is not None)
        if there.tls is not None:
            assert there.tls.certificates == (MARKS.certificate(each.name),)
            fingerprint = target.certificates[each.name].value.fingerprint
            assert pair.unit.certificates[MARKS.certificate(each.name)] == fingerprint
        if not there.enabled:
            assert each.name not in pair.rules()
            assert each.name not in pair.openings()
        elif wanted.real_servers and each.name in pair.rules():
            assert pair.rules()[each.name][0] == each.backend_port
        if there.enabled and wanted.real_servers:
            assert each.name in pair.rules()
            arms = {lab.ARMS[role, each.interface or "eth0"] for role in lab.Role}
            assert pair.openings()[each.name] == {(address, each.backend_port) for address in arms}
    ours = [each for each in pair.unit.services.values() if each.nickname.startswith("lm_web_")]
    for each in ours:
        name = each.nickname.removeprefix("lm_web_").split("@")[0]
        assert name in expected | handed_over or each == NAMESAKE
    assert set(pair.rules()) <= {each.name for each in spec.services}
    plan = pair.plan_units(target)
    assert not plan.changes
    if all(each.virtual_service is None or each.virtual_service.real_servers for each in spec.services):
        assert not plan.waiting


@EXAMPLES
@given(targets(), targets(), st.sampled_from(UnitKind))
def test_a_whole_plan_can_be_made_without_looking_in_between(old, new, kind):
    pair = Pair(Unit(kind=kind))
    pair.settle(old)
    for _ in range(60):
        plan = pair.plan_units(new)
        for change in plan.changes:
            pair.unit.apply(change)
        if pair.azure_step(new) is None and not plan.changes:
            if plan.look_again is None:
                return
            pair.now += plan.look_again
    raise AssertionError("never ends")


@EXAMPLES
@given(targets(), targets(), st.integers(0, 30), st.data())
def test_a_killed_operator_ends_where_one_that_lived_does(old, new, steps_made, data):
    lived, killed = Pair(), Pair()
    lived.settle(old)
    lived.settle(new)
    killed.settle(old)
    for _ in range(steps_made):
        data.draw(st.sampled_from([killed.units_step, killed.azure_step]))(new)
        if data.draw(st.booleans()):
            killed.crash()
    killed.settle(new)
    assert killed.rules() == lived.rules()
    assert killed.openings() == lived.openings()
    assert _shown(killed) == _shown(lived)


def _shown(pair: Pair) -> Any:
    return {
        key: (
            replace(each, index=0, real_servers=()),
            {replace(server, index=0) for server in each.real_servers},
        )
        for key, each in pair.unit.services.items()
    }
