"""Units as they are observed and what they shall be, for tests of the units' planner; the guide's pair."""

from typing import Any

from loadmaster_ha.domain.ha import Mode, PreferredHost, Role
from loadmaster_ha.domain.reading import Absent, Present, Reading
from loadmaster_ha.domain.units import (
    AgentInputs,
    AgentStatus,
    HighAvailabilitySettings,
    ObservedState,
    UnitFacts,
    UnitKind,
)
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService
from loadmaster_ha.planning.target import PairIdentity, PairTarget
from loadmaster_ha.planning.units.observation import UnitRecord, UnitsObservation, UnitsTarget
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec

ADDRESSES = {Role.MASTER: "10.0.2.4", Role.SLAVE: "10.0.2.5"}
FRONTEND = "10.0.1.100"
COMMANDS = frozenset({"azurehamode", "azurehaparam", "getazurehaparams", "setlmcommsecret"})
AGENT_COMMANDS = COMMANDS | {"agentstatus", "agentsetparams", "agentgetparams", "agentswitchover"}
FIRMWARE = "7.2.63.2.22642.RELEASE"
DONE = object()


def unit_spec(**sections: Any) -> dict[str, Any]:
    """A manifest's spec with both units managed; `sections` replace whole sections of it."""
    managed = {"management": {"credentialsSecretRef": {"name": "login"}}}
    spec: dict[str, Any] = {
        "azure": {"subscriptionID": "11111111-2222-3333-4444-555555555555", "resourceGroup": "edge"},
        "master": {"networkInterfaces": [{"name": "eth0", "resource": "lm-0-nic"}], **managed},
        "slave": {"networkInterfaces": [{"name": "eth0", "resource": "lm-1-nic"}], **managed},
        "loadBalancer": {
            "name": "web-ilb",
            "frontend": {"subnet": {"virtualNetwork": "app", "name": "lb"}, "privateIPAddress": FRONTEND},
        },
        "networkSecurity": {"managementSources": ["10.0.0.0/8"]},
    }
    return {**spec, **sections}


def units_target(*, secret: str | Reading[str] | None = None, **sections: Any) -> UnitsTarget:
    pair = PairTarget(
        PairIdentity("edge", "web", "6f1a2b3c-0000-4000-8000-000000000001"),
        LoadMasterPairSpec.model_validate(unit_spec(**sections)),
    )
    wanted: Reading[str] = (
        Absent() if secret is None else Present(secret) if isinstance(secret, str) else secret
    )
    return UnitsTarget(
        pair,
        ADDRESSES,
        {(role, "eth0"): address for role, address in ADDRESSES.items()},
        frontend=Present(FRONTEND),
        secret_version=wanted,
    )


def settled(role: Role, **changed: Any) -> HighAvailabilitySettings:
    """The HA settings of a unit as they shall be, unless told otherwise."""
    wanted: dict[str, Any] = {
        "mode": Mode(role.value),
        "preferred_host": PreferredHost.MASTER,
        "partner": ADDRESSES[role.partner],
        "port": 8444,
        "all_interfaces": False,
    }
    return HighAvailabilitySettings(**{**wanted, **changed})


def service(port: int, address: str = "10.0.2.4") -> VirtualService:
    return VirtualService(port, ServiceKey(address, port), f"web-{port}")


def facts(
    role: Role,
    *,
    kind: UnitKind = UnitKind.AGENT,
    settings: HighAvailabilitySettings | None = None,
    in_force: Any = DONE,
    state: ObservedState | None = None,
    services: Any = (),
    boot: str = "Mon, 23 Nov 26 08:00:00 UTC",
    inputs: AgentInputs | None = None,
    firmware: str = FIRMWARE,
    commands: frozenset[str] | None = None,
    agent: AgentStatus | None = None,
) -> UnitFacts:
    """A unit; without more a member of the guide's pair, the master active and the slave on standby."""
    settings = settings or settled(role)
    known = commands if commands is not None else AGENT_COMMANDS if kind is UnitKind.AGENT else COMMANDS
    usual = ObservedState.ACTIVE if role is Role.MASTER else ObservedState.STANDBY
    return UnitFacts(
        role=role,
        kind=kind,
        firmware=firmware,
        identity=f"serial of {role}",
        boot=boot,
        commands=known,
        settings=settings,
        mode_in_force=settings.mode if in_force is DONE else in_force,
        state=state or usual,
        services=Present(services) if isinstance(services, tuple) else services,
        agent=agent,
        inputs=inputs if kind is UnitKind.AGENT else None,
    )


def fresh(role: Role, *, kind: UnitKind = UnitKind.AGENT, **more: Any) -> UnitFacts:
    """A unit that was just started: single mode, nothing set."""
    return facts(
        role,
        kind=kind,
        settings=HighAvailabilitySettings(),
        state=ObservedState.ACTIVE,
        **{"in_force": Mode.SINGLE, **more},
    )


def seen(master: Any, slave: Any, *, secret: str = "", **more: Any) -> UnitsObservation:
    """An observation of two units; a unit is its facts, or a reading that is not Present."""
    units = {
        role: Present(found) if isinstance(found, UnitFacts) else found
        for role, found in zip((Role.MASTER, Role.SLAVE), (master, slave), strict=True)
    }
    records = {role: UnitRecord(f"serial of {role}", secret) for role in Role}
    given: dict[str, Any] = {
        "records": records,
        "published": Present(frozenset()),
        "frontend_serves": Present(True),
        "ports": Present(frozenset({8444})),
    }
    return UnitsObservation(units, **{**given, **more})
