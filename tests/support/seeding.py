"""Makes what Microsoft's examples take for granted: the resources that a request names, before it is sent.

An example is a request with made-up names; what it refers to exists nowhere. `Seeder.prepare` writes it
into the emulator: first whatever the example's path and body refer to, then, for a request to something
that must be there already, that thing itself, from the example's own answer where a whole resource can be
made of it, else a plain one.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.armclient import ArmClient
    from tests.support.azspecs import Example
    from tests.support.swagger import SwaggerValidator

_ID = re.compile(r"/subscriptions/[^/\"]+/resourceGroups/[^/\"]+/providers/[^\"]+", re.IGNORECASE)
_VERSIONS = {"microsoft.network": "2024-05-01", "microsoft.compute": "2024-07-01"}
_LOCATION = "eastus"
# Children of these have no PUT of their own: they come with the resource.
_INLINE = {
    "frontendipconfigurations",
    "loadbalancingrules",
    "outboundrules",
    "probes",
    "ipconfigurations",
    "defaultsecurityrules",
}


class SeedError(Exception):
    """What the example takes for granted cannot be made."""


class Seeder:
    """Writes resources into one subscription of the emulator, each once.

    Args:
        arm: a signed-in client.
        subscription: everything goes there; whatever subscription the example names is replaced by it.
        validator: knows which properties of an answer can be sent back in a request.
    """

    def __init__(self, arm: ArmClient, subscription: str, validator: SwaggerValidator) -> None:
        self._arm = arm
        self._subscription = subscription
        self._validator = validator
        self._made: set[str] = set()
        self._subnets = 0

    def moved(self, value: Any) -> Any:
        """A copy of a JSON value with all ids moved into our subscription, and `{name}` made a name."""
        ours = f"/subscriptions/{self._subscription}"
        text = re.sub(r"(?i)/subscriptions/[^/\"?]+", ours, json.dumps(value))
        return json.loads(re.sub(r"{([A-Za-z-]+)}", r"\1", text))

    async def prepare(self, example: Example) -> bool:
        """Make what the example's request needs; whether what it asks for is as the example shows it.

        Raises:
            SeedError: it names a kind of resource that cannot be made here, or the emulator refused one.
        """
        path, body = self.moved(example.path), self.moved(example.body)
        await self._group_of(path, itself=example.method != "PUT")
        target = _resource(path)
        for found in _ids(body):
            if target is None or not found.lower().startswith(target.lower()):
                await self._ensure(found)
        if target is None:
            return False
        if example.method == "PUT":
            await self._ensure_parent(target)
            return True
        if "ipAddress" in example.query:  # an address of a subnet is asked for
            await self._ensure(f"{target}/subnets/first")
        answer = self.moved(example.responses.get(200, {}).get("body"))
        return await self._ensure(target, like=answer if example.method == "GET" else None)

    async def _ensure(self, resource: str, like: Any = None) -> bool:
        """Make a resource, its parents and what it refers to; `like`: an answer that shows its content."""
        if resource.lower() in self._made:
            return False
        self._made.add(resource.lower())
        await self._group_of(resource)
        kinds, names = _kinds_and_names(resource)
        if len(names) > 1 and kinds[-1].lower() in _INLINE:
            parent, _, _ = resource.rpartition(f"/{kinds[-1]}/")
            await self._write_plain(parent, child=(kinds[-1].lower(), names[-1]))
            return False
        await self._ensure_parent(resource)
        if like and await self._write_like(resource, like):
            return True
        await self._write_plain(resource)
        return False

    async def _ensure_parent(self, resource: str) -> None:
        kinds, names = _kinds_and_names(resource)
        if len(names) > 1:
            await self._ensure(resource.rpartition(f"/{kinds[-1]}/")[0])

    async def _write_like(self, resource: str, answer: Any) -> bool:
        """Write the resource as the example shows it; False when the emulator does not take it so."""
        if not isinstance(answer, dict) or "properties" not in answer:
            return False
        body = self._validator.writable("PUT", resource, answer)
        for found in _ids(body):
            if not found.lower().startswith(resource.lower()):
                try:
                    await self._ensure(found)
                except SeedError:
                    return False
        try:
            await self._write(resource, body)
        except SeedError:
            return False
        return True

    async def _write_plain(self, resource: str, child: tuple[str, str] | None = None) -> None:
        body = self._plain(resource, child)
        for found in _ids(body):
            if not found.lower().startswith(resource.lower()):
                await self._ensure(found)
        await self._write(resource, body)

    async def _write(self, resource: str, body: Any) -> None:
        provider = resource.rpartition("/providers/")[2].partition("/")[0].lower()
        version = _VERSIONS.get(provider)
        if version is None:
            raise SeedError(f"{provider} is not emulated")
        answer = await self._arm.send("PUT", f"{resource}?api-version={version}", body)
        if answer.status not in {200, 201}:
            raise SeedError(f"PUT {resource}: {answer.status} {json.dumps(answer.response_body)[:300]}")
        self._made.add(resource.lower())

    async def _group_of(self, resource: str, *, itself: bool = False) -> None:
        found = re.match(r"(?i)/subscriptions/[^/]+/resourceGroups/([^/]+)", resource)
        if found is None or found[0].lower() in self._made or (found[0] == resource and not itself):
            return
        self._made.add(found[0].lower())
        await self._arm.send("PUT", f"{found[0]}?api-version=2024-11-01", {"location": _LOCATION})

    # -- plain resources ---------------------------------------------------------------------------------

    def _plain(self, resource: str, child: tuple[str, str] | None = None) -> Any:
        """The smallest body that makes a resource of this type, with one inline child where asked for."""
        kinds, _ = _kinds_and_names(resource)
        kind = "/".join(kinds).lower()
        maker = getattr(self, f"_plain_{kind.replace('/', '_')}", None)
        if maker is None:
            raise SeedError(f"{kind} is not emulated")
        return maker(resource, child)

    def _plain_virtualnetworks(self, *_: Any) -> Any:
        return {
            "location": _LOCATION,
            "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8", "172.16.0.0/12", "fd00::/16"]}},
        }

    def _plain_virtualnetworks_subnets(self, *_: Any) -> Any:
        number = self._subnets
        self._subnets += 1
        return {
            "properties": {"addressPrefix": str(ipaddress.IPv4Network((0x0A000000 + (number << 16), 16)))}
        }

    def _plain_networksecuritygroups(self, *_: Any) -> Any:
        return {"location": _LOCATION}

    def _plain_networksecuritygroups_securityrules(self, *_: Any) -> Any:
        ends = {"sourcePortRange": "*", "destinationPortRange": "443"}
        places = {"sourceAddressPrefix": "*", "destinationAddressPrefix": "*"}
        rule = {"priority": 130, "direction": "Inbound", "access": "Allow", "protocol": "Tcp"}
        return {"properties": rule | ends | places}

    def _plain_publicipaddresses(self, *_: Any) -> Any:
        return {
            "location": _LOCATION,
            "sku": {"name": "Standard"},
            "properties": {"publicIPAllocationMethod": "Static"},
        }

    def _plain_loadbalancers(self, resource: str, child: tuple[str, str] | None) -> Any:
        name = child[1] if child else "seeded"
        ref = {
            kind: {"id": f"{resource}/{kind}/{name}"}
            for kind in ("frontendIPConfigurations", "backendAddressPools", "probes")
        }
        ends = {"frontendIPConfiguration": ref["frontendIPConfigurations"], "protocol": "Tcp"}
        rule = {
            **ends,
            "frontendPort": 80,
            "backendPort": 80,
            "backendAddressPool": ref["backendAddressPools"],
        }
        probe = {
            "protocol": "Http",
            "requestPath": "/",
            "port": 80,
            "intervalInSeconds": 15,
            "numberOfProbes": 2,
        }
        translation = {**ends, "frontendPort": 81, "backendPort": 81}
        named = {
            "frontendIPConfigurations": {
                "privateIPAllocationMethod": "Dynamic",
                "subnet": self._subnet(resource),
            },
            "backendAddressPools": {},
            "probes": probe,
            "loadBalancingRules": {**rule, "probe": ref["probes"]},
            "inboundNatRules": translation,
        }
        if child and child[0] == "outboundrules":
            outbound = {
                "protocol": "All",
                "frontendIPConfigurations": [ref["frontendIPConfigurations"]],
                "backendAddressPool": ref["backendAddressPools"],
            }
            address = {"publicIPAddress": {"id": self._address(resource)}}
            named |= {
                "outboundRules": outbound,
                "frontendIPConfigurations": address,
                "loadBalancingRules": {},
            }
            del named["loadBalancingRules"]
        lists = {kind: [{"name": name, "properties": item}] for kind, item in named.items()}
        return {"location": _LOCATION, "sku": {"name": "Standard"}, "properties": lists}

    def _plain_loadbalancers_backendaddresspools(self, *_: Any) -> Any:
        return {"properties": {}}

    def _plain_loadbalancers_inboundnatrules(self, resource: str, _: Any) -> Any:
        balancer = resource.rpartition("/inboundNatRules/")[0]
        frontend = {"id": f"{balancer}/frontendIPConfigurations/seeded"}
        return {
            "properties": {
                "frontendIPConfiguration": frontend,
                "protocol": "Tcp",
                "frontendPort": 3389,
                "backendPort": 3389,
            }
        }

    def _plain_networkinterfaces(self, resource: str, child: tuple[str, str] | None) -> Any:
        configuration = {
            "name": child[1] if child else "ipconfig1",
            "properties": {"subnet": self._subnet(resource), "privateIPAllocationMethod": "Dynamic"},
        }
        return {"location": _LOCATION, "properties": {"ipConfigurations": [configuration]}}

    def _plain_availabilitysets(self, *_: Any) -> Any:
        counts = {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}
        return {"location": _LOCATION, "sku": {"name": "Aligned"}, "properties": counts}

    def _plain_virtualmachines(self, resource: str, _: Any) -> Any:
        interface = _sibling(resource, "Microsoft.Network", "networkInterfaces", "seeded-nic")
        return {
            "location": _LOCATION,
            "properties": {
                "hardwareProfile": {"vmSize": "Standard_D1_v2"},
                "networkProfile": {"networkInterfaces": [{"id": interface}]},
            },
        }

    def _subnet(self, resource: str) -> dict[str, str]:
        network = _sibling(resource, "Microsoft.Network", "virtualNetworks", "seeded-vnet")
        return {"id": f"{network}/subnets/seeded"}

    def _address(self, resource: str) -> str:
        return _sibling(resource, "Microsoft.Network", "publicIPAddresses", "seeded-ip")


def _ids(body: Any) -> list[str]:
    return sorted(set(_ID.findall(json.dumps(body))))


def _sibling(resource: str, provider: str, kind: str, name: str) -> str:
    return f"{resource.partition('/providers/')[0]}/providers/{provider}/{kind}/{name}"


def _resource(path: str) -> str | None:
    """The resource that a request is about: its path without a trailing action or collection name."""
    group, found, rest = path.partition("/providers/")
    if not found or "/resourcegroups/" not in group.lower():
        return None
    segments = rest.split("/")
    whole = segments[: len(segments) - (len(segments) + 1) % 2]
    return f"{group}/providers/{'/'.join(whole)}" if len(whole) > 2 else None


def _kinds_and_names(resource: str) -> tuple[list[str], list[str]]:
    segments = resource.rpartition("/providers/")[2].split("/")[1:]
    return segments[0::2], segments[1::2]
