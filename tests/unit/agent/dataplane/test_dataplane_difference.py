"""From one configuration to the next: what commands do is what the configuration says."""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck as Health
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.services import ADDRESS, CERTIFICATES, unit_services

from loadmaster_ha.agent.dataplane.applier import reload_pause
from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.agent.dataplane.configuration import render
from loadmaster_ha.agent.dataplane.difference import Commands, Reload, Same, difference
from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.domain.virtual_services import (
    HealthCheck,
    RealServer,
    Schedule,
    ServiceKey,
    ServiceType,
    Tls,
    VirtualService,
)

NODE = Node(Paths(Path("/run/unit")), {"eth0": ADDRESS})
PEMS = dict.fromkeys(CERTIFICATES, "PEM")
ONE, TWO, THREE = (RealServer(index, f"10.0.0.{index}", 80) for index in (1, 2, 3))
WHERE = "vs_eth0_80_tcp"


def service(*servers, **more):
    return VirtualService(1, ServiceKey(ADDRESS, 80), real_servers=servers, **more)


def step(before, after, lingering=None):
    return difference(render(before, NODE, PEMS), render(after, NODE, PEMS), lingering or {})


def but(server, **more):
    return dataclasses.replace(server, **more)


def test_the_same_is_nothing():
    assert step([service(ONE)], [service(ONE)]) == Same()


@pytest.mark.parametrize(
    ("after", "commands"),
    [
        (service(ONE, but(TWO, address="10.0.9.9")), [f"set server {WHERE}/rs_2 addr 10.0.9.9 port 80"]),
        (service(ONE, but(TWO, port=81)), [f"set server {WHERE}/rs_2 addr 10.0.0.2 port 81"]),
        (service(ONE, but(TWO, limit=5)), [f"set maxconn server {WHERE}/rs_2 5"]),
        (service(ONE, but(TWO, enabled=False)), [f"set server {WHERE}/rs_2 state maint"]),
        (service(ONE, but(TWO, draining=True)), [f"set server {WHERE}/rs_2 weight 0"]),
        (service(ONE), [f"set server {WHERE}/rs_2 state maint"]),
        (
            service(ONE, TWO, but(THREE, limit=9)),
            [
                f"add server {WHERE}/rs_3 10.0.0.3:80 weight 100 maxconn 9 id 3 check inter 9s fall 2 rise 1",
                f"enable health {WHERE}/rs_3",
                f"set server {WHERE}/rs_3 state ready",
            ],
        ),
        (
            service(ONE, TWO, but(THREE, enabled=False)),
            [
                f"add server {WHERE}/rs_3 10.0.0.3:80 weight 100 id 3 check inter 9s fall 2 rise 1",
                f"enable health {WHERE}/rs_3",
            ],
        ),
    ],
)
def test_servers_change_by_commands(after, commands):
    assert list(step([service(ONE, TWO)], [after]).commands) == commands


def test_weights_change_by_commands():
    weighted = Schedule.WEIGHTED_ROUND_ROBIN
    made = step(
        [service(ONE, TWO, schedule=weighted)], [service(ONE, but(TWO, weight=500), schedule=weighted)]
    )
    assert list(made.commands) == [f"set server {WHERE}/rs_2 weight 128"]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (service(ONE), service(ONE, nickname="new"), "more than its real servers"),
        (service(ONE), service(ONE, check=HealthCheck(interval=3)), "checked or spoken to"),
        (service(ONE, schedule=Schedule.FIXED), service(ONE, TWO, schedule=Schedule.FIXED), "come or go"),
        (
            service(but(ONE, weight=2), but(TWO, weight=1), schedule=Schedule.FIXED),
            service(but(ONE, weight=2), but(TWO, weight=3), schedule=Schedule.FIXED),
            "the order of its real servers",
        ),
        (service(but(ONE, critical=True)), service(but(ONE, critical=True), TWO), "come or go"),
        (
            service(ONE, type=ServiceType.HTTP, persistence="active-cookie", persistence_timeout=60),
            service(ONE, TWO, type=ServiceType.HTTP, persistence="active-cookie", persistence_timeout=60),
            "come or go",
        ),
        (service(tls=Tls(("web",))), service(tls=Tls(("web", "#third"))), "certificates come or go"),
    ],
)
def test_what_no_command_can_do_is_a_reload(before, after, reason):
    made = step([before], [after])
    assert isinstance(made, Reload)
    assert reason in made.reason


def test_services_that_come_or_go_are_a_reload():
    assert step([service()], []) == step([], [service()]) == Reload("virtual services come or go")


def test_a_certificate_with_new_contents_is_told_the_worker():
    before = render([service(tls=Tls(("web",)))], NODE, PEMS)
    after = render([service(tls=Tls(("web",)))], NODE, {**PEMS, "web": "NEW"})
    assert difference(before, after) == Commands((), {}, {"certificates/web.pem": "NEW"}, ())


def test_a_server_that_lingers_is_taken_back():
    gone = step([service(ONE, TWO)], [service(ONE)])
    made = step([service(ONE)], [service(ONE, but(TWO, limit=3))], gone.removed)
    assert list(made.commands) == [
        f"set maxconn server {WHERE}/rs_2 3",
        f"set server {WHERE}/rs_2 state ready",
    ]


def test_a_server_that_lingers_with_other_ways_is_a_reload():
    gone = step([service(ONE, TWO)], [service(ONE)])
    other = HealthCheck(interval=3)
    made = step([service(check=other)], [service(TWO, check=other)], gone.removed)
    assert isinstance(made, Reload)


@pytest.mark.parametrize(("old_workers", "seconds"), [(0, 1), (8, 1), (9, 2), (20, 13), (100, 30)])
def test_reloads_are_fewer_while_many_workers_finish(old_workers, seconds):
    assert reload_pause(old_workers) == seconds


class Worker:
    """Does to servers what HAProxy's manual says that the commands do."""

    def __init__(self, configuration):
        self.servers = {
            f"{section.name}/{server.name}": server
            for section in configuration.sections.values()
            for server in section.servers
        }

    def tell(self, command):
        words = command.split()
        match words:
            case ["add", "server", where, place, *options]:
                assert where not in self.servers, "already there"
                fields = dict(zip(options[::2], options[1::2], strict=False))
                address, port = re.fullmatch(r"\[?([^\]]*)\]?:(\d+)", place).groups()
                template = next(iter(self.servers.values()), None)
                rest = command.split(maxsplit=4)[4]
                rest = re.sub(r"^weight \d+ ?(maxconn \d+)? ?", "", rest)
                assert template is None or template.name != where
                self.servers[where] = dataclasses.replace(
                    SERVER,
                    name=where.partition("/")[2],
                    address=address,
                    port=int(port),
                    weight=int(fields["weight"]),
                    limit=int(fields.get("maxconn", 0)),
                    maintenance=True,
                    options=rest,
                )
            case ["set", "server", where, "addr", address, "port", port]:
                self.change(where, address=address, port=int(port))
            case ["set", "maxconn", "server", where, limit]:
                self.change(where, limit=int(limit))
            case ["set", "server", where, "weight", weight]:
                self.change(where, weight=int(weight))
            case ["set", "server", where, "state", state]:
                self.change(where, maintenance={"maint": True, "ready": False}[state])
            case ["enable", "health", where]:
                assert " check " in f" {self.servers[where].options} "
            case _:
                raise AssertionError(command)

    def change(self, where, **fields):
        self.servers[where] = dataclasses.replace(self.servers[where], **fields)


SERVER = next(iter(render([service(ONE)], NODE).sections[WHERE].servers))


@settings(max_examples=60, suppress_health_check=[Health.too_slow])
@given(unit_services(), st.data())
def test_commands_make_the_worker_what_the_configuration_says(services, data):
    changed = [
        dataclasses.replace(
            each,
            real_servers=tuple(
                but(
                    server,
                    weight=data.draw(st.sampled_from([server.weight, 7])),
                    limit=data.draw(st.sampled_from([server.limit, 0, 8])),
                    port=data.draw(st.sampled_from([server.port, 9])),
                    enabled=data.draw(st.booleans()),
                    draining=data.draw(st.booleans()),
                )
                for server in each.real_servers
                if data.draw(st.booleans())
            ),
        )
        for each in services
    ]
    for before, after in ((services, changed), (changed, services)):
        running, wanted = render(before, NODE, PEMS), render(after, NODE, PEMS)
        made = difference(running, wanted)
        if isinstance(made, Same):
            assert running == wanted
        elif isinstance(made, Commands):
            worker = Worker(running)
            for command in made.commands:
                worker.tell(command)
            for where, server in made.removed.items():
                assert worker.servers.pop(where) == but(server, maintenance=True)
            assert worker.servers == Worker(wanted).servers
