"""Changes of services: what they would be is looked at first, and on settings that are still the same."""

import itertools
from types import SimpleNamespace

import pytest

from loadmaster_ha.agent.api.dispatch import Refused
from loadmaster_ha.agent.api.service_changes import Preview, change
from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.domain.ha import UnitState

SERVICE = Kind.VIRTUAL_SERVICE


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "settings.db")
    yield opened
    opened.close()


class Unit:
    """A unit with a real store and a data plane that `looks` at what would be."""

    own_addresses = {"eth0": "10.0.2.4"}  # noqa: RUF012

    def __init__(self, store, looks, state=UnitState.ACTIVE):
        self.settings = store
        self.state = state
        self.balancing = SimpleNamespace(check_change=looks)

    def view(self):
        return SimpleNamespace(state=self.state)


def add(port):
    def plan(snapshot):
        numbers = [each["Index"] for each in snapshot.entities(SERVICE).values()]
        return [Put(SERVICE, f"eth0:{port}/tcp", {"Index": max(numbers, default=0) + 1})]

    return plan


def ports(store):
    return {key: fields["Index"] for key, fields in store.snapshot.entities(SERVICE).items()}


async def test_the_data_plane_sees_what_would_be_before_it_is_stored(store):
    seen = []

    async def look(services):
        seen.append(([each.key.port for each in services], ports(store)))

    await change(Unit(store, look), add(80))
    await change(Unit(store, look), lambda _: [Delete(SERVICE, "eth0:80/tcp"), *add(81)(store.snapshot)])

    assert seen == [([80], {}), ([81], {"eth0:80/tcp": 1})]
    assert ports(store) == {"eth0:81/tcp": 2}


async def test_what_the_data_plane_refuses_is_not_stored(store):
    async def look(_services):
        raise Refused(422, "HAProxy cannot")

    with pytest.raises(Refused, match="HAProxy cannot"):
        await change(Unit(store, look), add(80))

    assert ports(store) == {}


async def test_a_change_that_comes_between_is_planned_around(store):
    async def look(_services):  # the partner's, while HAProxy is being asked
        store.commit([Put(SERVICE, "eth0:90/tcp", {"Index": 1})])

    await change(Unit(store, look), add(80))

    assert ports(store) == {"eth0:90/tcp": 1, "eth0:80/tcp": 2}


async def test_a_unit_that_handed_over_meanwhile_stores_nothing(store):
    async def look(_services):
        unit.state = UnitState.STANDBY

    unit = Unit(store, look)
    with pytest.raises(Refused, match="unit is standby"):
        await change(unit, add(80))

    assert ports(store) == {}


async def test_whatever_others_change_meanwhile_a_service_is_tried_once(store):
    looks = []

    async def look(services):
        looks.append(len(services))
        store.commit([Put(SERVICE, f"eth0:{90 + len(looks)}/tcp", {"Index": 10 * len(looks)})])

    unit = Unit(store, look)
    await change(unit, add(80))
    await change(unit, lambda _: [Delete(SERVICE, "eth0:80/tcp")])

    assert looks == [1, 1]
    assert ports(store) == {"eth0:91/tcp": 10, "eth0:92/tcp": 20}


async def test_endless_changes_of_the_same_service_end_in_a_refusal(store):
    numbers = itertools.count()

    async def look(_services):
        store.commit([Put(SERVICE, "eth0:80/tcp", {"NickName": f"n{next(numbers)}"})])

    store.commit([Put(SERVICE, "eth0:80/tcp", {"Index": 1})])
    with pytest.raises(Refused, match="nothing was done") as refused:
        await change(Unit(store, look), lambda _: [Put(SERVICE, "eth0:80/tcp", {"Idletime": 5})])

    assert refused.value.status == 503
    assert "Idletime" not in store.snapshot.get(SERVICE, "eth0:80/tcp")


def test_a_preview_puts_takes_away_and_deletes(store):
    store.commit([Put(SERVICE, "a", {"x": 1, "y": 2}), Put(SERVICE, "b", {"x": 1})])
    preview = Preview(store.snapshot, [Put(SERVICE, "a", {"x": None, "z": 3}), Delete(SERVICE, "b")])

    assert preview.entities(SERVICE) == {"a": {"y": 2, "z": 3}}
    assert preview.get(SERVICE, "b") is None
    assert preview.entities(Kind.REAL_SERVER) == {}
    store.commit([Put(SERVICE, "a", {"x": None, "z": 3}), Delete(SERVICE, "b")])
    assert {key: dict(each) for key, each in store.snapshot.entities(SERVICE).items()} == preview.entities(
        SERVICE
    )


def test_a_preview_of_deleting_everything_is_empty(store):
    store.commit([Put(SERVICE, "a", {"x": 1})])

    assert Preview(store.snapshot, [Delete(SERVICE, "a")]).entities(SERVICE) == {}
