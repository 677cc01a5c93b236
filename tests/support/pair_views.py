"""What was seen of a well pair of node agents, for tests to take away from: `PairView` and its parts."""

from dataclasses import replace

from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.reading import Present, Unknown
from loadmaster_ha.domain.units import AgentStatus, HighAvailabilitySettings, ObservedState, UnitKind
from loadmaster_ha.planning.diagnosis.model import HealthAnswer, PairView, Silence, UnitView

ADDRESSES = {Role.MASTER: "10.0.2.4", Role.SLAVE: "10.0.2.5"}
NOW = 10_000.0
LONG_AGO = NOW - 1000


def says(code: int, text: str = "", since: float = LONG_AGO) -> HealthAnswer:
    return HealthAnswer(code, text, at=NOW, since=since, last_good=NOW if code == 200 else None)


def silent(how: Silence) -> HealthAnswer:
    return HealthAnswer(None, silence=how, at=NOW, since=LONG_AGO)


def settings(role: Role, **changes: object) -> HighAvailabilitySettings:
    whole = HighAvailabilitySettings(
        Mode(role.value), PreferredHost.MASTER, ADDRESSES[role.partner], 8444, all_interfaces=False
    )
    return replace(whole, **changes)


def agent(state: ObservedState, role: Role, **changes: object) -> AgentStatus:
    return replace(AgentStatus(1, Mode(role.value), state, partner_connected=True, sync_lag=0), **changes)


def unit(role: Role, health: HealthAnswer | None, state: ObservedState, **changes: object) -> UnitView:
    whole = UnitView(
        role,
        UnitKind.AGENT,
        "0.1.0.0",
        health,
        Present(state),
        settings(role),
        "boot",
        agent(state, role),
        last_seen=NOW,
    )
    return replace(whole, **changes)


ACTIVE, STANDBY = ObservedState.ACTIVE, ObservedState.STANDBY
WELL = PairView(
    {
        Role.MASTER: unit(Role.MASTER, says(200, "Master is active"), ACTIVE),
        Role.SLAVE: unit(Role.SLAVE, says(503, "Slave is standby"), STANDBY),
    },
    ADDRESSES,
    8444,
    PreferredHost.MASTER,
    says(200, "Master is active"),
    "10.0.2.100",
    now=NOW,
)


def with_unit(role: Role, view: PairView = WELL, **changes: object) -> PairView:
    return replace(view, units={**view.units, role: replace(view.units[role], **changes)})


def with_both(view: PairView = WELL, **changes: object) -> PairView:
    return with_unit(Role.SLAVE, with_unit(Role.MASTER, view, **changes), **changes)


def notices(view: PairView, *texts: str, linked: bool) -> PairView:
    units = {
        role: replace(
            it, agent=replace(it.agent or agent(STANDBY, role), notices=texts, partner_connected=linked)
        )
        for role, it in view.units.items()
    }
    return replace(view, units=units)


def cannot_be_asked(reason: str, text: str = "it says so") -> dict[str, object]:
    return {"management": Unknown(reason, text), "health": silent(Silence.TIMED_OUT), "agent": None}
