"""Equal parts of manifests are one object, and no manifest says another thing for it."""

import copy

from tests.support.pairs import short_pair

from loadmaster_ha.controller import sharing
from loadmaster_ha.controller.registry import target_of
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec


def body(name, **health_check):
    pair = copy.deepcopy(short_pair(name))
    pair["metadata"] |= {"namespace": "edge", "uid": f"uid-{name}"}
    pair["spec"]["master"]["networkInterfaces"] = [{"name": "eth0", "resource": f"{name}-nic"}]
    pair["spec"]["healthCheck"] = {**pair["spec"].get("healthCheck", {}), **health_check}
    return pair


def test_what_pairs_say_alike_is_there_once():
    one, other = target_of(body("web-1")).spec, target_of(body("web-2")).spec
    assert one != other
    assert one.policy is other.policy
    assert one.health_check is other.health_check
    assert one.high_availability is other.high_availability
    assert one.master is not other.master


def test_a_manifest_says_what_it_said_before_its_parts_were_shared():
    bodies = [body("web-1"), body("web-2", port=9443), body("web-3", intervalSeconds=7)]
    targets = [target_of(each) for each in bodies]
    for each, target in zip(bodies, targets, strict=True):
        plain = LoadMasterPairSpec.model_validate(each["spec"])
        assert target.spec == plain
        assert target.spec.model_dump(exclude_unset=True) == plain.model_dump(exclude_unset=True)


def test_what_was_set_is_told_from_what_is_the_default():
    default = LoadMasterPairSpec.model_validate(body("web-1")["spec"]).health_check
    given = LoadMasterPairSpec.model_validate(body("web-1", port=default.port)["spec"]).health_check
    assert given == default
    assert sharing.shared(default).model_fields_set == default.model_fields_set
    assert sharing.shared(given).model_fields_set == given.model_fields_set == {"port"}


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(sharing, "MOST", 40)
    targets = [target_of(body(f"web-{number}", port=8000 + number)) for number in range(60)]
    assert [each.spec.health_check.port for each in targets] == [8000 + number for number in range(60)]
    assert len(sharing._known) <= 40
