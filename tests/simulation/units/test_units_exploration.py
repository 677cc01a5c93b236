"""The planner drives every pair to its end and breaks nothing on the way; and it is noticed when it does.

`exploration` says what must hold after every write. The last tests seed bugs into the planner, with its own
guard switched off: the exploration has to find each of them by what becomes of the units.
"""

from dataclasses import replace

import pytest
from tests.simulation.units.exploration import Violation, all_starts, check_outcome, explore, outcome, planned
from tests.simulation.units.units_model import Flavour, World

from loadmaster_ha.domain.ha import Mode
from loadmaster_ha.planning.units import invariants, modes, parameters, preconditions, reboots, steps
from loadmaster_ha.planning.units.situation import Member, Situation

FLAVOURS = pytest.mark.parametrize("flavour", list(Flavour))


@FLAVOURS
def test_every_beginning_has_its_end(flavour):
    starts = list(all_starts(flavour))
    for start in starts:
        check_outcome(start)
    assert len(starts) > 30


@FLAVOURS
def test_a_fresh_pair_becomes_a_pair_whatever_happens_meanwhile(flavour):
    """Two disturbances at any point: a lost answer, a restart, a unit out of reach, something set by hand."""
    assert explore([World(flavour)], 2, check_outcome) > 100


@FLAVOURS
def test_a_running_pair_stays_a_pair_whatever_happens_to_it(flavour):
    running, _ = outcome(World(flavour))
    assert explore([running], 3, check_outcome) > 50


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("flavour", [Flavour.AGENT, Flavour.INSTANT_APPLIANCE])
def test_every_beginning_has_its_end_with_a_disturbance_at_any_point(flavour):
    assert explore(all_starts(flavour), 1, check_outcome) > 1000


@FLAVOURS
def test_a_converged_pair_is_left_alone(flavour):
    running, plan = outcome(World(flavour))
    assert plan.converged
    assert planned(running).changes == ()


def _own_address_as_partner(monkeypatch):
    """The guide's slip in step 8 of its section 7."""
    right = Situation._wanted
    monkeypatch.setattr(
        Situation,
        "_wanted",
        lambda self, role: replace(right(self, role), partner=self.target.addresses[role]),
    )


def _forgets_the_record(monkeypatch):
    """An appliance's mode counts as in force because it reads back."""
    monkeypatch.setattr(
        Member, "owes_reboot", property(lambda self: self.facts.mode_in_force not in (None, self.mode))
    )


def _ignores_what_is_in_force(monkeypatch):
    monkeypatch.setattr(Member, "may_run_as", property(lambda self: frozenset({self.mode})))
    monkeypatch.setattr(Member, "may_become", lambda _, mode, partner: mode is not partner.mode)


def _ignores_the_partners_mode(monkeypatch):
    monkeypatch.setattr(Member, "may_become", lambda *_: True)


def _never_goes_through_single(monkeypatch):
    right = modes.set_mode
    monkeypatch.setattr(
        modes, "set_mode", lambda member, mode: None if mode is Mode.SINGLE else right(member, mode)
    )


def _believes_that_anybody_can_take_over(monkeypatch):
    monkeypatch.setattr(reboots, "cannot_take_over", lambda *_: "")


def _takes_nobody_for_serving(monkeypatch):
    monkeypatch.setattr(Situation, "may_serve", lambda *_: False)


def _does_not_look_for_services(monkeypatch):
    monkeypatch.setattr(Situation, "presumed_serving", lambda *_: False)


def _takes_exchanged_roles_for_a_detail(monkeypatch):
    monkeypatch.setattr(preconditions, "_exchanged", lambda _: iter(()))
    monkeypatch.setattr(Situation, "may_serve", lambda *_: False)


def _does_not_wait_for_the_other_unit(monkeypatch):
    right = reboots._obstacle
    monkeypatch.setattr(
        reboots,
        "_obstacle",
        lambda situation, member, policy: (
            None if situation.partner(member.role) is None else right(situation, member, policy)
        ),
    )
    monkeypatch.setattr(reboots, "waiting", lambda _: None)


def _leaves_parameters_as_they_are(monkeypatch):
    monkeypatch.setattr(parameters, "_different", lambda _: {})


BUGS = [
    _own_address_as_partner,
    _forgets_the_record,
    _ignores_what_is_in_force,
    _ignores_the_partners_mode,
    _never_goes_through_single,
    _believes_that_anybody_can_take_over,
    _takes_nobody_for_serving,
    _does_not_look_for_services,
    _takes_exchanged_roles_for_a_detail,
    _does_not_wait_for_the_other_unit,
    _leaves_parameters_as_they_are,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__.strip("_"))
def test_a_bug_of_the_planner_is_found(bug, monkeypatch):
    monkeypatch.setattr(steps.invariants, "verify", lambda *_, **__: None)
    assert steps.invariants is invariants
    bug(monkeypatch)
    with pytest.raises(Violation):
        _explore_everything()


def _explore_everything():
    for flavour in Flavour:
        for start in all_starts(flavour):
            check_outcome(start)
        explore([World(flavour)], 1, check_outcome)
