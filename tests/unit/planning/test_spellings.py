"""One thing for Azure that stands in a manifest twice, spelled differently: it is written once and stays."""

import copy

from tests.unit.planning import world
from tests.unit.planning.arm_model import ArmModel


class CaselessTags(ArmModel):
    """Keeps one tag of each name, whatever its case, as Azure does."""

    def put(self, resource, body):
        body = copy.deepcopy(dict(body))
        kept = {name.lower(): (name, value) for name, value in (body.get("tags") or {}).items()}
        super().put(resource, {**body, "tags": dict(kept.values())} if kept else body)


def names(arm):
    rules = arm.get(world.SECURITY_GROUP)["properties"]["securityRules"]
    return [rule["name"].lower() for rule in rules if "_management" in rule["name"]]


def sources(arm):
    found = []
    for rule in arm.get(world.SECURITY_GROUP)["properties"]["securityRules"]:
        if "_management" in rule["name"]:
            body = rule["properties"]
            found += body.get("sourceAddressPrefixes") or [body["sourceAddressPrefix"]]
    return found


def test_a_source_is_written_once():
    spec = world.changed(
        world.guide_spec(),
        "networkSecurity.managementSources",
        ["Storage", "STORAGE", "20.0.0.4", "20.0.0.4/32", "10.0.0.0/8", "10.1.2.3/8"],
    )
    arm, target = ArmModel(world.guide_bodies()), world.target(spec)
    world.converge(arm, target)
    assert len(names(arm)) == len(set(names(arm))) == 2
    assert sorted(sources(arm)) == ["10.0.0.0/8", "20.0.0.4", "STORAGE"]
    assert world.converge(arm, target) == []


def test_a_tag_is_written_once():
    spec = world.changed(world.guide_spec(), "azure.tags", {"Env": "live", "env": "test", "team": "edge"})
    arm, target = CaselessTags(world.guide_bodies()), world.target(spec)
    world.converge(arm, target)
    assert world.converge(arm, target) == []
    written = {name: arm.get(world.BALANCER)["tags"].get(name) for name in ("Env", "env", "team")}
    assert written == {"Env": "live", "env": None, "team": "edge"}
