"""Whatever is written and deleted in whatever order: everything that shows on two sides agrees.

References and back references, addresses and their holders; and a restart changes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loadmaster_ha.emulator import effects, lifecycle, registry
from loadmaster_ha.emulator.armid import ArmId, key_of
from loadmaster_ha.emulator.cloud import Call, Cloud
from loadmaster_ha.emulator.errors import ArmError
from loadmaster_ha.emulator.settings import Settings
from loadmaster_ha.emulator.store import Group, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.cloud import Reply

HERE = {"location": "westeurope"}
NUMBERS = st.integers(0, 1)
SOME = st.sets(NUMBERS)
OFTEN = st.sampled_from([True, True, True, False])
"""Whether an operation is waited for: mostly, or hardly anything would be joined to anything."""


def arm_id(kind: str, name: str) -> ArmId:
    return ArmId("sub", "edge", "Microsoft.Network", (kind,), (name,))


NETWORK = arm_id("virtualNetworks", "app")
SUBNET = f"{NETWORK}/subnets/lm"
BALANCERS = [arm_id("loadBalancers", f"lb{number}") for number in range(2)]
INTERFACES = [arm_id("networkInterfaces", f"nic{number}") for number in range(3)]


ALLOWED = {200, 201, 202, 204, 400, 429}


def status_of(request: Callable[[], Reply]) -> int:
    try:
        return request().status
    except ArmError as refused:
        return refused.status


class Consistency(RuleBasedStateMachine):
    """Writes, deletions, time and restarts in random order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="emulator-consistency-"))
        self.now = 1000.0
        self.open()
        self.cloud.store.put_group(Group("sub", "edge", dict(HERE)))
        subnets = [{"name": "lm", "properties": {"addressPrefix": "10.0.1.0/28"}}]
        space = {"addressPrefixes": ["10.0.0.0/16"]}
        self.put(NETWORK, {"addressSpace": space, "subnets": subnets})

    def open(self) -> None:
        store = Store(self.directory, registry.links_of)
        self.cloud = Cloud(Settings(latency=1.0), store, effects.finish, lambda: self.now)

    def call(self, method: str, target: ArmId, body: Any = None) -> Call:
        return Call(self.cloud, method, str(target), "https://here", version="2024-05-01", body=body or {})

    def put(self, target: ArmId, properties: dict[str, Any], *, wait: bool = True) -> None:
        body = {**HERE, "sku": {"name": "Standard"}, "properties": properties}
        kind = registry.find_type(target.namespace, target.types[0])
        assert kind is not None
        assert status_of(lambda: lifecycle.put(self.call("PUT", target, body), kind, target)) in ALLOWED
        self.cloud.store.flush()
        if wait:
            self.pass_time()

    @rule(which=st.sampled_from(BALANCERS), pools=SOME, nat=SOME, wait=OFTEN)
    def write_balancer(self, *, which: ArmId, pools: set[int], nat: set[int], wait: bool) -> None:
        frontend = {"id": f"{which}/frontendIPConfigurations/f"}
        rules = [
            {
                "name": f"n{number}",
                "properties": {
                    "frontendIPConfiguration": frontend,
                    "frontendPort": 1 + number,
                    "backendPort": 22,
                },
            }
            for number in sorted(nat)
        ]
        self.put(
            which,
            {
                "frontendIPConfigurations": [{"name": "f", "properties": {"subnet": {"id": SUBNET}}}],
                "backendAddressPools": [{"name": f"p{number}"} for number in sorted(pools)],
                "inboundNatRules": rules,
            },
            wait=wait,
        )

    @rule(
        which=st.sampled_from(INTERFACES),
        balancer=st.sampled_from(BALANCERS),
        pools=SOME,
        nat=st.sets(NUMBERS, max_size=1),
        wait=OFTEN,
    )
    def write_interface(
        self, *, which: ArmId, balancer: ArmId, pools: set[int], nat: set[int], wait: bool
    ) -> None:
        properties = {
            "subnet": {"id": SUBNET},
            "loadBalancerBackendAddressPools": [
                {"id": f"{balancer}/backendAddressPools/p{item}"} for item in sorted(pools)
            ],
            "loadBalancerInboundNatRules": [{"id": f"{balancer}/inboundNatRules/n{item}"} for item in nat],
        }
        self.put(which, {"ipConfigurations": [{"name": "a", "properties": properties}]}, wait=wait)

    @rule(which=st.sampled_from([*BALANCERS, *INTERFACES, NETWORK]), wait=OFTEN)
    def delete(self, *, which: ArmId, wait: bool) -> None:
        kind = registry.find_type(which.namespace, which.types[0])
        assert kind is not None
        if which is NETWORK and not self.cloud.store.holders(SUBNET):
            return  # the other rules need it
        assert status_of(lambda: lifecycle.delete(self.call("DELETE", which), kind, which)) in ALLOWED
        self.cloud.store.flush()
        if wait:
            self.pass_time()

    @rule()
    def pass_time(self) -> None:
        self.now += 2
        self.cloud.operations.settle()
        self.cloud.store.flush()

    @rule()
    @precondition(lambda self: self.now > 1002)
    def restart(self) -> None:
        before = self.views()
        self.cloud.store.close()
        self.open()
        assert self.views() == before

    def views(self) -> dict[str, Any]:
        found = self.cloud.store.in_group("sub", "edge")
        return {item.key: registry.type_of(item).view(self.cloud, item) for item in found}

    @invariant()
    def references_lead_somewhere(self) -> None:
        for item in self.cloud.store.in_group("sub", "edge"):
            for reference in self.cloud.store.references(item):
                assert registry.exists(self.cloud.store, reference.target), reference

    @invariant()
    def members_and_balancers_agree(self) -> None:
        joined, shown = set(), set()
        for view in self.views().values():
            properties = view["properties"]
            for item in properties.get("ipConfigurations", []):
                for field in ("loadBalancerBackendAddressPools", "loadBalancerInboundNatRules"):
                    joined |= {
                        (key_of(item["id"]), key_of(target["id"]))
                        for target in item["properties"].get(field, [])
                    }
            for pool in properties.get("backendAddressPools", []):
                for member in pool["properties"].get("backendIPConfigurations", []):
                    shown.add((key_of(member["id"]), key_of(pool["id"])))
            for nat in properties.get("inboundNatRules", []):
                member = nat["properties"].get("backendIPConfiguration")
                if member:
                    shown.add((key_of(member["id"]), key_of(nat["id"])))
        assert joined == shown

    @invariant()
    def addresses_belong_to_one(self) -> None:
        held = []
        for view in self.views().values():
            for field in ("ipConfigurations", "frontendIPConfigurations"):
                held += [
                    item["properties"].get("privateIPAddress") for item in view["properties"].get(field, [])
                ]
        assert len(held) == len(set(held))
        assert set(self.cloud.store.holders(SUBNET)) == set(held)

    def teardown(self) -> None:
        self.cloud.store.close()
        shutil.rmtree(self.directory)


TestConsistency = Consistency.TestCase
TestConsistency.settings = settings(
    max_examples=60, stateful_step_count=30, report_multiple_bugs=False, deadline=None
)
