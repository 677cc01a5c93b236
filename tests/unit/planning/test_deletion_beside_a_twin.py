"""Two pairs of one name in two namespaces name the same balancer; the younger one is deleted."""

from tests.unit.planning.arm_model import ArmModel
from tests.unit.planning.world import BALANCER, converge, guide_bodies, look, target

from loadmaster_ha.planning import pair
from loadmaster_ha.planning.target import PairIdentity

YOUNGER = PairIdentity("staging", "web", "6f1a2b3c-0000-4000-8000-000000000002")


def without_tags(arm: ArmModel) -> None:
    """As if somebody had built by hand what the older pair wants, so that it was adopted without a write."""
    arm.get(BALANCER).pop("tags")


def test_the_younger_takes_nothing_out_of_a_balancer_without_a_tag():
    arm = ArmModel(guide_bodies())
    older, younger = target(), target(identity=YOUNGER)
    converge(arm, older)
    without_tags(arm)

    planned = pair.plan_deletion(younger, look(arm, younger), [older])

    assert planned.changes == ()
    assert planned.converged


def test_without_an_older_pair_the_entries_are_taken_out():
    arm = ArmModel(guide_bodies())
    converge(arm, target())
    without_tags(arm)

    assert pair.plan_deletion(target(), look(arm, target())).changes != ()
