"""A stage for visits to the units of a pair: one pair on an API server, two agents, all kept in memory.

Reading and writing stand in (`planning.units.simulate` says what a unit is after a change); the real client
and writer against real APIs are tests/contract and tests/integration.
"""

import asyncio
import contextlib
import copy
from collections import Counter, defaultdict
from dataclasses import replace

from tests.unit.planning.world import guide_spec

from loadmaster_ha.controller.azure_view import AzureView
from loadmaster_ha.controller.board import Board
from loadmaster_ha.controller.events import Recorder
from loadmaster_ha.controller.exchange import Exchange
from loadmaster_ha.controller.lease import LeaseLost
from loadmaster_ha.controller.registry import PairKey, Pairs
from loadmaster_ha.controller.unit_inputs import Gathered
from loadmaster_ha.controller.units.frontend_gap import Attempts
from loadmaster_ha.controller.units.lane import UnitsController
from loadmaster_ha.controller.units.rebooting import Returns
from loadmaster_ha.controller.units.switching import Switching
from loadmaster_ha.controller.units.writing import Writing
from loadmaster_ha.controller.workqueue import Visit, VisitOutcome
from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import Reboot
from loadmaster_ha.domain.units import (
    AgentInputs,
    AgentStatus,
    HighAvailabilitySettings,
    ObservedState,
    UnitFacts,
    UnitKind,
)
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.write_errors import NotKeptError
from loadmaster_ha.planning.units import simulate
from loadmaster_ha.planning.units.observation import UnitsObservation
from loadmaster_ha.telemetry.operator import OperatorMetrics

KEY = PairKey("edge", "web")
ADDRESSES = {Role.MASTER: "10.0.2.4", Role.SLAVE: "10.0.2.5"}
COMMANDS = frozenset({"setlmcommsecret", "agentswitchover", "reboot"})


def pair():
    spec = guide_spec()
    spec["services"] = []
    spec["highAvailability"] = {"sharedSecretRef": {"name": "partner"}}
    for unit in ("master", "slave"):
        spec[unit] = {**spec[unit], "management": {"credentialsSecretRef": {"name": "login"}}}
    metadata = {
        "namespace": "edge",
        "name": "web",
        "uid": "u-1",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return {"metadata": metadata, "spec": spec}


def fresh(role):
    return UnitFacts(
        role=role,
        kind=UnitKind.AGENT,
        firmware="0.1.0.0",
        identity=f"serial:{role}",
        boot="boot 1",
        commands=COMMANDS,
        settings=HighAvailabilitySettings(),
        mode_in_force=Mode.SINGLE,
        state=ObservedState.UNKNOWN,
        services=Present(()),
        agent=AgentStatus(1, Mode.SINGLE, ObservedState.UNKNOWN),
        inputs=AgentInputs(),
    )


class Cluster:
    """One pair on an API server; `refusals` fail the next writes of its status."""

    def __init__(self):
        self.body, self.events, self.statuses, self.refusals = pair(), [], [], []

    async def get_pair(self, *_):
        return copy.deepcopy(self.body)

    async def set_finalizers(self, _, finalizers):
        self._changed()["finalizers"] = list(finalizers)
        return copy.deepcopy(self.body)

    async def apply_status(self, _, status):
        if self.refusals:
            raise self.refusals.pop()
        self._changed()
        self.body["status"] = copy.deepcopy(status)
        self.statuses.append(status)
        return copy.deepcopy(self.body)

    async def create_event(self, _, event):
        self.events.append((event["reason"], event["note"]))

    async def request(self, *_, body, **__):
        assert [each["op"] for each in body] == ["test", "remove"]
        del self._changed()["annotations"]
        return {}

    def annotate(self, **annotations):
        self._changed()["annotations"] = {f"loadmaster.dev/{k}": v for k, v in annotations.items()}

    def _changed(self):
        metadata = self.body["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        return metadata


class Client:
    certificate = None

    def __init__(self, role):
        self.role = role


class Units:
    """Both units: what is written takes effect, and a reboot is over when `boots` says so."""

    def __init__(self):
        self.facts = {role: fresh(role) for role in Role}
        self.faults, self.writes, self.after_write = {}, [], lambda _: None
        self.before_write = lambda _: None
        self.looks, self.asked = Counter(), Counter()
        self.unread, self.kept_otherwise = defaultdict(list), set()
        self.answers = asyncio.Event()
        self.answers.set()

    async def observe(self, _, role, **__):
        self.looks[role] += 1
        self.unread.pop(role, None)
        if role in self.faults:
            raise self.faults[role]
        return self.facts[role]

    async def boot(self, client):
        self.asked[client.role] += 1
        await self.answers.wait()
        if client.role in self.faults:
            raise self.faults[client.role]
        return self.facts[client.role].boot

    async def write(self, client, change, _):
        assert client.role is change.role
        self.before_write(change)
        self.writes.append(change)
        if isinstance(change, Reboot):
            self._boot(change.role)
        else:
            observation = UnitsObservation({role: Present(found) for role, found in self.facts.items()})
            after = simulate.after(observation, change)
            self.facts[change.role] = after.units[change.role].value
        self.after_write(change)

    async def carry_out(self, client, change, material):
        self.unread[change.role].append(change)
        await self.write(client, change, material)

    async def read_back(self, client, changes):
        assert list(changes) == self.unread.pop(client.role)
        if client.role in self.kept_otherwise:
            raise NotKeptError("The HA mode", [Difference("HaMode", "single", "master")])

    def _boot(self, role):
        assert not self.unread[role], "it is read back before anything is built on it"
        facts = self.facts[role]
        state = ObservedState.UNCONNECTED
        self.facts[role] = replace(
            facts,
            boot=f"boot {int(facts.boot.split()[1]) + 1}",
            mode_in_force=facts.settings.mode,
            state=state,
            agent=AgentStatus(2, facts.settings.mode, state),
        )

    def polled(self):
        for role, state in ((Role.MASTER, ObservedState.ACTIVE), (Role.SLAVE, ObservedState.STANDBY)):
            self.facts[role] = replace(self.facts[role], state=state)


class Stage:
    def __init__(self):
        self.cluster, self.units = Cluster(), Units()
        self.metrics = OperatorMetrics(version="0", kopf_version="0")
        self.woken, self.leads, self.answers = [], True, []
        self.clients = {role: Client(role) for role in Role}
        self.frontend_asked, self.attempts, self.refusals = [], [], {}
        self.pairs = Pairs()
        self.pairs.update(self.cluster.body)
        self.start()

    def start(self):
        """A new process."""
        recorder = Recorder(self.cluster, instance="test")
        self.board = Board(self.cluster, recorder, self.metrics)
        self.board.learn(self.cluster.body)
        self.exchange = Exchange(
            wake_azure=lambda _: None,
            wake_units=self.woken.append,
            refresh_watch=lambda _: None,
            stored=self.board.stored,
        )
        view = AzureView(
            addresses=ADDRESSES,
            arm_addresses={(role, "eth0"): address for role, address in ADDRESSES.items()},
            frontend=Present("10.0.2.100"),
            published=Present(frozenset()),
            ports=Present(frozenset({8444})),
        )
        self.exchange.azure_seen(KEY, view)
        self.returns = Returns(boot=self.units.boot, wake=self.woken.append)
        self.controller = UnitsController(
            kubernetes=self.cluster,
            pairs=self.pairs,
            board=self.board,
            exchange=self.exchange,
            sessions=self,
            inputs=self,
            observe=self.units.observe,
            returns=self.returns,
            writing=Writing(
                kubernetes=self.cluster,
                board=self.board,
                metrics=self.metrics,
                permit=self.permit,
                write=self.units.write,
                carry_out=self.units.carry_out,
                read_back=self.units.read_back,
            ),
            switching=Switching(
                kubernetes=self.cluster,
                board=self.board,
                permit=self.permit,
                order=self.order,
                wake=self.woken.append,
                watching=self.watching,
            ),
            probe_source="168.63.129.16",
        )

    def permit(self):
        if not self.leads:
            raise LeaseLost("it is another's")

    async def get(self, _, role, *__, **___):
        return self.clients[role]

    def refusal(self, _, role):
        return self.refusals.get(role, "")

    async def forget(self, _):
        pass

    async def gather(self, *_, **__):
        return Gathered(Present("d1"), material=Material("a-secret-of-ours", "d1"))

    @contextlib.asynccontextmanager
    async def watching(self, *asked):
        """Somebody who asks the frontend meanwhile."""
        self.frontend_asked.append(asked)
        yield Attempts({443: self.attempts})

    async def order(self, client, to):
        return self.answers.pop(0)(client, to)

    async def visit(self, *, woken=False):
        return await self.controller.visit(Visit(KEY, woken=woken, waited=0.0))

    async def until_woken(self):
        async with asyncio.timeout(30):
            while KEY not in self.woken:  # noqa: ASYNC110 - the exchange wakes by a plain call
                await asyncio.sleep(0.02)

    async def until_at_rest(self, most=60):
        for _ in range(most):
            following = await self.visit()
            if following.outcome is not VisitOutcome.CHANGED and not self.rebooting:
                return following
        raise AssertionError(f"still at work after {most} visits: {self.units.writes}")

    @property
    def rebooting(self):
        return bool(self.controller._memories[KEY].reboots)

    def condition(self, kind):
        return next(each for each in self.cluster.body["status"]["conditions"] if each["type"] == kind)


async def built(stage):
    await stage.until_at_rest()
    stage.units.polled()
    await stage.until_at_rest()
    assert stage.condition("HASynced")["status"] == "True", stage.condition("HASynced")
