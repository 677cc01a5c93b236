"""Every trouble with the services of a pair, as a person is told of it: real operator, API server and HTTPS.

Each case is a pair that is at work already, with one thing wrong; all share one operator (see
test_reasons_of_units.py). What the reasons mean stands in docs/services.md.
"""

import pytest
import pytest_asyncio
from tests.support.appliance_words import NEW_SERVICE, Refused
from tests.support.cluster_objects import service as kubernetes_service
from tests.support.emulator import running_emulator
from tests.support.rig import Stage
from tests.support.troubled_pairs import Trouble, at_work, chosen, troubled_pairs

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = [{"address": "10.0.6.1", "port": 80}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pairs(control_plane, crd, tmp_path_factory, request):
    """Give the pairs of the chosen cases, on their way."""
    async with running_emulator("--allow-loopback-networks") as emulator:
        stage = Stage(control_plane, emulator, tmp_path_factory.mktemp("stage"))
        async with troubled_pairs(stage, "reasons-services", chosen(request, CASES)) as found:
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
