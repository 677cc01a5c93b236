"""The Azure side of the fault and bad-input tests: the guide's set-up on the emulator, as others see it.

`Arm` is a third party with an account of its own: it builds the network and the machines, adds foreign
entries behind the operator's back, and asks afterwards what is there. It shares no code with the operator.
`World` is one resource group holding what the guide asks for before the balancer is made (sections 2 and
3); `snapshot` is its state in a form that two runs have in common. Neighbours: `live_pairs.py` (manifests
and what Kubernetes shows), `arm_proxy.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from tests.support.arm_proxy import forbid_silent_repetition
from tests.support.signed_in import signed_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    import aiohttp

JSON = dict[str, Any]

SUBSCRIPTION: Final = "11111111-2222-3333-4444-555555555555"
CLIENT: Final = "00000000-0000-0000-0000-00000000c0de"
LOCATION: Final = "westeurope"
API_VERSIONS: Final = {
    "microsoft.network": "2024-05-01",
    "microsoft.compute": "2024-07-01",
    "microsoft.resources": "2024-11-01",
}
SETTLED: Final = frozenset({"Succeeded", "Failed", "Canceled"})
PATIENCE_SECONDS: Final = 60.0
"""A safety limit for what takes milliseconds on an idle machine."""
CHANGING: Final = frozenset(
    {"etag", "resourceGuid", "macAddress", "vmId", "timeCreated", "uniqueId", "internalDomainNameSuffix"}
)
"""Fields that Azure fills anew in every run."""


Change = Callable[[JSON], object]


def LEAVE_OUT(_: JSON) -> None:  # noqa: N802 - a constant that has the type of a change
    """As a change in `World.build`: do not make this resource."""


class ArmError(Exception):
    """ARM answered a request of the tests with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Arm:
    """A client of ARM that is not the operator; use it as `async with Arm(url, ca_file) as arm`.

    `connector` is for aiohttp's (`socket_factory`, where the emulator is in a network namespace).
    """

    def __init__(self, url: str, ca_file: Path, **connector: Any) -> None:
        self.url = url.rstrip("/")
        self._ca_file = ca_file
        self._connector = connector
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = await signed_in(self.url, self._ca_file, CLIENT, force_close=True, **self._connector)
        forbid_silent_repetition(self._session)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """One request; the decoded answer, or None for an empty one.

        Raises:
            ArmError: an answer of 400 and above.
        """
        if "api-version" not in path and path.lower().startswith("/subscriptions"):
            path += ("&" if "?" in path else "?") + f"api-version={_api_version(path)}"
        async with self._session.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise ArmError(answer.status, f"{method} {path}: {text}")
            return json.loads(text) if text else None

    async def get(self, resource: str) -> JSON | None:
        """The body of a resource; None where there is none."""
        try:
            found: JSON = await self.request("GET", resource)
        except ArmError as refused:
            if refused.status == 404:
                return None
            raise
        return found

    async def put(self, resource: str, body: JSON, *, if_match: str | None = None) -> JSON:
        """Write a whole resource and wait until Azure has finished with it."""
        headers = {"If-Match": if_match} if if_match else {}
        await self.request("PUT", resource, body, headers)
        return await self.settled(resource)

    async def settled(self, resource: str) -> JSON:
        """The resource once no operation runs on it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                body: JSON = await self.request("GET", resource)
                if body.get("properties", {}).get("provisioningState", "Succeeded") in SETTLED:
                    return body
                await asyncio.sleep(0.02)

    async def delete(self, resource: str) -> None:
        """Delete a resource and wait until it is gone."""
        await self.request("DELETE", resource)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.get(resource) is not None:  # noqa: ASYNC110 - Azure has no event for it
                await asyncio.sleep(0.02)

    async def edit(self, resource: str, change: Change) -> JSON:
        """Read a resource, change it in place, write it back: what a person in the portal does."""
        body = await self.settled(resource)
        change(body)
        _drop_back_references(body)
        return await self.put(resource, body, if_match=body.get("etag"))

    async def add_fault(self, **fault: Any) -> None:
        """Ask the emulator for a fault, in its words (docs/emulator.md); it hits once unless `count`
        says else."""
        await self.request("POST", "/_emulator/faults", fault)

    async def plant(self, resource: str, body: JSON) -> None:
        """Put a resource there that Azure would not take any more, or that is broken."""
        await self.request("PUT", f"/_emulator/resources{resource}", body)

    async def clear_faults(self) -> None:
        await self.request("DELETE", "/_emulator/faults")


@dataclass(frozen=True)
class World:
    """One resource group with the guide's network and machines, and other people's entries in it."""

    arm: Arm
    group: str
    subscription: str = SUBSCRIPTION
    prefix: str = "10.0.2"
    """First three numbers of the subnet's addresses; the virtual network has the /16 around them."""

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    def network(self, kind: str, name: str) -> str:
        return f"{self.group_id}/providers/Microsoft.Network/{kind}/{name}"

    def compute(self, kind: str, name: str) -> str:
        return f"{self.group_id}/providers/Microsoft.Compute/{kind}/{name}"

    @property
    def virtual_network(self) -> str:
        return self.network("virtualNetworks", "app")

    @property
    def subnet(self) -> str:
        return f"{self.virtual_network}/subnets/lb"

    @property
    def security_group(self) -> str:
        return self.network("networkSecurityGroups", "lm-nsg")

    @property
    def balancer(self) -> str:
        return self.network("loadBalancers", "web-ilb")

    def interface(self, index: int) -> str:
        return self.network("networkInterfaces", f"lm-{index}-nic")

    def machine(self, index: int) -> str:
        return self.compute("virtualMachines", f"lm-{index}")

    @property
    def availability_set(self) -> str:
        return self.compute("availabilitySets", "lm-set")

    @property
    def corporate_balancer(self) -> str:
        """Somebody else's public balancer, which the interfaces are members of."""
        return self.network("loadBalancers", "corp-public")

    async def build(self, *, foreign: bool = True, change: Mapping[str, Change] | None = None) -> Self:
        """Make everything that must exist before a pair.

        Args:
            foreign: with other people's entries as well. change: by name of a resource, what is done to its
            body before it is made; `LEAVE_OUT` for not making it.
        """
        changes = change or {}
        await self.arm.request("PUT", self.group_id, {"location": LOCATION})
        for resource, body in self._resources(foreign=foreign):
            alter = changes.get(resource.rsplit("/", 1)[-1])
            if alter is LEAVE_OUT:
                continue
            if alter is not None:
                alter(body)
            await self.arm.put(resource, body)
        return self

    def _resources(self, *, foreign: bool) -> Iterator[tuple[str, JSON]]:
        yield self.security_group, _security_group(foreign=foreign)
        yield self.network("publicIPAddresses", "way-out-ip"), _public_address()
        yield self.network("natGateways", "way-out"), self._nat_gateway()
        yield self.virtual_network, self._virtual_network()
        yield self.availability_set, _availability_set()
        if foreign:
            yield self.network("publicIPAddresses", "corp-ip"), _public_address()
            yield self.corporate_balancer, self._corporate_balancer()
        for index in (0, 1):
            yield self.interface(index), self.interface_body(index, foreign=foreign)
            yield self.machine(index), self.machine_body(index)

    async def build_shared_balancer(self) -> None:
        """Somebody else's internal balancer of the pair's name, with its entries: the pair moves in."""
        await self.arm.put(self.balancer, self._shared_balancer())

    async def snapshot(self, *, exact: bool = False, replace: Mapping[str, str] | None = None) -> JSON:
        """Everything in the resource group, by lower-case id, in canonical form.

        Args:
            exact: keep etags and everything else: equal only when nothing was written at all.
            replace: texts that differ from run to run (uid, namespace) and what to put in their place.
        """
        listed = await self.arm.request("GET", f"{self.group_id}/resources")
        bodies = {item["id"].lower(): await self.arm.get(item["id"]) for item in listed["value"]}
        if not exact:
            for body in bodies.values():
                if body and body["type"].lower() == "microsoft.network/publicipaddresses":
                    body["properties"].pop("ipAddress", None)  # whichever Azure had
        text = json.dumps(bodies if exact else _canonical(bodies))
        # The caller's first: a namespace may be named after the group.
        for old, new in {**(replace or {}), self.group: "GROUP"}.items():
            text = text.replace(old, new)
        result: JSON = json.loads(text)
        return result

    def _nat_gateway(self) -> JSON:
        address = {"id": self.network("publicIPAddresses", "way-out-ip")}
        return {
            "location": LOCATION,
            "sku": {"name": "Standard"},
            "properties": {"publicIpAddresses": [address]},
        }

    def _virtual_network(self) -> JSON:
        subnet = {
            "name": "lb",
            "properties": {
                "addressPrefix": f"{self.prefix}.0/24",
                "networkSecurityGroup": {"id": self.security_group},
                "natGateway": {"id": self.network("natGateways", "way-out")},
            },
        }
        network = f"{self.prefix.rpartition('.')[0]}.0.0/16"
        return {
            "location": LOCATION,
            "properties": {"addressSpace": {"addressPrefixes": [network]}, "subnets": [subnet]},
        }

    def _corporate_balancer(self) -> JSON:
        frontend = {
            "name": "corp-frontend",
            "properties": {"publicIPAddress": {"id": self.network("publicIPAddresses", "corp-ip")}},
        }
        return {
            "location": LOCATION,
            "sku": {"name": "Standard", "tier": "Regional"},
            "properties": {
                "frontendIPConfigurations": [frontend],
                "backendAddressPools": [{"name": "corp-pool"}],
            },
        }

    def interface_body(self, index: int, *, foreign: bool = True) -> JSON:
        configuration: JSON = {
            "name": "primary",
            "properties": {
                "primary": True,
                "privateIPAllocationMethod": "Static",
                "privateIPAddress": f"{self.prefix}.{4 + index}",
                "subnet": {"id": self.subnet},
            },
        }
        body: JSON = {"location": LOCATION, "properties": {"ipConfigurations": [configuration]}}
        if foreign:
            pool = f"{self.corporate_balancer}/backendAddressPools/corp-pool"
            configuration["properties"]["loadBalancerBackendAddressPools"] = [{"id": pool}]
            body["tags"] = {"corp-owner": "network-team"}
        return body

    def machine_body(self, index: int) -> JSON:
        return {
            "location": LOCATION,
            "properties": {
                "availabilitySet": {"id": self.availability_set},
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "networkProfile": {"networkInterfaces": [{"id": self.interface(index)}]},
            },
        }

    def _shared_balancer(self) -> JSON:
        own = self.balancer
        frontend = {"id": f"{own}/frontendIPConfigurations/corp-frontend"}
        pool = {"id": f"{own}/backendAddressPools/corp-pool"}
        rule = {
            "protocol": "Tcp",
            "frontendPort": 7000,
            "backendPort": 7000,
            "frontendIPConfiguration": frontend,
            "backendAddressPool": pool,
            "probe": {"id": f"{own}/probes/corp-probe"},
        }
        translation = {
            "protocol": "Tcp",
            "frontendPort": 7001,
            "backendPort": 7001,
            "frontendIPConfiguration": frontend,
        }
        address = {"ipAddress": "10.0.9.9", "virtualNetwork": {"id": self.virtual_network}}
        return {
            "location": LOCATION,
            "sku": {"name": "Standard", "tier": "Regional"},
            "tags": {"corp-owner": "network-team"},
            "properties": {
                "frontendIPConfigurations": [
                    {"name": "corp-frontend", "properties": _static_address(self.subnet, f"{self.prefix}.50")}
                ],
                "backendAddressPools": [
                    {"name": "corp-pool"},
                    {
                        "name": "corp-addresses",
                        "properties": {
                            "loadBalancerBackendAddresses": [{"name": "corp-9", "properties": address}]
                        },
                    },
                ],
                "probes": [
                    {
                        "name": "corp-probe",
                        "properties": {
                            "protocol": "Tcp",
                            "port": 7000,
                            "intervalInSeconds": 15,
                            "numberOfProbes": 2,
                        },
                    }
                ],
                "loadBalancingRules": [{"name": "corp-rule", "properties": rule}],
                "inboundNatRules": [{"name": "corp-nat", "properties": translation}],
            },
        }


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """What differs between two snapshots, one readable line each; empty when they are equal."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [
            line
            for key in keys
            for line in differences(before.get(key), after.get(key), f"{path}.{_short(key)}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for index, (old, new) in pairs for line in differences(old, new, f"{path}[{index}]")]
    return [] if before == after else [f"{path}: {json.dumps(before)} became {json.dumps(after)}"]


def assert_same(expected: JSON, found: JSON, what: str) -> None:
    """Fail with the list of differing fields."""
    lines = differences(expected, found)
    assert not lines, f"{what}:\n  " + "\n  ".join(lines)


def child(body: JSON, collection: str, name: str) -> JSON | None:
    """The named entry of one of a resource's lists, e.g. `child(balancer, "probes", "corp-probe")`."""
    found = [item for item in body["properties"].get(collection) or [] if item["name"] == name]
    return found[0] if found else None


def security_rule(name: str, **properties: Any) -> JSON:
    """A rule that allows a port from anywhere, but for what `properties` says otherwise."""
    defaults = {
        "protocol": "Tcp",
        "access": "Allow",
        "direction": "Inbound",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "*",
    }
    return {"name": name, "properties": {**defaults, **properties}}


def _security_group(*, foreign: bool) -> JSON:
    rules = [
        security_rule(
            "corp-monitoring", priority=200, sourceAddressPrefix="10.1.0.0/16", destinationPortRange="9100"
        ),
        security_rule(
            "corp-no-telnet",
            priority=4000,
            access="Deny",
            destinationPortRange="23",
            description="Security team, ticket 4711",
        ),
    ]
    return {"location": LOCATION, "properties": {"securityRules": rules if foreign else []}}


def _public_address() -> JSON:
    return {
        "location": LOCATION,
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }


def _availability_set() -> JSON:
    return {
        "location": LOCATION,
        "sku": {"name": "Aligned"},
        "properties": {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5},
    }


def _static_address(subnet: str, address: str) -> JSON:
    return {
        "subnet": {"id": subnet},
        "privateIPAddress": address,
        "privateIPAllocationMethod": "Static",
        "privateIPAddressVersion": "IPv4",
    }


def _api_version(path: str) -> str:
    _, found, rest = path.lower().partition("/providers/")
    return API_VERSIONS.get(rest.split("/")[0] if found else "", API_VERSIONS["microsoft.resources"])


def _drop_back_references(body: JSON) -> None:
    """Leave out what Azure fills in for interface members: sending it back can be refused."""
    for pool in body.get("properties", {}).get("backendAddressPools") or []:
        if (pool.get("properties") or {}).get("backendIPConfigurations"):
            pool["properties"].pop("loadBalancerBackendAddresses", None)


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        # An empty list and none mean the same to ARM; which one there is depends on who wrote last.
        kept = (key for key in sorted(value) if key not in CHANGING and value[key] != [])
        return {key: _canonical(value[key]) for key in kept}
    if isinstance(value, list):
        return sorted((_canonical(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _short(key: str) -> str:
    return "/".join(key.rsplit("/", 2)[-2:]) if key.startswith("/") else key
