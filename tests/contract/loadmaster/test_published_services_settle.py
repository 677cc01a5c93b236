"""What is planned for a service is written once: each field and value, on a node agent with HAProxy and on an
appliance by v1 and v2. After the writes nothing is left to plan, whatever the value was before.
"""

import dataclasses
import shutil
import time

import pytest
from tests.support.kemp_unit import live_unit
from tests.support.managed_units import OWN_ADDRESS, ManagedUnit, agent_client, managed_unit
from tests.support.pem import self_signed
from tests.unit.planning import services_world as lab

from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.observer import observe
from loadmaster_ha.loadmaster.unit_certificates import fingerprint_of
from loadmaster_ha.loadmaster.writer import write
from loadmaster_ha.planning.units.observation import UnitsObservation, UnitsTarget, WantedCertificate
from loadmaster_ha.planning.units.services import plan_services, plan_services_deletion

ROLE = Role.MASTER
PORT = 8090
NAME = lab.MARKS.certificate("web")
FIRST, RENEWED = self_signed("shop.example"), self_signed("shop.example")
TLS = {"certificateSecretRef": {"name": "web-tls"}}
REQUESTS = {"type": "HTTP", "path": "/"}


def check(**more):
    return {"healthCheck": {**REQUESTS, **more}}


def kept_by(mode, **more):
    return {"type": "HTTP", "persistence": {"mode": mode, **more}}


def server(number, **more):
    return {"address": f"10.0.5.{number}", "port": 80, **more}


CHAINS = {
    "type": [
        {"type": "Generic"}, {"type": "HTTP"}, {"type": "HTTP2", "tls": TLS}, {"type": "HTTP", "tls": TLS},
        {"type": "Generic", "tls": TLS}, {"type": "HTTP"}, {"type": "Generic"},
    ],
    "enabled": [{"enabled": "Enabled"}, {"enabled": "Disabled"}, {"enabled": "Enabled"}],
    "scheduling": [
        {"scheduling": each}
        for each in (
            "RoundRobin", "WeightedRoundRobin", "LeastConnection", "WeightedLeastConnection", "Fixed",
            "SourceHash", "RoundRobin",
        )
    ],
    "persistence": [
        kept_by("None"), kept_by("SourceAddress", timeoutMinutes=1), kept_by("None"),
        kept_by("SourceAddress", timeoutMinutes=10080), kept_by("ServerCookie", cookie="SESSION.id-1_a"),
        kept_by("ActiveCookie", cookie="lm", timeoutMinutes=6), kept_by("ActiveCookie", cookie="none"),
        {"type": "Generic", "persistence": {"mode": "SourceAddress"}}, {"type": "Generic"},
    ],
    "idleTimeoutSeconds": [{"idleTimeoutSeconds": each} for each in (1, 660, 86400, 61)],
    "forwardedFor": [
        {"type": "HTTP", "forwardedFor": each} for each in ("Disabled", "Enabled", "Disabled")
    ] + [{"type": "Generic"}, {"type": "HTTP", "forwardedFor": "Enabled"}],
    "healthCheck.type": [
        {"healthCheck": {"type": each}} for each in ("TCP", "HTTP", "HTTPS", "None", "TCP", "None", "HTTP")
    ],
    "healthCheck.port": [check(), check(port=8081), check(port=3), check(port=65530), check()],
    "healthCheck.path": [
        check(), check(path="/healthz?a=b&c=%20d"), check(path="/it's;#\"~!$|\\+,"),
        check(path="/" + 125 * "x"), check(),
    ],
    "healthCheck.host": [check(), check(host="a.example.com"), check(host="none"), check()],
    "healthCheck.method": [check(method=each) for each in ("HEAD", "GET", "POST", "OPTIONS", "HEAD")],
    "healthCheck.statusCodes": [
        check(), check(statusCodes=[404]), check(statusCodes=[503, 301, 404]), check(statusCodes=[599]),
        check(statusCodes=list(range(300, 332))), check(),
    ],
    "healthCheck.times": [
        check(intervalSeconds=9, timeoutSeconds=4, retries=2),
        check(intervalSeconds=901, timeoutSeconds=60, retries=15), check(),
        {"healthCheck": {"type": "None"}}, check(intervalSeconds=60),
    ],
    "tls": [
        {}, {"tls": TLS}, {"tls": {**TLS, "reencrypt": "Enabled"}}, {"tls": TLS},
        *({"tls": {**TLS, "minimumVersion": f"TLSv1.{each}"}} for each in (0, 1, 2, 3)), {},
    ],
    "realServers": [
        {"realServers": [server(1), server(2)], "drainSeconds": 0},
        {"realServers": [server(2, weight=1), server(1, weight=65535)], "drainSeconds": 0},
        {"realServers": [server(1, connectionLimit=100000), server(2)], "drainSeconds": 0},
        {"realServers": [server(1, state="Draining"), server(2, state="Disabled")], "drainSeconds": 0},
        {"realServers": [server(1), server(2, state="Draining")], "drainSeconds": 0},
        {"realServers": [server(1, state="Disabled"), server(2)], "drainSeconds": 0},
        {"realServers": [server(1), server(2), server(3, port=3), server(3, port=65530)], "drainSeconds": 0},
        {"realServers": [server(3, port=3)], "drainSeconds": 0},
        {"realServers": [], "drainSeconds": 0},
    ],
}  # fmt: skip
"""By field: what it is, one after the other, on the same virtual service."""


def hurried():
    """A clock for the client's pace: what is written is at stake here, not how fast."""
    return time.monotonic() * 1000


@pytest.fixture(params=["agent", "appliance-v1", "appliance-v2"])
async def unit(request, tmp_path):
    """Give a unit, and its own address."""
    if request.param != "agent":
        async with managed_unit(request.param, tmp_path, clock=hurried) as managed:
            yield managed, OWN_ADDRESS
        return
    if shutil.which("haproxy") is None:
        pytest.skip("HAProxy is not installed (make system)")
    async with live_unit(tmp_path) as live, agent_client(live, clock=hurried) as client:
        yield ManagedUnit(client, agent=live), live.address


class Lane:
    """The services of one unit, as the units lane brings them about."""

    def __init__(self, unit, address):
        self.client, self.address = unit.client, address
        self.now, self.since = 1000.0, {}

    def target(self, pem, *services):
        wanted = lab.wanted(
            lab.spec(*services),
            certificates={"web": Present(WantedCertificate(NAME, fingerprint_of(pem)))},
        )
        return dataclasses.replace(wanted, arm_addresses={(ROLE, "eth0"): self.address})

    async def plan(self, target: UnitsTarget, decide=plan_services):
        facts = await observe(self.client, ROLE, services=True, certificates=True)
        paired = dataclasses.replace(facts, mode_in_force=Mode.MASTER)
        seen = UnitsObservation({ROLE: Present(paired)}, published=Present(frozenset()))
        plan = decide(target, dataclasses.replace(seen, draining_since=self.since), active=ROLE, now=self.now)
        self.since = {name: self.since.get(name, self.now) for name in plan.draining}
        return plan

    async def settle(self, target, material, decide=plan_services):
        """Write what is planned, once; then time goes on until nothing is waited for: what was written."""
        written = []
        for _ in range(10):
            plan = await self.plan(target, decide)
            for change in plan.changes:
                await write(self.client, change, material)
            written += plan.changes
            again = await self.plan(target, decide)
            assert again.changes == (), "it reads back as it was planned"
            assert not again.blocking, again.blocking
            if again.look_again is None:
                return written
            self.now += again.look_again
        raise AssertionError("never ends")


def service(**inside):
    return lab.service("web", PORT, **{"realServers": [], **inside})


@pytest.mark.parametrize("field", CHAINS)
async def test_every_value_is_written_once(unit, field):
    lane, material = Lane(*unit), Material(certificates={NAME: FIRST})
    for number, inside in enumerate((*CHAINS[field], CHAINS[field][0])):
        written = await lane.settle(lane.target(FIRST, service(**inside)), material)
        assert written or number == len(CHAINS[field]), inside
    gone = await lane.settle(lane.target(FIRST), material, plan_services_deletion)
    assert gone


async def test_a_renewed_certificate_is_written_once_and_goes_with_its_service(unit):
    lane = Lane(*unit)
    for pem in (FIRST, RENEWED):
        written = await lane.settle(lane.target(pem, service(tls=TLS)), Material(certificates={NAME: pem}))
        assert written
    assert await lane.settle(lane.target(RENEWED), Material()), "service and certificate go"
    assert (await observe(lane.client, ROLE, services=True, certificates=True)).certificates == Present(())


@pytest.mark.parametrize("unit", ["appliance-v1", "appliance-v2"], indirect=True)
async def test_what_only_an_appliance_can_do_is_written_once(unit):
    lane, material = Lane(*unit), Material()
    for kind in ("ICMP", "None", "TCP", "ICMP"):
        inside = service(protocol="UDP", healthCheck={"type": kind}, realServers=[server(1)], drainSeconds=0)
        assert await lane.settle(lane.target(FIRST, inside), material)
    assert await lane.settle(lane.target(FIRST, service(healthCheck={"type": "ICMP"})), material), (
        "the same port in TCP is another virtual service; the one in UDP goes"
    )
    found = (await observe(lane.client, ROLE, services=True, certificates=True)).services
    assert isinstance(found, Present)
    assert [str(each.key) for each in found.value] == [f"{OWN_ADDRESS}:{PORT}/tcp"]
