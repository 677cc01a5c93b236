"""Random schedules, running them, and making a failing one small."""

import random
from collections.abc import Iterable
from dataclasses import replace

from tests.simulation.ha import bounds
from tests.simulation.ha.monitor import Violation
from tests.simulation.ha.setting import Happening, Schedule, Setting, Trouble
from tests.simulation.ha.world import World

from loadmaster_ha.domain.ha import HEALTH_CHECK_PORT, Mode, PreferredHost, Role

HOURS = 3600.0
SETTLING_STEP = 2.0
EQUAL_MODES, OTHER_PORT, OTHER_PREFERENCE = 0.06, 0.05, 0.08
WEIGHTS = {
    Trouble.KILL_NODE: 3,
    Trouble.KILL_SUPERVISOR: 2,
    Trouble.POWER_OFF: 2,
    Trouble.FREEZE_NODE: 3,
    Trouble.FREEZE_MACHINE: 2,
    Trouble.SUSPEND_MACHINE: 1,
    Trouble.HAPROXY: 3,
    Trouble.CUT_LINK: 2,
    Trouble.CUT_PAGE: 1,
    Trouble.CUT_UNITS: 4,
    Trouble.CUT_BALANCER: 2,
    Trouble.CUT_FRONTEND: 2,
    Trouble.ISOLATE: 1,
    Trouble.STOP_PROBER: 1,
    Trouble.SLOW: 1,
    Trouble.LOSSY: 1,
    Trouble.STOP: 1,
    Trouble.SWITCHOVER: 4,
    Trouble.UNDO: 1,
    Trouble.DRAIN: 1,
    Trouble.PREFER_MASTER: 1,
    Trouble.PREFER_NONE: 1,
    Trouble.POLL: 1,
}


def random_setting(chance: random.Random) -> Setting:
    """A pair and a balancer, anything allowed."""
    interval = chance.choice([1.0, 2.0, 2.0, 5.0])
    threshold = chance.choice([1, 2, 2])
    return Setting(
        preferred_host=chance.choice(list(PreferredHost)),
        probe_interval=interval,
        probe_threshold=threshold,
        heartbeat_interval=chance.choice([0.5, 1.0, 1.0]),
        partner_timeout=chance.choice([3.0, 4.0]),
        witness=chance.random() < 0.8,
        failback_delay=chance.choice([2.0, 4.0]),
        damping_limit=16.0,
        drain_time=2 * interval,
        refusal_is_answer=chance.random() < 0.5,
        returns_after=chance.choice([1, threshold]),
        clocks=(chance.uniform(0, 9 * HOURS), chance.uniform(0, 9 * HOURS)),
        starts=(
            chance.choice([0.0, 0.0, chance.uniform(0, 8)]),
            chance.choice([0.0, 0.0, chance.uniform(0, 8)]),
        ),
        phases=(chance.random(), chance.random()),
    )


def wrongly_set(setting: Setting, chance: random.Random) -> Setting:
    """The setting, or in some cases one with a mistake in it that people make."""
    what = chance.random()
    if what < EQUAL_MODES:
        return replace(setting, modes=(mode := chance.choice([Mode.MASTER, Mode.SLAVE]), mode))
    if what < EQUAL_MODES + OTHER_PORT:
        ports = [HEALTH_CHECK_PORT, HEALTH_CHECK_PORT + 1]
        chance.shuffle(ports)
        return replace(setting, check_ports=tuple(ports))
    if what < EQUAL_MODES + OTHER_PORT + OTHER_PREFERENCE:
        other = [each for each in PreferredHost if each is not setting.preferred_host]
        return replace(setting, slaves_preference=chance.choice(other))
    return setting


def random_schedule(seed: int) -> Schedule:
    """The schedule of this seed, always the same."""
    chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
    setting = wrongly_set(random_setting(chance), random.Random(f"mistakes {seed}"))  # noqa: S311 - as above
    at = max(setting.starts) + setting.partner_timeout + 2 * setting.probe_interval
    at *= chance.choice([0.3, 1.0, 1.0, 1.0])
    happenings = []
    troubles, weights = list(WEIGHTS), list(WEIGHTS.values())
    for _ in range(chance.choice([1, 2, 3, 4, 6])):
        trouble = chance.choices(troubles, weights)[0]
        unit = chance.choice(list(Role))
        duration = chance.choice([0.4, 2.0, 6.0, 12.0, 20.0]) * chance.uniform(0.5, 1.5)
        happenings.append(Happening(round(at, 3), trouble, unit, round(duration, 3), chance.random() < 0.25))
        at += chance.choice([0.0, 0.5, 3.0, 8.0, 15.0]) * chance.uniform(0.5, 1.5)
    return Schedule(seed, setting, tuple(happenings))


def run(schedule: Schedule, *, traced: bool = False) -> World:
    """Live through it, and wait until the pair has settled.

    Raises:
        Violation: something happened that must not, or the pair did not settle in time.
    """
    world = World(schedule.setting, schedule.seed, traced=traced)
    try:
        _live(world, schedule)
    except Violation as violation:
        violation.args = (f"{violation}\n{schedule}", *world.lines)
        raise
    return world


def _live(world: World, schedule: Schedule) -> None:
    for happening in schedule.happenings:
        world.schedule(happening)
    setting = schedule.setting
    over = max((item.at + item.duration for item in schedule.happenings), default=max(setting.starts) + 10)
    over += setting.drain_time + 5 if any(h.trouble is Trouble.STOP for h in schedule.happenings) else 0
    world.run_until(over)
    limit = over + settling_limit(setting)
    settled_since: float | None = None
    while True:
        world.run_until(world.simulator.now + SETTLING_STEP)
        unsettled = world.monitor.unsettled()
        if unsettled is not None:
            settled_since = None
            if world.simulator.now > limit:
                raise Violation(f"not settled {limit - over:.0f} s after the last trouble: {unsettled}")
        elif settled_since is None:
            settled_since = world.simulator.now
        elif world.simulator.now - settled_since >= setting.probe_interval + 2 * SETTLING_STEP:
            return


def settling_limit(setting: Setting) -> float:
    """Within this time after the last trouble everything is as it should be."""
    parts = (bounds.START, bounds.SILENT, bounds.UNSEEN, bounds.CHANGING, bounds.CHANGING, bounds.CHANGING)
    retry = 2 * max(setting.damping_limit, bounds.CHANGING.seconds(setting))
    return sum(part.seconds(setting) for part in parts) + retry + setting.damping_limit + 40.0


def failure(schedule: Schedule) -> str | None:
    """What goes wrong in it, without the times; None: nothing."""
    try:
        run(schedule)
    except Violation as violation:
        return str(violation.args[0])
    return None


def shrunk(schedule: Schedule) -> Schedule:
    """The schedule with everything taken away without which it still fails."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(schedule):
            if failure(candidate) is not None:
                schedule, smaller = candidate, True
                break
    return schedule


def _smaller(schedule: Schedule) -> Iterable[Schedule]:
    items = schedule.happenings
    for index in range(len(items)):
        yield replace(schedule, happenings=items[:index] + items[index + 1 :])
    for index, item in enumerate(items):
        if item.oneway:
            yield replace(
                schedule, happenings=(*items[:index], replace(item, oneway=False), *items[index + 1 :])
            )
    if schedule.setting.clocks != (0.0, 0.0):
        yield replace(schedule, setting=replace(schedule.setting, clocks=(0.0, 0.0)))


def explain(schedule: Schedule) -> str:
    """The failing schedule made small, and what happens in it line by line."""
    small = shrunk(schedule)
    try:
        run(small, traced=True)
    except Violation as violation:
        return "\n".join(str(part) for part in violation.args)
    return f"it does not fail any more:\n{small}"
