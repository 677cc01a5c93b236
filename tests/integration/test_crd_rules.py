"""Each rule of the LoadMasterPair's schema on the real API server: once kept, once broken."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.pairs import (
    ABSENT,
    DEFINITIONS,
    GENEROUS_SECONDS,
    SUBSCRIPTION,
    Manifest,
    Pairs,
    changed,
    install_crd,
    managed_pair,
    public_pair,
    short_pair,
    two_armed_pair,
)

from controlplane.server import ApiError
from loadmaster_ha.resources import crd

ACCESS = "spec.loadBalancer.managementAccess"
FRONTEND = "spec.loadBalancer.frontend"
INTERFACE_ID = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/networkInterfaces/{}"
OTHER_SUBSCRIPTION = "99999999-2222-3333-4444-555555555555"
FINGERPRINT = "ab" * 32
TLS = {"certificateSecretRef": {"name": "shop-tls"}}
FROM_NODES = {"service": {"name": "shop", "port": "http"}, "nodeLabels": {"pool": "front"}}


def service(name: str = "https", port: int = 443, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, **more}


def virtual(port: int = 443, *, more: dict[str, Any] | None = None, **fields: Any) -> list[dict[str, Any]]:
    """One service with a virtual service of the given fields."""
    return [service(port=port, virtualService=fields, **(more or {}))]


@dataclass(frozen=True)
class Case:
    """A rule with a pair that keeps it and one that breaks it.

    `message` is the refusal as a person reads it: the field's path, the kind of error, the words.
    `rule` is the rule's own text where the server fills values in.
    """

    name: str
    message: str
    refused: dict[str, Any]
    accepted: dict[str, Any] = field(default_factory=dict)
    base: Manifest = field(default_factory=short_pair)
    rule: str = ""


CASES = [
    Case(
        "name-at-most-40-characters",
        "the name of a LoadMasterPair has at most 40 characters",
        accepted={"metadata.name": "a" * 40},
        refused={"metadata.name": "a" * 41},
    ),
    Case(
        "tag-name-characters",
        "spec.azure.tags: Invalid value: a tag's name has 1 to 512 characters and none of < > % & \\ ? /",
        accepted={"spec.azure.tags": {"cost-center": "42"}},
        refused={"spec.azure.tags": {"cost/center": "42"}},
    ),
    Case(
        "tag-name-length",
        "spec.azure.tags: Invalid value: a tag's name has 1 to 512 characters",
        accepted={"spec.azure.tags": {"a" * 512: ""}},
        refused={"spec.azure.tags": {"a" * 513: ""}},
    ),
    Case(
        "tag-backslash",
        "a tag's name has 1 to 512 characters and none of < > % & \\ ? /",
        accepted={"spec.azure.tags": {"a:b c": "<%/"}},
        refused={"spec.azure.tags": {"a\\b": ""}},
    ),
    Case(
        "reserved-tag-names",
        "spec.azure.tags: Forbidden: tags whose name begins with loadmaster.dev- are the operator's own",
        accepted={"spec.azure.tags": {"team-azure": "x"}},
        refused={"spec.azure.tags": {"LoadMaster.dev-owner": "x"}},
    ),
    Case(
        "management-port",
        "spec.slave.management.port: Invalid value: 6973: management.port cannot be 22 (SSH) or 6973",
        accepted={"spec.slave.management.port": 9443},
        refused={"spec.slave.management.port": 6973},
        rule="management.port cannot be 22",
    ),
    Case(
        "same-interface-by-name",
        "spec.slave.networkInterfaces: Invalid value: master and slave must have network interfaces of their "
        "own",
        accepted={"spec.slave.networkInterfaces.0.resource": "lm-2-nic"},
        refused={"spec.slave.networkInterfaces.0.resource": "LM-0-NIC"},
    ),
    Case(
        "same-interface-by-id",
        "master and slave must have network interfaces of their own",
        accepted={
            "spec.slave.networkInterfaces.0.resource": INTERFACE_ID.format(SUBSCRIPTION, "other", "lm-0-nic")
        },
        refused={
            "spec.slave.networkInterfaces.0.resource": INTERFACE_ID.format(SUBSCRIPTION, "EDGE", "lm-0-nic")
        },
    ),
    Case(
        "same-interface-as-another-arm",
        "master and slave must have network interfaces of their own",
        base=two_armed_pair(),
        refused={"spec.slave.networkInterfaces.1.resource": "lm-0-nic"},
    ),
    Case(
        "same-interface-twice-in-a-unit",
        "master and slave must have network interfaces of their own",
        base=two_armed_pair(),
        refused={"spec.master.networkInterfaces.1.resource": "lm-0-nic"},
    ),
    Case(
        "interfaces-in-the-subscription",
        "the network interfaces must be in the subscription azure.subscriptionID",
        accepted={
            "spec.master.networkInterfaces.0.resource": INTERFACE_ID.format(SUBSCRIPTION, "edge", "lm-0-nic")
        },
        refused={
            "spec.master.networkInterfaces.0.resource": INTERFACE_ID.format(
                OTHER_SUBSCRIPTION, "edge", "lm-0-nic"
            )
        },
    ),
    Case(
        "same-virtual-machine",
        "spec.slave.virtualMachine: Invalid value: master and slave must be two different virtual machines",
        accepted={"spec.master.virtualMachine.name": "lm-0", "spec.slave.virtualMachine.name": "lm-1"},
        refused={"spec.master.virtualMachine.name": "lm-0", "spec.slave.virtualMachine.name": "LM-0"},
    ),
    Case(
        "same-address",
        "spec.slave.address: Invalid value: master and slave must have different addresses",
        accepted={"spec.master.address": "10.0.2.4", "spec.slave.address": "10.0.2.5"},
        refused={"spec.master.address": "10.0.2.4", "spec.slave.address": "10.0.2.4"},
    ),
    Case(
        "same-management-address",
        "spec.slave.management.address: Invalid value: master and slave must have different management",
        accepted={
            "spec.master.address": "10.0.2.4",
            "spec.slave.address": "10.0.2.5",
            "spec.slave.management.address": "10.0.2.4",
            "spec.slave.management.port": 8442,
        },
        refused={
            "spec.master.address": "10.0.2.4",
            "spec.slave.address": "10.0.2.5",
            "spec.slave.management.address": "10.0.2.4",
        },
    ),
    Case(
        "frontend-address-of-a-unit",
        "spec.loadBalancer.frontend.privateIPAddress: Invalid value: the frontend needs an address of its "
        "own",
        accepted={"spec.slave.address": "10.0.2.5", f"{FRONTEND}.privateIPAddress": "10.0.2.100"},
        refused={"spec.slave.address": "10.0.2.5", f"{FRONTEND}.privateIPAddress": "10.0.2.5"},
    ),
    Case(
        "same-interface-names",
        "spec.slave.networkInterfaces: Invalid value: both units must have network interfaces of the same "
        "names",
        base=two_armed_pair(),
        refused={"spec.slave.networkInterfaces.1.name": "eth2"},
    ),
    Case(
        "same-number-of-interfaces",
        "both units must have network interfaces of the same names",
        refused={"spec.slave.networkInterfaces.1": {"name": "eth1", "resource": "lm-1-nic-1"}},
    ),
    Case(
        "same-primary-interface",
        "the first network interface is the primary one; it must have the same name on both units",
        base=two_armed_pair(),
        refused={
            "spec.slave.networkInterfaces": [
                {"name": "eth1", "resource": "lm-1-nic-1"},
                {"name": "eth0", "resource": "lm-1-nic"},
            ]
        },
    ),
    *(
        Case(
            f"check-port-{port}",
            f"spec.healthCheck.port: Invalid value: {port}: the check port cannot be one of "
            "19, 21, 22, 25, 70, 110, 119, 143, 220, 993, 6973, 8443, 9101: Azure refuses it",
            accepted={"spec.healthCheck.port": port + 2 if port == 21 else port + 1},
            refused={"spec.healthCheck.port": port},
        )
        for port in (19, 21, 22, 25, 70, 110, 119, 143, 220, 993, 6973, 8443, 9101)
        if port != 220  # the port above it is the guide's own for SSH: below
    ),
    Case(
        "check-port-220",
        "spec.healthCheck.port: Invalid value: 220: the check port cannot be one of",
        accepted={"spec.healthCheck.port": 219},
        refused={"spec.healthCheck.port": 220},
        rule="the check port cannot be one of",
    ),
    Case(
        "private-address-of-a-public-balancer",
        "spec.loadBalancer.frontend.privateIPAddress: Forbidden: privateIPAddress is only for type Internal",
        base=public_pair(),
        refused={f"{FRONTEND}.privateIPAddress": "10.0.2.100"},
    ),
    Case(
        "subnet-of-a-public-balancer",
        "spec.loadBalancer.frontend.subnet: Forbidden: subnet is only for type Internal",
        base=public_pair(),
        refused={f"{FRONTEND}.subnet": {"virtualNetwork": "app", "name": "lb"}},
    ),
    Case(
        "public-address-of-an-internal-balancer",
        "spec.loadBalancer.frontend.publicIPAddress: Forbidden: publicIPAddress is only for type Public",
        accepted={f"{FRONTEND}.privateIPAddress": "10.0.2.100"},
        refused={f"{FRONTEND}.publicIPAddress": {"name": "web-ip"}},
    ),
    Case(
        "internal-balancer-without-subnet",
        "spec.loadBalancer.frontend.subnet: Required value: an Internal balancer needs frontend.subnet",
        refused={f"{FRONTEND}.subnet": ABSENT},
    ),
    Case(
        "public-balancer-without-address",
        "spec.loadBalancer.frontend.publicIPAddress: Required value: a Public balancer needs",
        base=public_pair(),
        refused={f"{FRONTEND}.publicIPAddress": ABSENT},
    ),
    Case(
        "dns-label-of-an-existing-address",
        "spec.loadBalancer.frontend.publicIPAddress.dnsLabel: Forbidden: dnsLabel is set only on an address "
        "that the operator creates",
        base=public_pair(),
        accepted={
            f"{FRONTEND}.publicIPAddress.dnsLabel": "shop",
            f"{FRONTEND}.publicIPAddress.create": True,
        },
        refused={f"{FRONTEND}.publicIPAddress.dnsLabel": "shop"},
    ),
    Case(
        "kemp360-excludes-nat-to-8443",
        "spec.loadBalancer.managementAccess.webInterface: Forbidden: kemp360Central balances port 8443",
        accepted={f"{ACCESS}.kemp360Central": True, f"{ACCESS}.webInterface.mode": "Disabled"},
        refused={f"{ACCESS}.kemp360Central": True, f"{ACCESS}.webInterface.mode": "NAT"},
    ),
    Case(
        "kemp360-takes-8443-of-the-frontend",
        "spec.loadBalancer.managementAccess.ssh: Invalid value: with kemp360Central port 8443 of the "
        "frontend",
        accepted={f"{ACCESS}.kemp360Central": True, f"{ACCESS}.ssh.master": 8442},
        refused={f"{ACCESS}.kemp360Central": True, f"{ACCESS}.ssh.master": 8443},
    ),
    Case(
        "management-ports-of-one-kind",
        "spec.loadBalancer.managementAccess: Invalid value: management port 222 is used more than once",
        accepted={f"{ACCESS}.ssh.master": 223},
        refused={f"{ACCESS}.ssh.master": 222},
        rule="the ports of webInterface and ssh must all be different",
    ),
    Case(
        "management-ports-of-two-kinds-by-default",
        "management port 8442 is used more than once",
        accepted={f"{ACCESS}.ssh.slave": 8442, f"{ACCESS}.webInterface.mode": "Disabled"},
        refused={f"{ACCESS}.ssh.slave": 8442},
    ),
    Case(
        "management-ports-of-what-is-off",
        "management port 9000 is used more than once",
        accepted={f"{ACCESS}.ssh": {"mode": "Disabled", "master": 9000, "slave": 9000}},
        refused={f"{ACCESS}.ssh": {"mode": "NAT", "master": 9000, "slave": 9000}},
    ),
    Case(
        "check-port-is-a-management-port",
        "spec.healthCheck.port: Invalid value: check port 8442 is also a management port of the frontend",
        accepted={"spec.healthCheck.port": 8442, f"{ACCESS}.webInterface.mode": "Disabled"},
        refused={"spec.healthCheck.port": 8442},
        rule="the check port is also a management port",
    ),
    Case(
        "check-port-is-the-units-management-port",
        "spec.healthCheck.port: Invalid value: the check port cannot be the units' management port",
        accepted={"spec.healthCheck.port": 9444, "spec.master.management.port": 9443},
        refused={"spec.healthCheck.port": 9443, "spec.master.management.port": 9443},
    ),
    Case(
        "kemp360-wants-one-management-port",
        "spec.slave.management.port: Invalid value: with kemp360Central both units must have the same",
        accepted={"spec.slave.management.port": 9443},
        refused={"spec.slave.management.port": 9443, f"{ACCESS}.kemp360Central": True},
    ),
    Case(
        "service-on-the-check-port",
        "spec.services: Invalid value: service https: its port or backendPort is the check port",
        accepted={"spec.services": [service(port=8445)]},
        refused={"spec.services": [service("http", 80), service(port=8444, backendPort=443)]},
        rule="its port or backendPort is the check port",
    ),
    Case(
        "service-to-the-check-port",
        "service https: its port or backendPort is the check port (healthCheck.port); choose another one",
        accepted={"spec.services": [service(protocol="UDP", backendPort=8444)]},
        refused={"spec.services": [service(backendPort=8444)]},
    ),
    Case(
        "service-on-a-management-port",
        "spec.services: Invalid value: service https: its port is a management port of the frontend",
        accepted={"spec.services": [service(port=8441, protocol="UDP")]},
        refused={"spec.services": [service(port=8441)]},
        rule="its port is a management port",
    ),
    Case(
        "service-on-a-management-port-that-is-off",
        "service https: its port is a management port of the frontend",
        accepted={"spec.services": [service(port=221)], f"{ACCESS}.ssh.mode": "Disabled"},
        refused={"spec.services": [service(port=221)]},
    ),
    Case(
        "service-beside-kemp360",
        "spec.services: Invalid value: service https: with kemp360Central port 8443 and the units' "
        "management port are taken",
        accepted={"spec.services": [service(port=8443, backendPort=443)]},
        refused={"spec.services": [service(port=8443, backendPort=443)], f"{ACCESS}.kemp360Central": True},
        rule="with kemp360Central port 8443 and the units' management port are taken",
    ),
    Case(
        "kemp360-target-of-a-service",
        "service https: with kemp360Central port 8443 and the units' management port are taken",
        accepted={"spec.services": [service(backendPort=8442)], f"{ACCESS}.kemp360Central": True},
        refused={"spec.services": [service(backendPort=8443)], f"{ACCESS}.kemp360Central": True},
    ),
    Case(
        "service-to-the-management-port",
        "spec.services: Invalid value: service https: its backendPort is the management port, the target of "
        "NAT rules",
        accepted={
            "spec.services": [service(backendPort=8443)],
            f"{ACCESS}.webInterface.mode": "Disabled",
        },
        refused={"spec.services": [service(backendPort=8443)]},
        rule="its backendPort is the management port",
    ),
    Case(
        "service-to-another-management-port",
        "service https: its backendPort is the management port",
        accepted={"spec.services": [service(backendPort=9443)]},
        refused={"spec.services": [service(backendPort=9443)], "spec.slave.management.port": 9443},
    ),
    Case(
        "service-to-ssh",
        "spec.services: Invalid value: service sftp: its backendPort is 22, the target of NAT rules",
        accepted={"spec.services": [service("sftp", 22)], f"{ACCESS}.ssh.mode": "Disabled"},
        refused={"spec.services": [service("sftp", 22)]},
        rule="its backendPort is 22",
    ),
    Case(
        "service-to-the-synchronisation-port",
        "spec.services[0]: Invalid value: backend port 6973 is where the units synchronise their settings",
        accepted={"spec.services": [service(protocol="UDP", backendPort=6973)]},
        refused={"spec.services": [service(backendPort=6973)]},
    ),
    Case(
        "tcp-reset-of-udp",
        "spec.services[0].tcpReset: Invalid value: tcpReset is only for protocol TCP",
        accepted={"spec.services": [service(tcpReset="Enabled")]},
        refused={"spec.services": [service(tcpReset="Enabled", protocol="UDP")]},
    ),
    Case(
        "service-of-an-unknown-interface",
        "spec.services: Invalid value: service https: interface must be the name of one of the units' "
        "networkInterfaces, and eth7 is none",
        base=two_armed_pair(),
        accepted={"spec.services": [service(interface="eth1")]},
        refused={"spec.services": [service("http", 80), service(interface="eth7")]},
        rule="interface must be the name of",
    ),
    Case(
        "services-of-the-same-port",
        "spec.services: Invalid value: more than one service on TCP/443; choose another port",
        accepted={"spec.services": [service(), service("quic", 443, protocol="UDP")]},
        refused={"spec.services": [service(), service("other", 443, backendPort=444)]},
        rule="two services cannot have the same protocol and port",
    ),
    Case(
        "services-of-the-same-backend-port",
        "spec.services: Invalid value: backend port TCP/443 of eth0 is used by more than one service",
        base=two_armed_pair(),
        accepted={"spec.services": [service(), service("other", 444, backendPort=443, interface="eth1")]},
        refused={"spec.services": [service(), service("other", 444, backendPort=443, interface="eth0")]},
        rule="two services of the same interface and protocol",
    ),
    Case(
        "security-groups-of-the-same-name",
        "spec.networkSecurity.securityGroups: Invalid value: a security group stands here once",
        accepted={"spec.networkSecurity.securityGroups": [{"name": "lm-nsg"}, {"name": "lb-nsg"}]},
        refused={"spec.networkSecurity.securityGroups": [{"name": "lm-nsg"}, {"name": "LM-nsg"}]},
    ),
    Case(
        "services-of-the-same-name",
        'spec.services[1]: Duplicate value: {"name":"https"}',
        accepted={"spec.services": [service(), service("https-2", 444)]},
        refused={"spec.services": [service(), service("https", 444)]},
    ),
    Case(
        "credentials-of-both-units",
        "spec.slave.management.credentialsSecretRef: Invalid value: management.credentialsSecretRef must be "
        "set on both units or on neither",
        accepted={
            "spec.master.management.credentialsSecretRef.name": "lm-0-login",
            "spec.slave.management.credentialsSecretRef.name": "lm-1-login",
        },
        refused={"spec.master.management.credentialsSecretRef.name": "lm-0-login"},
    ),
    Case(
        "management-address-of-both-units",
        "spec.slave.management.address: Invalid value: master and slave must have different management "
        "addresses or ports",
        accepted={
            "spec.master.management": {"address": "10.0.2.100", "port": 8441},
            "spec.slave.management": {"address": "10.0.2.100", "port": 8442},
        },
        refused={
            "spec.master.management.address": "10.0.2.4",
            "spec.slave.management.address": "10.0.2.4",
        },
    ),
    Case(
        "fingerprint-of-another-kind",
        'Invalid value: "sha1 Fingerprint=ABAB": a SHA-256 fingerprint has 64 hexadecimal digits, with '
        "or without colons: take it as `openssl x509 -noout -fingerprint -sha256`",
        accepted={
            "spec.master.management.tls.fingerprintSHA256": "sha256 Fingerprint=" + FINGERPRINT.upper(),
            "spec.slave.management.tls.fingerprintSHA256": "sha256:" + ":".join(["cd"] * 32),
        },
        refused={"spec.master.management.tls.fingerprintSHA256": "sha1 Fingerprint=ABAB"},
    ),
    Case(
        "fingerprint-beside-an-authority",
        "spec.master.management.tls.fingerprintSHA256: Forbidden: with fingerprintSHA256 exactly that "
        "certificate is accepted",
        accepted={"spec.master.management.tls.fingerprintSHA256": FINGERPRINT},
        refused={
            "spec.master.management.tls.fingerprintSHA256": FINGERPRINT,
            "spec.master.management.tls.caSecretRef.name": "lm-ca",
        },
    ),
    Case(
        "fingerprint-beside-a-name",
        "with fingerprintSHA256 exactly that certificate is accepted, whoever signed it",
        accepted={
            "spec.master.management.tls": {"caSecretRef": {"name": "lm-ca"}, "serverName": "lm-0.example"}
        },
        refused={
            "spec.master.management.tls": {"fingerprintSHA256": FINGERPRINT, "serverName": "lm-0.example"}
        },
    ),
    Case(
        "virtual-service-without-credentials",
        "spec.services: Invalid value: service https: virtualService needs management.credentialsSecretRef "
        "on both units",
        accepted={
            "spec.services": virtual(),
            "spec.master.management.credentialsSecretRef.name": "lm-0-login",
            "spec.slave.management.credentialsSecretRef.name": "lm-1-login",
        },
        refused={"spec.services": [service("http", 80), *virtual()]},
        rule="virtualService needs management.credentialsSecretRef",
    ),
    Case(
        "service-of-an-arm-that-is-not-probed",
        "spec.services: Invalid value: service https: it is on another interface than the primary one, where "
        "the units answer the probe only with highAvailability.allInterfaces: true",
        base=managed_pair(),
        accepted={
            "spec.services": [service(interface="eth1")],
            "spec.highAvailability.allInterfaces": True,
        },
        refused={"spec.services": [service("http", 80, interface="eth0"), service(interface="eth1")]},
        rule="it is on another interface than the primary one",
    ),
    *(
        Case(
            f"virtual-service-on-port-{port}",
            "service https: its virtual service would be on port 22 (SSH) or the management port of the "
            "units",
            base=changed(
                managed_pair(),
                {
                    "spec.slave.management.port": 9443,
                    f"{ACCESS}.webInterface.mode": "Disabled",
                    f"{ACCESS}.ssh.mode": "Disabled",
                },
            ),
            accepted={"spec.services": [service(port=443, backendPort=port)]},
            refused={"spec.services": virtual(more={"backendPort": port})},
            rule="its virtual service would be on port 22",
        )
        for port in (22, 8443, 9443)
    ),
    Case(
        "virtual-service-on-the-synchronisation-port",
        "backend port 6973 is where the units synchronise their settings",
        base=managed_pair(),
        refused={"spec.services": virtual(more={"backendPort": 6973})},
    ),
    Case(
        "virtual-service-on-the-check-port",
        "service https: its port or backendPort is the check port (healthCheck.port)",
        base=managed_pair(),
        refused={"spec.services": virtual(more={"backendPort": 8444})},
    ),
    *(
        Case(
            f"virtual-service-on-port-{port}-of-a-unit",
            "spec.services[0].backendPort: Invalid value: the port of a virtual service on the units is 3 to "
            "65530",
            base=managed_pair(),
            accepted={"spec.services": virtual(more={"backendPort": inside})},
            refused={"spec.services": virtual(more={"backendPort": port})},
            rule="the port of a virtual service on the units is 3 to 65530",
        )
        for port, inside in ((2, 3), (65531, 65530))
    ),
    Case(
        "virtual-service-of-requests-on-udp",
        "spec.services[0].virtualService: Invalid value: a virtual service on UDP has type Generic and no "
        "tls",
        base=managed_pair(),
        accepted={"spec.services": virtual(more={"protocol": "UDP"})},
        refused={"spec.services": virtual(more={"protocol": "UDP"}, type="HTTP")},
    ),
    Case(
        "virtual-service-with-tls-on-udp",
        "a virtual service on UDP has type Generic and no tls",
        base=managed_pair(),
        refused={"spec.services": virtual(more={"protocol": "UDP"}, tls=TLS)},
    ),
    Case(
        "real-servers-of-two-kinds",
        "spec.services[0].virtualService.realServersFrom: Forbidden: give either realServers or "
        "realServersFrom, not both",
        base=managed_pair(),
        accepted={"spec.services": virtual(realServersFrom={"service": {"name": "shop", "port": "http"}})},
        refused={
            "spec.services": virtual(
                realServers=[{"address": "10.0.3.7", "port": 80}],
                realServersFrom={"service": {"name": "shop", "port": "http"}},
            )
        },
    ),
    Case(
        "forwarded-for-of-bytes",
        "spec.services[0].virtualService.forwardedFor: Invalid value: forwardedFor needs type HTTP or HTTP2",
        base=managed_pair(),
        accepted={"spec.services": virtual(type="HTTP", forwardedFor="Enabled")},
        refused={"spec.services": virtual(tls=TLS, forwardedFor="Enabled")},
    ),
    Case(
        "persistence-by-cookie-of-bytes",
        "spec.services[0].virtualService.persistence.mode: Invalid value: persistence by cookie needs type "
        "HTTP or HTTP2",
        base=managed_pair(),
        accepted={
            "spec.services": virtual(type="HTTP", persistence={"mode": "ActiveCookie", "cookie": "lm"})
        },
        refused={"spec.services": virtual(persistence={"mode": "ActiveCookie", "cookie": "lm"})},
    ),
    Case(
        "persistence-by-a-cookie-without-name",
        "spec.services[0].virtualService.persistence.cookie: Invalid value: cookie is required with mode "
        "ServerCookie and ActiveCookie, and only there",
        base=managed_pair(),
        accepted={
            "spec.services": virtual(type="HTTP", persistence={"mode": "ServerCookie", "cookie": "sid"})
        },
        refused={"spec.services": virtual(type="HTTP", persistence={"mode": "ServerCookie"})},
    ),
    Case(
        "cookie-of-another-persistence",
        "cookie is required with mode ServerCookie and ActiveCookie, and only there",
        base=managed_pair(),
        accepted={"spec.services": virtual(persistence={"mode": "SourceAddress"})},
        refused={"spec.services": virtual(persistence={"mode": "SourceAddress", "cookie": "sid"})},
    ),
    Case(
        "http2-without-tls",
        "spec.services[0].virtualService.tls: Required value: type HTTP2 needs tls",
        base=managed_pair(),
        accepted={"spec.services": virtual(type="HTTP2", tls=TLS)},
        refused={"spec.services": virtual(type="HTTP2")},
    ),
    *(
        Case(
            f"check-{name}-without-requests",
            "spec.services[0].virtualService.healthCheck.type: Invalid value: path, host, method and "
            "statusCodes are only for type HTTP and HTTPS",
            base=managed_pair(),
            accepted={"spec.services": virtual(healthCheck={"type": "HTTPS", name: value})},
            refused={"spec.services": virtual(healthCheck={name: value})},
        )
        for name, value in (
            ("path", "/healthz"),
            ("host", "shop.example"),
            ("method", "GET"),
            ("statusCodes", [404]),
        )
    ),
    *(
        Case(
            f"check-port-of-{kind}",
            "spec.services[0].virtualService.healthCheck.port: Forbidden: port is only for type TCP, HTTP "
            "and HTTPS",
            base=managed_pair(),
            accepted={"spec.services": virtual(healthCheck={"port": 9000})},
            refused={"spec.services": virtual(healthCheck={"type": kind, "port": 9000})},
        )
        for kind in ("ICMP", "None")
    ),
    Case(
        "check-longer-than-its-interval",
        "spec.services[0].virtualService.healthCheck.timeoutSeconds: Invalid value: timeoutSeconds cannot be "
        "longer than intervalSeconds",
        base=managed_pair(),
        accepted={"spec.services": virtual(healthCheck={"intervalSeconds": 10, "timeoutSeconds": 10})},
        refused={"spec.services": virtual(healthCheck={"intervalSeconds": 9, "timeoutSeconds": 10})},
    ),
    Case(
        "node-labels-of-endpoints",
        "spec.services[0].virtualService.realServersFrom.nodeLabels: Forbidden: nodeLabels are only for mode "
        "Nodes",
        base=managed_pair(),
        accepted={"spec.services": virtual(realServersFrom={**FROM_NODES, "mode": "Nodes"})},
        refused={"spec.services": virtual(realServersFrom=FROM_NODES)},
    ),
    Case(
        "real-servers-twice",
        "spec.services[0].virtualService.realServers[1]: Duplicate value",
        base=managed_pair(),
        accepted={
            "spec.services": virtual(
                realServers=[{"address": "10.0.3.7", "port": 80}, {"address": "10.0.3.7", "port": 81}]
            )
        },
        refused={"spec.services": virtual(realServers=[{"address": "10.0.3.7", "port": 80}] * 2)},
    ),
]

IMMUTABLE = [
    Case(
        "subscription",
        "spec.azure.subscriptionID: Forbidden: azure.subscriptionID cannot be changed from "
        f"{SUBSCRIPTION} to {OTHER_SUBSCRIPTION}; create another LoadMasterPair",
        refused={"spec.azure.subscriptionID": OTHER_SUBSCRIPTION},
        rule="azure.subscriptionID cannot be changed",
    ),
    Case(
        "resource-group",
        "spec.azure.resourceGroup: Forbidden: azure.resourceGroup cannot be changed from edge to other; "
        "create",
        refused={"spec.azure.resourceGroup": "other"},
        rule="azure.resourceGroup cannot be changed",
    ),
    Case(
        "balancer-name",
        "spec.loadBalancer.name: Forbidden: loadBalancer.name cannot be changed from web-ilb to web; create",
        refused={"spec.loadBalancer.name": "web"},
        rule="loadBalancer.name cannot be changed",
    ),
    Case(
        "balancer-type",
        "spec.loadBalancer.type: Forbidden: loadBalancer.type cannot be changed from Internal to Public; "
        "Azure cannot convert a balancer",
        refused={
            "spec.loadBalancer.type": "Public",
            FRONTEND: {"publicIPAddress": {"name": "web-ip"}},
        },
        rule="loadBalancer.type cannot be changed",
    ),
    Case(
        "subnet-name",
        "spec.loadBalancer.frontend.subnet: Forbidden: loadBalancer.frontend.subnet cannot be changed; "
        "create",
        refused={f"{FRONTEND}.subnet.name": "other"},
    ),
    Case(
        "subnet-network",
        "loadBalancer.frontend.subnet cannot be changed",
        refused={f"{FRONTEND}.subnet.virtualNetwork": "other"},
    ),
    Case(
        "subnet-gets-a-resource-group",
        "loadBalancer.frontend.subnet cannot be changed",
        refused={f"{FRONTEND}.subnet.resourceGroup": "net"},
    ),
    Case(
        "subnet-loses-its-resource-group",
        "loadBalancer.frontend.subnet cannot be changed",
        base=changed(short_pair(), {f"{FRONTEND}.subnet.resourceGroup": "net"}),
        refused={f"{FRONTEND}.subnet.resourceGroup": ABSENT},
    ),
    Case(
        "subnet-removed",
        "loadBalancer.frontend.subnet cannot be changed",
        refused={f"{FRONTEND}.subnet": ABSENT},
    ),
    Case(
        "subnet-added",
        "loadBalancer.frontend.subnet cannot be changed",
        base=public_pair(),
        refused={f"{FRONTEND}.subnet": {"virtualNetwork": "app", "name": "lb"}},
    ),
]


def named(case: Case) -> str:
    return case.name


@pytest.fixture
def pairs(control_plane, namespace):
    install_crd(control_plane)
    return Pairs(control_plane, namespace)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_manifest_that_breaks_the_rule_is_refused_in_words(pairs, case):
    with pytest.raises(ApiError) as refused:
        pairs.try_out(changed(case.base, case.refused))
    assert refused.value.status == 422
    assert case.message in refused.value.message


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_manifest_that_keeps_the_rule_is_accepted(pairs, case):
    manifest = changed(case.base, case.accepted)
    assert pairs.try_out(manifest)["metadata"]["name"] == manifest["metadata"]["name"]


@pytest.mark.parametrize("case", IMMUTABLE, ids=named)
def test_what_cannot_be_changed_stays(pairs, case):
    stored = pairs.create(case.base)
    with pytest.raises(ApiError) as refused:
        pairs.update(changed(stored, case.refused))
    assert refused.value.status == 422
    assert case.message in refused.value.message
    assert pairs.get("web")["spec"] == stored["spec"]


def test_everything_else_can_be_changed(pairs):
    stored = pairs.create(short_pair())
    again = pairs.update(
        changed(
            stored,
            {
                f"{FRONTEND}.privateIPAddress": "10.0.2.100",
                "spec.azure.location": "westeurope",
                "spec.slave.networkInterfaces.0.resource": "lm-2-nic",
                "spec.services": [service()],
                "spec.healthCheck.port": 8445,
                "spec.suspend": True,
            },
        )
    )
    assert again["metadata"]["generation"] == stored["metadata"]["generation"] + 1


def test_an_object_older_than_a_rule_can_still_be_changed_elsewhere(start_control_plane):
    """Ratcheting: a rule on a part is not asked again while that part stays as it is."""
    plane = start_control_plane()
    lenient = crd.definition()
    spec = lenient["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["x-kubernetes-validations"]
    del spec["properties"]["healthCheck"]["properties"]["port"]["x-kubernetes-validations"]
    plane.request("POST", DEFINITIONS, lenient)
    install_crd(plane)
    pairs = Pairs(plane, plane.create_namespace())
    stored = pairs.create(changed(short_pair(), {"spec.healthCheck.port": 25}))

    current = plane.request("GET", f"{DEFINITIONS}/{crd.NAME}")
    plane.request("PUT", f"{DEFINITIONS}/{crd.NAME}", {**current, "spec": crd.definition()["spec"]})
    until_refused(pairs, changed(short_pair("new"), {"spec.healthCheck.port": 25}))

    suspended = pairs.update(changed(stored, {"spec.suspend": True}))
    assert suspended["spec"]["suspend"] is True
    with pytest.raises(ApiError, match="the check port cannot be one of"):
        pairs.update(changed(suspended, {"spec.healthCheck.port": 110}))


def until_refused(pairs, manifest):
    """Until the API server has taken over a stricter schema."""
    deadline = time.monotonic() + GENEROUS_SECONDS
    while (refusal := pairs.refusal(manifest)) is None:
        assert time.monotonic() < deadline, f"the old schema still holds after {GENEROUS_SECONDS} s"
        time.sleep(0.05)
    assert "the check port cannot be one of" in refusal.message


def rules_of(schema: dict[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    for child in (
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ):
        if child:
            yield from rules_of(child)


def test_every_rule_of_the_schema_has_a_case():
    provoked = [case.rule or case.message.split(": ", 2)[-1] for case in (*CASES, *IMMUTABLE)]
    rules = list(rules_of(crd.schema()))
    assert len(rules) > 30
    assert [rule for rule in rules if not any(words in rule for words in provoked)] == []
