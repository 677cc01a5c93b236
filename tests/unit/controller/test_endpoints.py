"""Real servers out of Services, EndpointSlices and Nodes as the API server writes them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.controller.endpoints import (
    ClusterFacts,
    read_node,
    read_service,
    read_slice,
    real_servers,
)
from loadmaster_ha.domain.reading import Absent, Present
from loadmaster_ha.resources.services import Protocol
from loadmaster_ha.resources.virtual_services import RealServersFrom


def service(*ports, **spec):
    ports = ports or ({"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},)
    return read_service({"metadata": {"name": "shop"}, "spec": {"ports": list(ports), **spec}})


def slice_of(*endpoints, ports=({"name": "http", "port": 8080, "protocol": "TCP"},), kind="IPv4"):
    return read_slice(
        {
            "metadata": {"name": "shop-x", "labels": {"kubernetes.io/service-name": "shop"}},
            "addressType": kind,
            "ports": list(ports),
            "endpoints": [{"addresses": [each]} if isinstance(each, str) else each for each in endpoints],
        }
    )


def node(address="10.0.1.1", ready="True", labels=None, taints=(), **metadata):
    return read_node(
        {
            "metadata": {"labels": labels or {}, **metadata},
            "spec": {"taints": [{"key": taint} for taint in taints]},
            "status": {
                "conditions": [
                    {"type": "Ready", "status": ready},
                    {"type": "DiskPressure", "status": "True"},
                ],
                "addresses": [
                    {"type": "Hostname", "address": "n"},
                    {"type": "InternalIP", "address": "fd00::1"},
                    {"type": "ExternalIP", "address": "203.0.113.1"},
                    *([{"type": "InternalIP", "address": address}] if address else []),
                ],
            },
        }
    )


def found(facts, port="http", protocol=Protocol.TCP, **more):
    wanted = RealServersFrom.model_validate({"service": {"name": "shop", "port": port}, **more})
    result = real_servers(wanted, "edge", protocol, facts)
    if isinstance(result, Present):
        return [f"{each.address}:{each.port}" for each in result.value]
    return result


def test_ready_endpoints_are_real_servers_in_the_order_of_their_addresses():
    slices = (slice_of("10.1.0.10", "10.1.0.9"), slice_of("10.1.0.2", "10.1.0.9"))
    facts = ClusterFacts(service(), slices)
    assert found(facts) == ["10.1.0.2:8080", "10.1.0.9:8080", "10.1.0.10:8080"]
    assert found(facts, "80") == found(facts)


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ({}, True),
        ({"ready": None}, True),
        ({"ready": True, "serving": True, "terminating": False}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": True, "terminating": True}, False),
    ],
)
def test_what_is_not_ready_or_terminates_gets_no_traffic(conditions, counts):
    slices = (slice_of({"addresses": ["10.1.0.1"], "conditions": conditions}),)
    assert found(ClusterFacts(service(), slices)) == (["10.1.0.1:8080"] if counts else [])


def test_no_endpoints_is_an_answer_and_no_error():
    assert found(ClusterFacts(service())) == []
    assert found(ClusterFacts(service(), (read_slice({"addressType": "IPv4", "endpoints": None}),))) == []


def test_a_named_port_may_be_another_one_in_each_slice():
    other = slice_of("10.1.0.2", ports=[{"name": "http", "port": 9090, "protocol": "TCP"}])
    assert found(ClusterFacts(service(), (slice_of("10.1.0.1"), other))) == ["10.1.0.1:8080", "10.1.0.2:9090"]


def test_of_several_ports_the_wanted_one_is_taken():
    ports = (
        {"name": "http", "port": 80, "protocol": "TCP"},
        {"name": "dns", "port": 53, "protocol": "TCP"},
        {"name": "dns-udp", "port": 53, "protocol": "UDP"},
    )
    both = slice_of(
        "10.1.0.1",
        ports=[
            {"name": "dns", "port": 5353, "protocol": "TCP"},
            {"name": "dns-udp", "port": 5354, "protocol": "UDP"},
        ],
    )
    facts = ClusterFacts(service(*ports), (both,))
    assert found(facts, "53") == ["10.1.0.1:5353"]
    assert found(facts, "53", Protocol.UDP) == ["10.1.0.1:5354"]
    assert found(facts, "http") == []


def test_a_port_without_a_name_is_found_by_its_number():
    facts = ClusterFacts(service({"port": 443}), (slice_of("10.1.0.1", ports=[{"port": 8443}]),))
    assert found(facts, "443") == ["10.1.0.1:8443"]


def test_a_name_of_digits_goes_before_a_number():
    ports = ({"name": "a", "port": 80}, {"name": "80", "port": 81})
    slices = (slice_of("10.1.0.1", ports=[{"name": "a", "port": 1}, {"name": "80", "port": 2}]),)
    assert found(ClusterFacts(service(*ports), slices), "80") == ["10.1.0.1:2"]


def test_of_two_families_only_ipv4_is_taken():
    assert found(ClusterFacts(service(), (slice_of("fd00::7", kind="IPv6"), slice_of("10.1.0.7")))) == [
        "10.1.0.7:8080"
    ]


@pytest.mark.parametrize(
    ("facts", "port", "reason", "words"),
    [
        (ClusterFacts(None), "http", "ServiceNotFound", "There is no Service edge/shop"),
        (ClusterFacts(service()), "htp", "PortNotFound", r"no TCP port htp \(its ports: http \(TCP/80\)\)"),
        (ClusterFacts(service({"port": 53, "protocol": "UDP"})), "53", "PortNotFound", r"its ports: UDP/53"),
        (ClusterFacts(service(type="ExternalName")), "http", "NoEndpoints", "ExternalName"),
        (
            ClusterFacts(service(), (slice_of(*(f"10.1.{n // 250}.{n % 250}" for n in range(1001))),)),
            "http",
            "TooManyRealServers",
            "has 1001 real servers; 1000 are taken at most",
        ),
    ],
)
def test_a_reference_that_leads_to_nothing_is_told_in_words(facts, port, reason, words):
    result = found(facts, port)
    assert isinstance(result, Absent)
    assert result.reason == reason
    assert re.search(words, result.message)


NODE_PORT = {"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}


def on_nodes(nodes, *, slices=(), labels=None, **spec):
    facts = ClusterFacts(service(NODE_PORT, type="NodePort", **spec), slices, nodes)
    return found(facts, mode="Nodes", nodeLabels=labels or {})


def test_the_node_port_on_ready_nodes():
    nodes = {
        "a": node("10.0.1.1"),
        "b": node("10.0.1.2", ready="False"),
        "c": node("10.0.1.3", ready="Unknown"),
        "d": node(None),
        "e": node("10.0.1.5", labels={"node.kubernetes.io/exclude-from-external-load-balancers": ""}),
        "f": node("10.0.1.6", taints=["ToBeDeletedByClusterAutoscaler"]),
        "g": node("10.0.1.7", deletionTimestamp="2026-11-23T04:00:00Z"),
        "h": node("10.0.1.8", taints=["node.kubernetes.io/unschedulable"]),
    }
    assert on_nodes(nodes) == ["10.0.1.1:30080", "10.0.1.8:30080"]


def test_only_nodes_with_all_the_labels():
    nodes = {
        "a": node("10.0.1.1", labels={"pool": "front", "zone": "1"}),
        "b": node("10.0.1.2", labels={"pool": "front"}),
        "c": node("10.0.1.3", labels={"pool": "back", "zone": "1"}),
    }
    assert on_nodes(nodes, labels={"pool": "front", "zone": "1"}) == ["10.0.1.1:30080"]


def test_with_local_traffic_only_nodes_that_have_a_ready_endpoint():
    nodes = {"a": node("10.0.1.1"), "b": node("10.0.1.2"), "c": node("10.0.1.3")}
    slices = (
        slice_of(
            {"addresses": ["10.1.0.1"], "nodeName": "a"},
            {"addresses": ["10.1.0.2"], "nodeName": "b", "conditions": {"ready": False}},
        ),
        slice_of({"addresses": ["fd00::3"], "nodeName": "c"}, kind="IPv6"),
    )
    assert on_nodes(nodes, slices=slices, externalTrafficPolicy="Local") == [
        "10.0.1.1:30080",
        "10.0.1.3:30080",
    ]
    assert len(on_nodes(nodes, slices=slices, externalTrafficPolicy="Cluster")) == 3


def test_a_service_without_node_ports_is_told():
    result = found(ClusterFacts(service(), (), {"a": node()}), mode="Nodes")
    assert isinstance(result, Absent)
    assert "has no node port; its type must be NodePort or LoadBalancer" in result.message


ADDRESSES = st.lists(st.integers(0, 300).map(lambda n: f"10.1.{n // 250}.{n % 250}"), max_size=30)


@given(st.lists(ADDRESSES, max_size=4), st.randoms())
def test_the_order_of_slices_and_endpoints_does_not_matter(lists, random):
    straight = found(ClusterFacts(service(), tuple(slice_of(*each) for each in lists)))
    shuffled = [random.sample(each, len(each)) for each in lists]
    random.shuffle(shuffled)
    assert found(ClusterFacts(service(), tuple(slice_of(*each) for each in shuffled))) == straight
    assert len(set(straight)) == len(straight) == len({each for one in lists for each in one})
