"""From the stored resources to what the data plane serves: balancers' rules, members, probes, security.

Balancing rules deliver to the ipConfigurations in their pools (or to a pool's addresses), inbound NAT rules
to one ipConfiguration, or with a range of ports to each member of a pool. What is asked for and cannot be
served is named with the reason (`Rule.unserved`), and shown in `/_emulator/flows`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id
from loadmaster_ha.emulator.dataplane.configuration import Configuration, Member, Probe, Rule, Target
from loadmaster_ha.emulator.dataplane.security import groups_of
from loadmaster_ha.emulator.json_types import JsonObject, named, obj, objects, reference_id
from loadmaster_ha.emulator.network.balancer_rules import is_ha_ports, pools_of
from loadmaster_ha.emulator.network.pool_addresses import ADMIN_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.store import Resource, Store

_BALANCERS: Final = "Microsoft.Network/loadBalancers"
_FLOATING: Final = "floating IP is not emulated: members are reached at their own addresses"
_IPV6: Final = "only IPv4 is forwarded"
_LAST_PORT: Final = 65535


def derive(cloud: Cloud) -> Configuration:
    """Return what is to be served now."""
    found = _Derivation(cloud)
    for subscription in cloud.settings.subscriptions:
        for balancer in cloud.store.of_type(subscription, _BALANCERS):
            if balancer.state != "Deleting":
                found.add_balancer(balancer)
    return Configuration(found.members, found.probes, found.rules)


class _Derivation:
    """Collects what all balancers need."""

    def __init__(self, cloud: Cloud) -> None:
        self._store = cloud.store
        self.members: dict[str, Member] = {}
        self.probes: dict[str, Probe] = {}
        self.rules: dict[str, Rule] = {}

    def add_balancer(self, balancer: Resource) -> None:
        """Add a balancer's rules, with the members and probes that they need."""
        for collection, read in (
            ("loadBalancingRules", self._balancing_rules),
            ("inboundNatRules", self._nat_rules),
        ):
            for body in objects(balancer.properties.get(collection)):
                self._add_rules(balancer, collection, body, read)

    def _add_rules(
        self,
        balancer: Resource,
        collection: str,
        body: JsonObject,
        read: Callable[[Resource, JsonObject], Iterator[Rule]],
    ) -> None:
        try:
            rules = list(read(balancer, body))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # Bodies can be stored without any check (`/_emulator/resources`): the others are served still.
            rule_id = key_of(balancer.id.child(collection, str(body.get("name"))))
            why = f"its description cannot be read: {error!r}"
            rules = [Rule(rule_id, balancer.key, "tcp", "", 0, 0, (), unserved=why)]
        self.rules |= {rule.id: rule for rule in rules}

    def _balancing_rules(self, balancer: Resource, body: JsonObject) -> Iterator[Rule]:
        properties = obj(body.get("properties"))
        probe = reference_id(properties.get("probe"))
        targets = {
            target.member: target for pool in pools_of(body) for target in self._in_pool(balancer, pool)
        }
        common = self._common(balancer, "loadBalancingRules", body)
        if is_ha_ports(body):
            common |= {"every_port": True, "protocol": "tcp"}
        yield _checked(
            Rule(
                **common,
                port=int(properties["frontendPort"]),
                backend_port=int(properties["backendPort"]),
                targets=tuple(targets.values()),
                probe=self._probe(balancer, probe) if probe else "",
                distribution=properties.get("loadDistribution", "Default"),
            )
        )

    def _nat_rules(self, balancer: Resource, body: JsonObject) -> Iterator[Rule]:
        """One rule for a NAT rule of one port, one a member for a range of ports (V2)."""
        properties = obj(body.get("properties"))
        common = self._common(balancer, "inboundNatRules", body)
        common |= {"nat": True, "backend_port": int(properties["backendPort"])}
        first, last = properties.get("frontendPortRangeStart"), properties.get("frontendPortRangeEnd")
        if first is None or last is None:
            users = self._store.referrers(common["id"], "nat")
            targets = tuple(Target(self._member(user.source)) for user in users)
            yield _checked(Rule(**common, port=int(properties["frontendPort"]), targets=targets))
            return
        members = [target.member for pool in pools_of(body) for target in self._in_pool(balancer, pool)]
        for port, member in zip(range(int(first), int(last) + 1), members, strict=False):
            numbered = common | {"id": f"{common['id']}/{port}"}
            yield _checked(Rule(**numbered, port=port, targets=(Target(member),)))

    def _common(self, balancer: Resource, collection: str, body: JsonObject) -> dict[str, Any]:
        properties = obj(body.get("properties"))
        address, public = self._frontend(balancer, properties)
        standard = obj(balancer.body.get("sku")).get("name") != "Basic"
        return {
            "id": key_of(balancer.id.child(collection, str(body["name"]))),
            "balancer": balancer.key,
            "protocol": str(properties.get("protocol", "")).lower(),
            "address": address,
            "public": public,
            "idle_seconds": 60.0 * properties.get("idleTimeoutInMinutes", 4),
            "reset_when_idle": bool(properties.get("enableTcpReset")),
            "open_without_group": not (public and standard),
            "unserved": _FLOATING if properties.get("enableFloatingIP") else "",
        }

    def _frontend(self, balancer: Resource, properties: JsonObject) -> tuple[str, bool]:
        """The address of a rule's frontend, and whether it is a public one."""
        parsed = parse_id(reference_id(properties.get("frontendIPConfiguration")) or "")
        frontends = objects(balancer.properties.get("frontendIPConfigurations"))
        frontend = obj(obj(named(frontends, parsed.name) if parsed else None).get("properties"))
        public = reference_id(frontend.get("publicIPAddress"))
        if public is None:
            return str(frontend.get("privateIPAddress", "")), False
        found = self._store.get(public)
        return str(found.properties.get("ipAddress", "")) if found else "", True

    def _probe(self, balancer: Resource, probe_id: str) -> str:
        key, parsed = key_of(probe_id), parse_id(probe_id)
        body = named(objects(balancer.properties.get("probes")), parsed.name) if parsed else None
        properties = obj(obj(body).get("properties"))
        self.probes[key] = Probe(
            id=key,
            protocol=str(properties.get("protocol", "tcp")).lower(),
            port=int(properties.get("port", 0)),
            path=str(properties.get("requestPath", "/")),
            interval=float(properties.get("intervalInSeconds", 15)),
            threshold=int(properties.get("probeThreshold", 1)),
            all_probed_up=properties.get("noHealthyBackendsBehavior") == "AllProbedUp",
        )
        return key

    def _in_pool(self, balancer: Resource, pool_key: str) -> Iterator[Target]:
        pools = objects(balancer.properties.get("backendAddressPools"))
        pool = named(pools, pool_key.rpartition("/")[2])
        states = obj(obj(pool).get(ADMIN_STATES))
        for user in self._store.referrers(pool_key, "pool"):
            yield Target(self._member(user.source), states.get(key_of(user.source), "None"))
        for entry in objects(obj(obj(pool).get("properties")).get("loadBalancerBackendAddresses")):
            target = self._by_address(pool_key, obj(pool), entry)
            if target is not None:
                yield target

    def _by_address(self, pool_key: str, pool: JsonObject, entry: JsonObject) -> Target | None:
        """A member of a pool by address: the interface that has it, when the emulator knows one."""
        properties = obj(entry.get("properties"))
        address = _ipv4(properties.get("ipAddress"))
        network = reference_id(properties.get("virtualNetwork")) or reference_id(
            obj(pool.get("properties")).get("virtualNetwork")
        )
        if not address:
            return None
        admin = properties.get("adminState", "None")
        for subnet in self._subnets(network or ""):
            holder = self._store.holders(subnet).get(address)
            if holder is not None:
                return Target(self._member(holder), admin)
        key = f"{pool_key}/{entry.get('name')}".lower()
        self.members[key] = Member(key, address, running=True)
        return Target(key, admin)

    def _subnets(self, network: str) -> Iterator[ArmId]:
        found = self._store.get(network) if network else None
        if found is not None:
            for item in objects(found.properties.get("subnets")):
                yield found.id.child("subnets", str(item["name"]))

    def _member(self, ip_configuration: str) -> str:
        """Note an interface's ipConfiguration as a member and return its key."""
        key = key_of(ip_configuration)
        if key in self.members:
            return key
        parsed = parse_id(ip_configuration)
        nic = self._store.get(parsed.root) if parsed else None
        items = objects(nic.properties.get("ipConfigurations")) if nic else []
        item = obj(obj(named(items, parsed.name) if parsed else None).get("properties"))
        address = _ipv4(item.get("privateIPAddress"))
        self.members[key] = Member(
            id=key,
            address=address,
            running=bool(address) and machine_runs(self._store, ip_configuration),
            groups=groups_of(self._store, nic, item) if nic else (),
        )
        return key


def _checked(rule: Rule) -> Rule:
    """Return a rule with the reason why it cannot be served, if there is one."""
    why = rule.unserved
    if not rule.address:
        why = "its frontend has no address yet"
    elif not _ipv4(rule.address):
        why = _IPV6
    elif rule.protocol not in ("tcp", "udp"):
        why = f"protocol {rule.protocol} is not forwarded here"
    elif not (rule.every_port or (0 < rule.port <= _LAST_PORT and 0 < rule.backend_port <= _LAST_PORT)):
        why = f"port {rule.port} or {rule.backend_port} is none"
    return replace(rule, unserved=why)


def _ipv4(text: object) -> str:
    """Return an IPv4 address as it stands; empty when it is none."""
    try:
        return str(ipaddress.IPv4Address(str(text)))
    except ValueError:
        return ""


def machine_runs(store: Store, ip_configuration: str) -> bool:
    """Say whether the machine of an interface's ipConfiguration is powered on."""
    parsed = parse_id(ip_configuration)
    for user in store.referrers(parsed.root, "vm-nic") if parsed else ():
        machine = store.get(user.source)
        if machine is not None:
            return bool(machine.hidden.get("power", "running") == "running")
    return False
