"""Numbers of services and servers are unique on a unit and the same on both."""

import pytest

from loadmaster_ha.agent.settings.indexes import next_index, numbers_twice, renumbered
from loadmaster_ha.agent.settings.model import Delete, Kind, Put
from loadmaster_ha.domain.ha import Mode


def service(port, index):
    return Put(Kind.VIRTUAL_SERVICE, f"eth0:{port}/tcp", {"Index": index})


def server(port, number, index):
    return Put(Kind.REAL_SERVER, f"eth0:{port}/tcp|10.0.0.{number}:80", {"RsIndex": index})


def numbers(side, kind=Kind.VIRTUAL_SERVICE, field="Index"):
    return {key: fields[field] for key, fields in side.store.snapshot.entities(kind).items()}


def test_a_single_unit_counts_one_by_one(store):
    given = []
    for port in range(1, 5):
        given.append(next_index(store.snapshot, Kind.VIRTUAL_SERVICE))
        store.commit([service(port, given[-1])])
    assert given == [1, 2, 3, 4]


def test_master_and_slave_never_give_the_same_number(pair):
    pair.link()
    pair.commit("a", service(1, 1), service(2, 2))
    pair.cut()
    for port in range(10, 15):
        pair.a.store.commit(
            [service(port, next_index(pair.a.store.snapshot, Kind.VIRTUAL_SERVICE, Mode.MASTER))]
        )
        pair.b.store.commit(
            [service(port + 90, next_index(pair.b.store.snapshot, Kind.VIRTUAL_SERVICE, Mode.SLAVE))]
        )
    before = {**numbers(pair.a), **numbers(pair.b)}
    pair.link()
    assert numbers(pair.a) == numbers(pair.b) == before
    assert len(set(before.values())) == 12


def test_numbers_that_both_gave_before_they_were_a_pair_are_settled_alike(pair):
    pair.a.store.commit([service(port, port) for port in range(1, 6)])
    pair.b.store.commit([service(port + 100, port) for port in range(1, 4)])
    pair.link()
    pair.compare()

    assert numbers(pair.a) == numbers(pair.b)
    assert sorted(numbers(pair.a).values()) == list(range(1, 9))
    assert [numbers(pair.a)[f"eth0:{port}/tcp"] for port in range(1, 6)] == [1, 2, 3, 4, 5], (
        "who was there keeps its own"
    )
    assert not renumbered(pair.a.store.snapshot)


def test_services_created_with_one_number_on_a_live_link_are_settled_at_once(pair):
    pair.link()
    pair.a.store.commit([service(1, 1)])
    pair.b.store.commit([service(2, 1)])
    for name in ("a", "b"):
        pair.say(name, pair.side(name).replicator.changed(pair.now))
    pair.settle()
    assert numbers(pair.a) == numbers(pair.b)
    assert set(numbers(pair.a).values()) == {1, 2}


def test_maps_follow_their_cluster_to_its_new_number(pair):
    for side, address in ((pair.a, "10.1.1.1"), (pair.b, "10.2.2.2")):
        side.store.commit(
            [
                Put(Kind.GEO_CLUSTER, address, {"Index": 1}),
                Put(Kind.GEO_FQDN, f"{address}.", {"Index": 1 if side is pair.a else 2}),
                Put(Kind.GEO_MAP, f"{address}.|{address}", {"Cluster": 1}),
            ]
        )
    pair.link()
    pair.compare()
    clusters = numbers(pair.a, Kind.GEO_CLUSTER)
    assert set(clusters.values()) == {1, 2}
    assert numbers(pair.b, Kind.GEO_MAP, "Cluster") == {
        f"{key}.|{key}": number for key, number in clusters.items()
    }


def test_a_server_added_while_its_service_was_deleted_goes_with_it(pair):
    pair.link()
    pair.commit("a", service(1, 1), server(1, 1, 1))
    pair.cut()
    pair.a.store.commit(
        [Delete(Kind.VIRTUAL_SERVICE, "eth0:1/tcp"), Delete(Kind.REAL_SERVER, "eth0:1/tcp|10.0.0.1:80")]
    )
    pair.b.store.commit([server(1, 2, 2)])
    pair.link()
    for _ in range(3):
        pair.compare()
    assert pair.a.contents() == pair.b.contents() == {}
    pair.commit("a", service(1, 1))
    assert len(pair.b.contents()) == 1


def test_a_server_whose_service_is_on_its_way_stays(pair):
    pair.link()
    pair.commit("a", server(1, 1, 1))
    pair.compare()
    pair.commit("a", service(1, 1))
    pair.compare()
    pair.compare()
    assert len(pair.b.contents()) == 2


@pytest.mark.parametrize("index", [0, None, "1", True])
def test_what_is_no_number_takes_none(store, index):
    store.commit([service(1, index)])
    assert next_index(store.snapshot, Kind.VIRTUAL_SERVICE) == 1


def test_a_number_given_twice_is_told_in_words(store):
    store.commit([service(1, 4), service(2, 4)])
    assert numbers_twice(store.snapshot) == "Index 4 (virtual-service eth0:1/tcp and eth0:2/tcp)"
