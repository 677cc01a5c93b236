"""Every trouble with the services of a pair, as a person is told of it: real operator, API server and HTTPS.

Each case is a pair that is at work already, with one thing wrong; all share one operator (see
test_reasons_of_units.py), whose rights end at its namespace. What the reasons mean: docs/services.md.
"""

import pytest
import pytest_asyncio
from tests.support.agents_instead import agents_instead
from tests.support.appliance_words import NEW_SERVICE, Refused
from tests.support.certificates import issue
from tests.support.cluster_objects import secret
from tests.support.cluster_objects import service as kubernetes_service
from tests.support.emulator import running_emulator
from tests.support.rig import Stage
from tests.support.troubled_pairs import Trouble, at_work, chosen, troubled_pairs
from tests.support.world import security_rule

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = [{"address": "10.0.6.1", "port": 80}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pairs(control_plane, crd, tmp_path_factory, request):
    """Give the pairs of the chosen cases, on their way."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        stage = Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))
        async with troubled_pairs(stage, "reasons-services", chosen(request, CASES), confined=True) as found:
            yield found


def service(name="web", port=8080, **virtual_service):
    return {
        "name": name,
        "port": port,
        "virtualService": {"realServers": SERVERS, "drainSeconds": 0, **virtual_service},
    }


def services(*entries):
    return {"services": list(entries)}


def at_work_with(nickname):
    """The master has a virtual service where ours is to be."""

    def do(master, slave):
        at_work(master, slave)
        row = {"Index": 1, "VSAddress": master.own_address, "VSPort": "8080", "NickName": nickname}
        master.services.rows.append({**NEW_SERVICE, **row})
        master.services.servers[1] = []

    return do


def refusing(command, text):
    """At work, and the master refuses a command."""

    def do(master, slave):
        at_work(master, slave)

        def before(call):
            if call.command.lower() == command:
                raise Refused(text, 500)

        master.before = before

    return do


def nobody_active(*units):
    at_work(*units)
    for unit in units:
        unit.state = "Standby"


async def exchange_the_ports(pair):
    """First web on 8080 and shop on 8081, then the reverse."""
    await pair.condition("HASynced", "True")
    await pair.apply(
        services=[service() | {"backendPort": 8081}, service("shop", 8081) | {"backendPort": 8080}]
    )


async def leave_the_virtual_service_out(pair):
    await pair.condition("HASynced", "True")
    await pair.apply(services=[{"name": "web", "port": 8080}])


async def name_the_unit_as_real_server(pair):
    itself = {"address": pair.units[0].own_address, "port": 8080}
    await pair.apply(services=[service(realServers=[itself])])


def without_the_right_to(command):
    def do(master, slave):
        at_work(master, slave)
        for unit in (master, slave):
            unit.forbidden.add(command)

    return do


async def terminate_tls(pair):
    """The certificate comes first, so that it is never missed."""
    issued = issue("shop.example")
    pem = {"tls__crt": issued.pem, "tls__key": issued.key_pem}
    body = secret(f"{pair.name}-tls", "kubernetes.io/tls", **pem)
    await pair.rig.pairs.request("POST", f"/api/v1/namespaces/{pair.rig.pairs.namespace}/secrets", body)
    tls = {"certificateSecretRef": {"name": f"{pair.name}-tls"}}
    await pair.apply(services=[service(port=443, type="HTTP", tls=tls)])


def deny_the_way_out(group):
    group["properties"]["securityRules"].append(
        security_rule(
            "corp-no-way-out",
            priority=100,
            access="Deny",
            direction="Outbound",
            destinationAddressPrefix="10.0.6.0/24",
        )
    )


async def take_the_service_out_while_azure_refuses(pair):
    await pair.condition("HASynced", "True")
    await pair.condition("AzureSynced", "True")
    await pair.let_azure_refuse("/loadBalancers/")
    await pair.apply(services=[])


async def disable_the_service_while_azure_refuses(pair):
    await pair.condition("HASynced", "True")
    await pair.condition("AzureSynced", "True")
    await pair.let_azure_refuse("/loadBalancers/")
    await pair.apply(services=[service(enabled="Disabled")])


async def disable_the_service_and_take_it_out(pair):
    """Neither is `StillPublished` for ever."""
    await pair.condition("HASynced", "True")
    await pair.condition("AzureSynced", "True")
    await pair.apply(services=[service(enabled="Disabled")])
    await pair.condition("HASynced", "True")
    assert [row["Enable"] for unit in pair.units for row in unit.services.rows] == [False, False]
    await pair.apply(services=[])
    await pair.condition("HASynced", "True")
    assert [unit.services.rows for unit in pair.units] == [[], []]


async def give_the_port_to_another(pair):
    """The first one moves away and is drained for long where it was."""
    await pair.condition("HASynced", "True")
    await pair.condition("AzureSynced", "True")
    moved = service(drainSeconds=3600) | {"backendPort": 8081}
    await pair.apply(services=[moved, service("shop", 9000) | {"backendPort": 8080}])


TWO_ARMS = {
    "highAvailability__allInterfaces": True,
    **{
        f"{role}__networkInterfaces": [
            {"name": "eth0", "resource": f"lm-{index}-nic"},
            {"name": "eth1", "resource": f"lm-{index}-nic-b"},
        ]
        for index, role in enumerate(("master", "slave"))
    },
}


async def scale_to_nothing(pair):
    """The Service is there and has no endpoints."""
    body = kubernetes_service(f"{pair.name}-shop")
    path = f"/api/v1/namespaces/{pair.rig.pairs.namespace}/services"
    await pair.rig.pairs.request("POST", path, body)
    source = {"service": {"name": f"{pair.name}-shop", "port": "http"}}
    await pair.apply(
        services=[
            {"name": "web", "port": 8080, "virtualService": {"realServersFrom": source, "drainSeconds": 0}}
        ]
    )


CASES = {
    "clash": Trouble(
        "VirtualServiceClash",
        ("'shop'", ":8080/tcp", "lm_clash_web@", "Delete it, choose another backendPort"),
        fields=services(service()),
        units=at_work_with("shop"),
    ),
    "namesake": Trouble(
        "VirtualServiceOwnedByOther",
        ("lm_namesake_web@0badc0de", "belongs to another", "policy.adoption: Always"),
        fields=services(service()),
        units=at_work_with("lm_namesake_web@0badc0de"),
    ),
    "ports exchanged": Trouble(
        "ServicePortsExchanged",
        ("waits for", "free backendPort first"),
        fields=services(service(), service("shop", 8081)),
        units=at_work,
        then=exchange_the_ports,
    ),
    "no certificate": Trouble(
        "CertificateNotFound",
        ("web-tls", "kubernetes.io/tls", "tls.crt"),
        fields=services(service(port=443, type="HTTP", tls={"certificateSecretRef": {"name": "web-tls"}})),
        units=at_work,
    ),
    "no real servers": Trouble(
        "NoRealServers",
        ("'web'", "no real server that takes connections", "Name real servers"),
        ("HASynced", "True"),
        reported=True,
        units=at_work,
        then=scale_to_nothing,
    ),
    "not published": Trouble(
        "Applying",
        ("Published once the units answer for it", "web"),
        ("AzureSynced", "False"),
        units=at_work,
        then=scale_to_nothing,
    ),
    "loop": Trouble(
        "RealServerIsService",
        ("virtualService", "Name the server behind it"),
        units=at_work,
        then=name_the_unit_as_real_server,
    ),
    "nobody takes writes": Trouble(
        "NoUnitTakesWrites",
        ("No unit is known to be active", "See PairHealthy"),
        ("HASynced", "False"),
        fields=services(service()),
        units=nobody_active,
    ),
    "services unknown": Trouble(
        "ServicesUnknown",
        ("virtual services of the master are not known", "Disk full"),
        ("HASynced", "False"),
        fields=services(service()),
        units=refusing("listvs", "Disk full"),
    ),
    "standby refuses": Trouble(
        "StandbyRefuses",
        ("This unit is on standby",),
        ("HASynced", "False"),
        fields=services(service()),
        units=refusing("addvs", "This unit is on standby"),
    ),
    "certificate store unread": Trouble(
        "CertificateUnknown",
        ("'web'", "master has the certificate", "Disk full"),
        ("HASynced", "False"),
        units=refusing("listcert", "Disk full"),
        then=terminate_tls,
    ),
    "certificate unseen": Trouble(
        "CertificateNotComparable",
        ("_certificate-unseen_web of the master", "cannot be read back", "what the service presents"),
        ("HASynced", "True"),
        reported=True,
        units=without_the_right_to("readcert"),
        then=terminate_tls,
    ),
    "nodes unread": Trouble(
        "RealServersUnknown",
        ("'web'", "grant it get, list and watch", "nodes"),
        ("HASynced", "False"),
        fields=services(
            {
                "name": "web",
                "port": 8080,
                "virtualService": {
                    "realServersFrom": {"service": {"name": "shop", "port": "http"}, "mode": "Nodes"}
                },
            }
        ),
        units=at_work,
    ),
    "no second interface": Trouble(
        "ServiceAddressUnknown",
        ("The address of the master on eth1", "see AzureSynced"),
        ("HASynced", "False"),
        fields=services(service() | {"interface": "eth1"}) | TWO_ARMS,
        units=at_work,
    ),
    "way out denied": Trouble(
        "RealServerBlocked",
        ("'corp-no-way-out' (priority 100, outbound)", "Tcp 80", "to 10.0.6.1"),
        ("AzureSynced", "True"),
        reported=True,
        fields=services(service()),
        units=at_work,
        world={"lm-nsg": deny_the_way_out},
    ),
    "still published": Trouble(
        "StillPublished",
        ("lm_still-published_web@", "Azure still leads to it", "AzureSynced says what keeps them"),
        ("HASynced", "False"),
        fields=services(service()),
        units=at_work,
        then=take_the_service_out_while_azure_refuses,
    ),
    "still published disabled": Trouble(
        "StillPublished",
        ("is to be disabled", "virtualService.enabled", "AzureSynced says what keeps them"),
        ("HASynced", "False"),
        fields=services(service()),
        units=at_work,
        then=disable_the_service_while_azure_refuses,
    ),
    "disabled and taken out": Trouble(
        "Synced",
        ("Azure is as the manifest wants it",),
        ("AzureSynced", "True"),
        fields=services(service()),
        units=at_work,
        then=disable_the_service_and_take_it_out,
    ),
    "port in use": Trouble(
        "ServicePortStillInUse",
        (
            "Service 'shop' waits for",
            "when the port is free",
            "Draining: spec.services[0]: Virtual service lm_port-in-use_web@",
            "is to be removed after 3600 s without clients",
        ),
        ("HASynced", "False"),
        fields=services(service(drainSeconds=3600)),
        units=at_work,
        then=give_the_port_to_another,
    ),
    "beyond agents": Trouble(
        "ServiceNotPossible",
        (
            "spec.services[0].protocol: Service 'dns': node agents forward TCP only",
            "ServicePortReserved: spec.services[1].backendPort: Service 'shop': port 9101",
            "Give the service another backendPort",
        ),
        fields=services(
            service("dns", 53) | {"protocol": "UDP"}, service("shop", 9000) | {"backendPort": 9101}
        ),
        then=agents_instead,
    ),
    "left alone": Trouble(
        "VirtualServiceLeftAlone",
        ("lm_left-alone_web@", "another nickname"),
        ("HASynced", "True"),
        reported=True,
        fields=services(service()),
        units=at_work,
        then=leave_the_virtual_service_out,
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_trouble_of_the_services_is_told_by_name_place_and_remedy(pairs, name):
    await pairs.told(name)
