"""How long the engine waits for what: every derived time in one place, as a function of the configuration.

`docs/failure-modes-units.md` states what follows from these for clients, and the simulation asserts it. I is
the interval of the balancer's probe, T its threshold. Of the probe (Azure: Load Balancer health probes): an
answer counts at once, 200 up and anything else down; only silence has to last, for T probes in a row.
"""

from typing import Final

from loadmaster_ha.agent.ha.model import Configuration

FOREVER: Final = float("inf")

DAMPING_WINDOW: Final = 600.0
"""Changes of state are counted for this long."""

TIE: Final = 1.0
"""Two units whose times in office differ by less than this are equally old; then the master stays."""


def stale_after(configuration: Configuration) -> float:
    """Age from which a heartbeat no longer says what the partner does: two lost ones and a half."""
    return 2.5 * configuration.heartbeat_interval


def page_pause(configuration: Configuration, *, hurry: bool) -> float:
    """Pause between two looks at the partner's health port; in a hurry while the heartbeats are missing."""
    return configuration.heartbeat_interval * (0.5 if hurry else 2.0)


def page_timeout(configuration: Configuration) -> float:
    """How long the partner's health port has for its answer."""
    return min(1.0, configuration.partner_timeout / 3)


def page_valid(configuration: Configuration) -> float:
    """How long an answer of the partner's health port is believed."""
    return page_pause(configuration, hurry=False) + page_timeout(configuration)


def start_grace(configuration: Configuration, *, is_master: bool) -> float:
    """How long a starting unit first looks for a partner that is active already.

    The slave waits longer: of two units that start together the master is to serve.
    """
    return 2.0 * configuration.heartbeat_interval if is_master else configuration.partner_timeout


def cut_off_after(configuration: Configuration) -> float:
    """Without a probe for this long, a unit is cut off from the balancer: T of them are missing."""
    return (configuration.probe_threshold + 0.5) * configuration.probe_interval


def confirmation(configuration: Configuration) -> float:
    """Within this time an active unit has been probed T times, wherever in the interval it began."""
    return (configuration.probe_threshold + 1) * configuration.probe_interval


def quiet(configuration: Configuration, *, probed: bool) -> float:
    """How long a stopping unit that served answers 503 before it ends.

    A balancer of which T probes are missing leads nobody here, and would not see the answer. A heartbeat is
    waited for even so: what a unit that was frozen has missed is told to it by then.
    """
    return (
        configuration.drain_time
        if probed
        else min(configuration.heartbeat_interval, configuration.drain_time)
    )


def handover_limit(configuration: Configuration) -> float:
    """A switch-over that is not through after this is given up: no prober has seen the other unit."""
    return confirmation(configuration) + configuration.partner_timeout


def witness_pause(configuration: Configuration) -> float:
    """Pause between two questions to the witness; each is a new connection, mapped by a new hash."""
    return 2.0 * configuration.witness_timeout


def failback_delay(configuration: Configuration, activations: int) -> float:
    """How long the master has to be well; doubles with every time the slave became active in the window."""
    doublings = min(max(0, activations - 1), 30)
    return max(
        configuration.failback_delay,
        min(configuration.damping_limit, configuration.failback_delay * 2.0**doublings),
    )
