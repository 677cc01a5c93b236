"""What is read, and what is not: every read costs budget."""

from tests.unit.planning import world
from tests.unit.planning.arm_model import GROUP, NETWORK, ArmModel

from loadmaster_ha.planning import pair
from loadmaster_ha.planning.observation import AddressQuestion, Observation


def names(needs):
    found = (need.address if isinstance(need, AddressQuestion) else need.name for need in needs)
    return sorted(found, key=str.lower)


def known(arm, target):
    observation = world.look(arm, target)
    return names([*observation.resources, *observation.addresses])


def test_the_first_round_is_what_the_manifest_names():
    target = world.target(world.changed(world.guide_spec(), "master.virtualMachine", {"name": "lm-0"}))
    assert names(pair.needs(target, Observation())) == [
        "app",
        "lm-0",
        "lm-0-nic",
        "lm-1-nic",
        "lm-nsg",
        "web-ilb",
    ]


def test_the_guides_set_up_needs_ten_reads_before_the_first_write():
    found = known(ArmModel(world.guide_bodies()), world.target())
    assert [name.lower() for name in found] == [
        "10.0.1.100",
        "app",
        "edge",
        "lm-0",
        "lm-0-nic",
        "lm-1",
        "lm-1-nic",
        "lm-as",
        "lm-nsg",
        "web-ilb",
    ]


def test_a_location_in_the_manifest_saves_the_resource_group():
    spec = world.changed(world.guide_spec(), "azure.location", "westeurope")
    assert "edge" not in known(ArmModel(world.guide_bodies()), world.target(spec))


def test_when_all_is_well_only_what_can_drift_is_read():
    arm = ArmModel(world.guide_bodies())
    world.converge(arm, world.target())
    assert known(arm, world.target()) == ["app", "lm-0", "lm-0-nic", "lm-1", "lm-1-nic", "lm-nsg", "web-ilb"]


def test_an_interface_that_should_not_be_in_our_pool_is_read():
    bodies = world.guide_bodies()
    arm = ArmModel(bodies)
    world.converge(arm, world.target())
    stray = world.interface(7)
    pool = {"id": f"{world.BALANCER}/backendAddressPools/lm_web_pool"}
    stray["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = [pool]
    arm.put(f"{NETWORK}/networkInterfaces/stray", stray)
    assert "stray" in known(arm, world.target())
    made = world.converge(arm, world.target())
    assert [change.resource.name for change in made] == ["stray"]


def test_needs_end_where_nothing_exists():
    arm = ArmModel({GROUP: {"location": "westeurope"}})
    assert known(arm, world.target()) == ["app", "edge", "lm-0-nic", "lm-1-nic", "lm-nsg", "web-ilb"]
