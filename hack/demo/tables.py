"""What is in Azure after all, as tables for a terminal."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

JSON = dict[str, Any]


def balancer_tables(balancer: JSON, security_group: JSON, interfaces: list[JSON]) -> Iterator[Table]:
    """The balancer with its rules, the security rules, and who is a member."""
    yield _balancer(balancer)
    yield _security(security_group)
    yield _members(interfaces)


def _balancer(body: JSON) -> Table:
    table = _table(
        f"load balancer {body['name']} ({body['sku']['name']})", "what", "name", "from", "to", "details"
    )
    properties = body["properties"]
    for item in properties["frontendIPConfigurations"]:
        inner = item["properties"]
        table.add_row("frontend", item["name"], "", "", str(inner.get("privateIPAddress", "public")))
    for item in properties["backendAddressPools"]:
        members = item["properties"].get("backendIPConfigurations") or []
        table.add_row("pool", item["name"], "", "", f"{len(members)} interfaces")
    for item in properties["probes"]:
        inner = item["properties"]
        details = f"every {inner['intervalInSeconds']} s, threshold {inner['probeThreshold']}"
        table.add_row("probe", item["name"], "", f"{inner['port']}{inner.get('requestPath', '')}", details)
    for item in properties["loadBalancingRules"]:
        inner = item["properties"]
        details = (
            f"{inner['protocol']}, idle {inner['idleTimeoutInMinutes']} min, {inner['loadDistribution']}"
        )
        table.add_row("rule", item["name"], str(inner["frontendPort"]), str(inner["backendPort"]), details)
    for item in properties["inboundNatRules"]:
        inner = item["properties"]
        target = inner.get("backendIPConfiguration", {}).get("id", "nowhere").split("/")
        unit = target[8] if len(target) > 8 else target[0]
        table.add_row("NAT", item["name"], str(inner["frontendPort"]), str(inner["backendPort"]), unit)
    return table


def _security(body: JSON) -> Table:
    table = _table(f"security group {body['name']}", "priority", "rule", "from", "to port", "access")
    for item in sorted(body["properties"]["securityRules"], key=lambda rule: rule["properties"]["priority"]):
        inner = item["properties"]
        table.add_row(
            str(inner["priority"]),
            item["name"],
            _either(inner, "sourceAddressPrefix", "sourceAddressPrefixes"),
            _either(inner, "destinationPortRange", "destinationPortRanges"),
            inner["access"],
        )
    return table


def _members(interfaces: list[JSON]) -> Table:
    table = _table("interfaces", "interface", "address", "pools", "NAT rules")
    for body in interfaces:
        for configuration in body["properties"]["ipConfigurations"]:
            inner = configuration["properties"]
            table.add_row(
                body["name"], inner["privateIPAddress"], _names(inner, "loadBalancerBackendAddressPools"),
                _names(inner, "loadBalancerInboundNatRules"),
            )  # fmt: skip
    return table


def requests_table(took: dict[str, float], counts: JSON) -> Table:
    """How long each step took, and what was asked of Azure in all."""
    table = _table("summary", "what", "figure")
    for what, seconds in took.items():
        table.add_row(what, f"{seconds:.1f} s")
    for kind, methods in counts["byResourceType"].items():
        told = ", ".join(f"{number} {method}" for method, number in sorted(methods.items()))
        table.add_row(f"requests, {kind.rpartition('.')[2].partition('/')[2] or kind}", told)
    table.add_row("requests in all, the demo's own included", str(counts["total"]))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _either(properties: JSON, single: str, several: str) -> str:
    return properties.get(single) or ", ".join(properties.get(several) or [])


def _names(properties: JSON, collection: str) -> str:
    return ", ".join(item["id"].rpartition("/")[2] for item in properties.get(collection) or [])
