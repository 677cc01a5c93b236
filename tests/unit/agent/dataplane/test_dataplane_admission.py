"""Who is served when not everybody can be: the others, and a former version where there is one."""

import dataclasses
from pathlib import Path

from loadmaster_ha.agent.dataplane.admission import admit
from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.domain.virtual_services import ServiceKey, Tls, VirtualService

NODE = Node(Paths(Path("/run/unit")), {"eth0": "10.0.2.4"})
WEB = VirtualService(1, ServiceKey("10.0.2.4", 80))
MAIL = VirtualService(2, ServiceKey("10.0.2.4", 25))


def but(service, **more):
    return dataclasses.replace(service, **more)


def test_everybody():
    made = admit([WEB, MAIL], {}, NODE, ())
    assert (made.services, made.rejected) == ((WEB, MAIL), {})


def test_one_that_cannot_be_served_keeps_nobody_else_from_it():
    bad = but(WEB, transparent=True)
    made = admit([bad, MAIL], {}, NODE, ())
    assert made.services == (MAIL,)
    assert "transparency" in made.rejected[WEB.key]


def test_the_former_version_stays():
    made = admit([but(WEB, transparent=True), MAIL], {1: WEB, 2: MAIL}, NODE, ())
    assert made.services == (WEB, MAIL)
    assert list(made.rejected) == [WEB.key]


def test_a_former_version_that_cannot_be_served_any_more_does_not():
    former = but(WEB, tls=Tls(("deleted",)))
    assert admit([but(former, transparent=True)], {1: former}, NODE, ()).services == ()


def test_a_former_version_on_another_port_comes_back_when_the_new_one_is_taken():
    moved = but(WEB, key=ServiceKey("10.0.2.4", 81))
    made = admit([moved], {1: WEB}, NODE, (), known={moved.key: "taken"}, occupied={moved.key})
    assert (made.services, made.rejected) == ((WEB,), {moved.key: "taken"})


def test_a_former_version_on_a_port_that_is_taken_does_not():
    renamed = but(WEB, nickname="new")
    assert admit([renamed], {1: WEB}, NODE, (), known={WEB.key: "taken"}, occupied={WEB.key}).services == ()


def test_of_two_on_one_port_the_newer_waits():
    other = but(MAIL, key=ServiceKey("10.0.2.4", 81), extra_ports=(80,))
    made = admit([other, WEB], {}, NODE, ())
    assert made.services == (WEB,)
    assert "port 80 of 10.0.2.4 already belongs" in made.rejected[other.key]
