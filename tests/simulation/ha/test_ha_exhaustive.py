"""Every trouble at every instant of what is delicate, one after the other: no chance involved.

The grid lies over a planned switch-over with its hold: each trouble, at each unit, at each instant. The slow
tests lie over a fail-back too, have a finer grid, and take all ordered pairs of troubles.
"""

from dataclasses import replace
from itertools import product

import pytest
from tests.simulation.ha.monitor import Violation
from tests.simulation.ha.runs import run
from tests.simulation.ha.setting import Happening, Schedule, Setting, Trouble

from loadmaster_ha.domain.ha import PreferredHost, Role

SETTING = Setting(
    probe_interval=2.0,
    heartbeat_interval=1.0,
    failback_delay=4.0,
    damping_limit=16.0,
    drain_time=4.0,
    phases=(0.2, 0.7),
    clocks=(5 * 3600.0, 30.0),
)
BEGUN = 10.0
SWITCHOVER = Happening(BEGUN, Trouble.SWITCHOVER, Role.MASTER, 12.0)
TROUBLES = [item for item in Trouble if item is not Trouble.POLL]
INSTANTS = [0.0, 0.003, 0.5, 1.1, 2.3, 3.9, 5.2, 8.0]


def survives(setting, *happenings):
    try:
        run(Schedule(0, setting, happenings))
    except Violation as violation:
        pytest.fail("\n".join(str(part) for part in violation.args))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_any_trouble_in_a_switchover(trouble):
    for unit, instant in product(Role, INSTANTS[::2]):
        survives(SETTING, SWITCHOVER, Happening(BEGUN + instant, trouble, unit, 9.0))


@pytest.mark.slow
@pytest.mark.parametrize("preferred_host", list(PreferredHost))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_any_trouble_at_any_instant_of_a_switchover(trouble, preferred_host):
    setting = replace(SETTING, preferred_host=preferred_host)
    for unit, instant, duration in product(Role, INSTANTS, (1.0, 9.0)):
        survives(setting, SWITCHOVER, Happening(BEGUN + instant, trouble, unit, duration))


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_any_trouble_at_any_instant_of_a_failback(trouble):
    failure = Happening(BEGUN, Trouble.KILL_NODE, Role.MASTER, 1.0)
    for unit, instant in product(Role, INSTANTS):
        survives(SETTING, failure, Happening(BEGUN + 5.5 + instant, trouble, unit, 5.0))


@pytest.mark.slow
@pytest.mark.parametrize("second", TROUBLES)
@pytest.mark.parametrize("first", TROUBLES)
def test_any_two_troubles_one_upon_the_other(first, second):
    for one, other, pause, oneway in product(Role, Role, (0.0, 2.2), (False, True)):
        survives(
            SETTING,
            Happening(BEGUN, first, one, 8.0, oneway),
            Happening(BEGUN + pause, second, other, 8.0, oneway),
        )
