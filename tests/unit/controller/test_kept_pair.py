"""What is kept of a pair is one piece of text, and tells what was put into it."""

import json
import sys

from loadmaster_ha.controller.kept_pair import KeptPair

CONDITION = {
    "status": "True",
    "reason": "ActiveStandby",
    "message": "The master is active, the slave stands by: wie gewünscht.",
    "lastTransitionTime": "2026-11-23T10:00:00Z",
    "observedGeneration": 1,
}
STATUS = {
    "active": "Master",
    "conditions": [{"type": f"Condition{number}", **CONDITION} for number in range(12)],
    "units": [{"role": "Master", "address": "10.0.2.4"}, {"role": "Slave", "address": "10.0.2.5"}],
}
METADATA = {"namespace": "edge", "name": "web", "uid": "u-1", "generation": 3, "resourceVersion": "12"}


def pair(**metadata):
    more = {"managedFields": [{"manager": "kubectl"}], "labels": {"a": "b"}}
    return {"metadata": {**METADATA, **more, **metadata}, "spec": {"master": {}}, "status": STATUS}


def test_metadata_that_matters_and_status_come_back_as_they_were():
    kept = KeptPair(pair())
    assert kept.body() == {"metadata": METADATA, "status": STATUS}
    assert kept.uid == "u-1"


def test_a_pair_without_status_has_an_empty_one():
    assert KeptPair({"metadata": METADATA}).body()["status"] == {}


def test_what_a_caller_does_with_it_changes_nothing():
    kept = KeptPair(pair())
    kept.body()["status"]["conditions"].clear()
    assert kept.body()["status"] == STATUS


def test_of_two_versions_the_greater_number_is_newer():
    kept = KeptPair(pair())
    assert kept.is_newer_than(pair(resourceVersion="9"))
    assert not kept.is_newer_than(pair(resourceVersion="12"))
    assert not kept.is_newer_than(pair(resourceVersion="103"))
    assert not kept.is_newer_than(pair(resourceVersion="of another kind"))


def test_it_takes_a_fraction_of_its_text_and_holds_nothing_else():
    kept = KeptPair(pair())
    parts = [getattr(kept, name) for name in KeptPair.__slots__]
    assert not hasattr(kept, "__dict__")
    assert all(isinstance(each, bytes | str) for each in parts)
    assert sum(map(sys.getsizeof, parts)) < len(json.dumps(STATUS)) / 2
