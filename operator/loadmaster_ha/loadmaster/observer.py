"""One look at a unit: its management API's answers as `domain.units` has them.

`observe` brings everything that a plan needs, `look` the little that watching needs, `service_states` what
serves, `watch_agent` waits at a node agent until there is something new. An appliance and an agent answer the
same questions; what only an agent has is asked of it alone, and an agent is who `listapi` says is one.

Nothing here writes, and nothing is guessed: what a unit does not tell is None, `Unknown` or a fault.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from loadmaster_ha.domain.ha import Mode, Role
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.domain.units import (
    AgentInputs,
    AgentStatus,
    Certificate,
    HighAvailabilitySettings,
    ObservedState,
    UnitFacts,
    UnitKind,
)
from loadmaster_ha.domain.virtual_services import VirtualService
from loadmaster_ha.loadmaster import agent_status, ha_settings, unit_certificates, virtual_service_rows
from loadmaster_ha.loadmaster.calling import Caller, Waiting
from loadmaster_ha.loadmaster.catalogue.agent import WATCH_SECONDS
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.values import UNSET, Json
from loadmaster_ha.loadmaster.version_choice import Offer

_WATCH_MARGIN: Final = 10.0
"""Seconds beyond what `agentwatch` waits, for the way there and back."""
_NOT_ACTIVE: Final = frozenset({"", "0", UNSET})
"""`activetime` of a unit that is not active."""
_NO_SERIAL: Final = frozenset({"", "0", UNSET})
_UNREAD: Final = Absent()
_NO_STATUS: Final[Mapping[str, str]] = MappingProxyType({})
_NOT_TOLD: Final = frozenset(
    {FaultReason.INVALID_REQUEST, FaultReason.UNKNOWN_COMMAND, FaultReason.FORBIDDEN}
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a unit is and does now, by few and cheap questions."""

    kind: UnitKind
    firmware: str
    boot: str
    settings: HighAvailabilitySettings
    mode_in_force: Mode | None
    state: ObservedState
    active_since: str = ""
    agent: AgentStatus | None = None
    inputs: AgentInputs | None = None
    """None where they have to be asked for."""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """What a node agent answers to a question that it kept."""

    status: AgentStatus
    settings: HighAvailabilitySettings | None
    """None: an older agent, which does not tell them there."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Whether a virtual service serves, in the unit's own words (Up, Down, Disabled, Sick ...)."""

    status: str
    real_servers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`ADDRESS:PORT` -> its word."""


async def observe(
    client: Caller,
    role: Role,
    *,
    services: bool,
    certificates: bool,
    of_interest: Callable[[str], bool] = lambda _: True,
    known: UnitFacts | None = None,
) -> UnitFacts:
    """Everything that one look at a unit brings.

    Args:
        client: the unit's.
        role: which unit of the manifest it is.
        services: whether to read the virtual services.
        certificates: whether to read the certificates in its store.
        of_interest: the names of the certificates that are to be told one from another; where that takes a
            call for each (appliances), the fingerprint of others is left out.
        known: what the same unit told before: what cannot change while it runs is taken from there, and
            asked for again once it has started anew.

    Raises:
        UnitFault: the unit could not be asked. Services and certificates that cannot be read are `Unknown`.
    """
    seen = await look(client, known=known)
    same_run = known is not None and _same_run(known, seen.kind, seen.boot)
    offer = await client.offer()
    told = await _services(client) if services else Absent()
    status = (
        {each.nickname: word for each, word in told.value if each.nickname}
        if isinstance(told, Present)
        else {}
    )
    return UnitFacts(
        role=role,
        kind=seen.kind,
        firmware=seen.firmware,
        identity=known.identity if known is not None and same_run else await identity(client, seen.serial),
        boot=seen.boot,
        commands=offer.commands,
        settings=seen.settings,
        mode_in_force=seen.mode_in_force,
        state=seen.state,
        active_since=seen.active_since,
        services=Present(tuple(each for each, _ in told.value)) if isinstance(told, Present) else told,
        certificates=await _certificates(client, of_interest) if certificates else Absent(),
        agent=seen.agent,
        inputs=seen.inputs or (await _inputs(client) if seen.kind is UnitKind.AGENT else None),
        service_status=MappingProxyType(status),
    )


async def look(client: Caller, *, known: UnitFacts | None = None) -> Look:
    """What a unit is and does now: five short calls to an appliance, one to an agent (three to older ones).

    Args:
        client: the unit's.
        known: what the same unit told before; its version is asked for again only once it has started anew.

    Raises:
        UnitFault: the unit could not be asked.
    """
    offer = await client.offer()
    if offer.is_agent:
        return await _look_at_agent(client, offer)
    settings = await settings_of(client)
    boot = _word(await _parameter(client, "boottime"))
    same_run = known is not None and _same_run(known, UnitKind.APPLIANCE, boot)
    firmware = (
        known.firmware if known is not None and same_run else _word(await _parameter(client, "version"))
    )
    word = await _parameter(client, "hastatus")
    return Look(
        UnitKind.APPLIANCE,
        firmware=firmware,
        boot=boot,
        settings=settings,
        mode_in_force=ha_settings.mode_in_force(word, settings),
        state=ha_settings.state(word),
        active_since=await _active_since(client),
    )


async def _look_at_agent(client: Caller, offer: Offer) -> Look:
    told = (await client.call("agentstatus")).fields or {}
    status = agent_status.status(told)
    return Look(
        UnitKind.AGENT,
        firmware=_word(told.get("version")) or offer.firmware,
        boot=status.boot_time,
        settings=agent_status.settings(told) or await settings_of(client),
        mode_in_force=status.mode,
        state=status.state,
        active_since=(
            _active_word(told["activetime"]) if "activetime" in told else await _active_since(client)
        ),
        agent=status,
        inputs=agent_status.inputs_in_status(told),
        serial=_word(told.get("serialnumber")),
    )


async def boot_of(client: Caller) -> str:
    """Which start of the unit this is (`UnitFacts.boot`), in one call.

    Raises:
        UnitFault: the unit could not be asked.
    """
    if (await client.offer()).is_agent:
        return agent_status.status((await client.call("agentstatus")).fields).boot_time
    return _word(await _parameter(client, "boottime"))


def what_lasts(facts: UnitFacts) -> UnitFacts:
    """What of a look serves the next one as `known`; the rest, which is most of it, is read again anyway."""
    return replace(
        facts, services=_UNREAD, certificates=_UNREAD, agent=None, inputs=None, service_status=_NO_STATUS
    )


def _same_run(known: UnitFacts, kind: UnitKind, boot: str) -> bool:
    return bool(boot) and (known.kind, known.boot) == (kind, boot)


async def settings_of(client: Caller) -> HighAvailabilitySettings:
    """The HA settings as they read back.

    Raises:
        UnitFault: the unit could not be asked, or has no cloud HA.
    """
    commands = ha_settings.family((await client.offer()).commands)
    return ha_settings.read((await client.call(commands.read)).fields)


async def written_settings_of(
    client: Caller, *, inputs: bool
) -> tuple[HighAvailabilitySettings, AgentInputs | None]:
    """The HA settings as they read back, with `inputs` those of a node agent too, in the fewest calls.

    Raises:
        UnitFault: the unit could not be asked, or has no cloud HA.
    """
    if not (await client.offer()).is_agent:
        return await settings_of(client), None
    told = (await client.call("agentstatus")).fields
    found = agent_status.inputs_in_status(told)
    return (
        agent_status.settings(told) or await settings_of(client),
        (found or await _inputs(client)) if inputs else found,
    )


async def state_of(client: Caller) -> ObservedState:
    """Who it is just now, in one call.

    Raises:
        UnitFault: the unit could not be asked.
    """
    if (await client.offer()).is_agent:
        return agent_status.status((await client.call("agentstatus")).fields).state
    return ha_settings.state(await _parameter(client, "hastatus"))


async def watch_agent(client: Caller, since: int, seconds: int = WATCH_SECONDS) -> AgentStatus:
    """What a node agent says as soon as its revision is another than `since`, or when the time is over.

    Waits at the agent on a connection of its own, so that other calls go on.

    Args:
        client: the agent's.
        since: `AgentStatus.revision` that is known; 0 for any.
        seconds: 0 to 60.

    Raises:
        UnitFault: it could not be asked, or went away meanwhile.
    """
    answer = await client.watch_call(
        "agentwatch", {"since": since, "seconds": seconds}, seconds=seconds + _WATCH_MARGIN
    )
    return agent_status.status(answer.fields)


async def begin_to_watch(client: Caller, since: int, seconds: int = WATCH_SECONDS) -> Waiting:
    """As `watch_agent`, up to the question; `agent_said` reads what comes of it."""
    return await client.begin(
        "agentwatch", {"since": since, "seconds": seconds}, seconds=seconds + _WATCH_MARGIN
    )


async def agent_said(waiting: Waiting) -> AgentSaid:
    """What a node agent says in the end.

    Raises:
        UnitFault: it could not be asked, or went away meanwhile.
    """
    told = (await waiting.answer()).fields
    return AgentSaid(agent_status.status(told), agent_status.settings(told))


async def service_states(client: Caller) -> Mapping[str, ServiceState]:
    """What serves, by the nicknames of the virtual services; those without one are left out.

    Raises:
        UnitFault: the unit could not be asked.
    """
    rows = ((await client.call("listvs")).fields or {}).get("VS")
    found: dict[str, ServiceState] = {}
    for row in rows if isinstance(rows, list) else []:
        read = virtual_service_rows.service(row if isinstance(row, dict) else None)
        if read is not None and isinstance(row, dict) and read[0].nickname:
            servers = virtual_service_rows.server_states(row)
            found[read[0].nickname] = ServiceState(read[1], MappingProxyType(servers))
    return MappingProxyType(found)


async def identity(client: Caller, serial: str = "") -> str:
    """What tells this unit from a fresh one at the same address.

    Its serial number (a node agent: the identity of its store), else its management certificate's
    fingerprint: a fresh unit makes a new one. A certificate that was replaced looks like another unit then,
    and what cannot be read back is written once more.

    Args:
        client: the unit's.
        serial: its serial number, if it has told it already.

    Raises:
        UnitFault: the unit could not be asked.
    """
    try:
        serial = serial or _word(await _parameter(client, "serialnumber"))
    except UnitFault as fault:
        if fault.reason not in _NOT_TOLD:
            raise
        serial = ""
    if serial not in _NO_SERIAL:
        return f"serial:{serial}"
    seen = client.certificate
    if seen is None:
        raise UnitFault(FaultReason.MALFORMED, "The unit told neither a serial number nor a certificate.")
    return f"certificate:{seen.fingerprint}"


async def _parameter(client: Caller, name: str) -> Json:
    """The value of `get`; None when it is not set. An appliance may spell the name otherwise than asked."""
    fields = (await client.call("get", {"param": name})).fields or {}
    return next((value for key, value in fields.items() if key.lower() == name), None)


async def _active_since(client: Caller) -> str:
    return _active_word(await _parameter(client, "activetime"))


def _active_word(told: Json) -> str:
    word = _word(told)
    return "" if word in _NOT_ACTIVE else word


async def _inputs(client: Caller) -> AgentInputs:
    return agent_status.inputs((await client.call("agentgetparams")).fields)


async def _services(client: Caller) -> Reading[tuple[tuple[VirtualService, str], ...]]:
    try:
        answer = await client.call("listvs")
    except UnitFault as fault:
        return Unknown(fault.reason.value, str(fault))
    # A thousand services take some hundred milliseconds.
    return Present(await asyncio.to_thread(virtual_service_rows.services, answer.fields))


async def _certificates(
    client: Caller, of_interest: Callable[[str], bool]
) -> Reading[tuple[Certificate, ...]]:
    try:
        return Present(await unit_certificates.stored(client, of_interest))
    except UnitFault as fault:
        return Unknown(fault.reason.value, str(fault))


def _word(value: Json) -> str:
    return "" if value is None else sys.intern(str(value).strip())  # kept for thousands of units
