"""Carries out one planned change of a unit (`domain.unit_changes`), by its management API.

Only what is meant to change is sent; what can be read back is read back and compared: at once (`write`), or
of several settings of one unit together before anything is built on them (`carry_out`, `read_back`). A
change that was carried out before (an answer was lost, the operator was restarted) does no harm: where the
unit would refuse the second time, it is looked whether it is done already. The services themselves are
`service_writer`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, assert_never

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.ha import Mode, PreferredHost
from loadmaster_ha.domain.unit_changes import (
    AddRealServer,
    AddService,
    DeleteCertificate,
    DeleteRealServer,
    DeleteService,
    ModifyRealServer,
    ModifyService,
    PutCertificate,
    Reboot,
    UnitChange,
    WriteAgentInputs,
    WriteMode,
    WriteParameters,
    WriteSharedSecret,
)
from loadmaster_ha.domain.units import AgentInputs, HighAvailabilitySettings
from loadmaster_ha.loadmaster import ha_settings, service_writer, unit_certificates
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.observer import written_settings_of
from loadmaster_ha.loadmaster.values import Json
from loadmaster_ha.loadmaster.write_errors import NotKeptError, OutdatedPlanError

_HighAvailability: TypeAlias = WriteSharedSecret | WriteMode | WriteParameters | WriteAgentInputs | Reboot
_Service: TypeAlias = (
    AddService | ModifyService | DeleteService | AddRealServer | ModifyRealServer | DeleteRealServer
)
_ANSWER_OPTIONAL: Final = frozenset({FaultReason.ANSWER_LOST, FaultReason.TIMED_OUT})
_CERTIFICATE_SECONDS: Final = 90.0
"""Appliances were seen to take 60 s for work with certificates."""


async def write(client: Caller, change: UnitChange, material: Material) -> None:
    """Carry out the change, and read it back.

    Args:
        client: of the unit that `change.role` names.
        change: what to do.
        material: the secrets that changes name by version or fingerprint.

    Raises:
        UnitFault: the unit refused it, or cannot be reached; `sent`: it may be done all the same.
        NotKeptError: it was done, and reads back otherwise.
        OutdatedPlanError: it is not what was planned any more; nothing was written.
    """
    await carry_out(client, change, material)
    await read_back(client, [change])


async def carry_out(client: Caller, change: UnitChange, material: Material) -> None:
    """As `write`, but settings that `read_back` reads are not read back: the caller owes that."""
    match change:
        case PutCertificate():
            await _put_certificate(client, change, material)
        case DeleteCertificate():
            await _delete_certificate(client, change)
        case WriteSharedSecret() | WriteMode() | WriteParameters() | WriteAgentInputs() | Reboot():
            await _high_availability(client, change, material)
        case _:
            await _service(client, change)


async def read_back(client: Caller, changes: Iterable[UnitChange]) -> None:
    """Compare settings of one unit that were written with what it says now, by one call for each group.

    Args:
        client: of the unit.
        changes: those that were carried out; of others than settings nothing is read.

    Raises:
        UnitFault: it cannot be asked.
        NotKeptError: something reads back otherwise.
    """
    written = list(changes)
    settings = [each for each in written if isinstance(each, WriteMode | WriteParameters)]
    sent = any(isinstance(each, WriteMode) or _parameters_of(each) for each in settings)
    inputs = [each for each in written if isinstance(each, WriteAgentInputs) and _inputs_of(each)]
    if not (sent or inputs):
        return
    found, told = await written_settings_of(client, inputs=bool(inputs))
    _check_settings(settings, found)
    _check_inputs(inputs, told or AgentInputs())


def _check_settings(changes: Iterable[WriteMode | WriteParameters], found: HighAvailabilitySettings) -> None:
    for change in changes:
        if isinstance(change, WriteParameters):
            if mismatches := _ha_mismatches(change, found):
                raise NotKeptError("The HA settings", mismatches)
        elif found.mode is not change.mode:
            raise NotKeptError("The HA mode", [Difference("HaMode", found.mode.value, change.mode.value)])


async def _high_availability(client: Caller, change: _HighAvailability, material: Material) -> None:
    match change:
        case WriteSharedSecret():
            await _shared_secret(client, change, material)
        case WriteMode():
            await _mode(client, change)
        case WriteParameters():
            await _parameters(client, change)
        case WriteAgentInputs():
            await _inputs(client, change)
        case Reboot():
            await _reboot(client)
        case _:
            assert_never(change)


async def _service(client: Caller, change: _Service) -> None:
    match change:
        case AddService(service=service):
            await service_writer.add_service(client, service)
        case ModifyService(have=have, want=want):
            await service_writer.modify_service(client, have, want)
        case DeleteService(service=service):
            await service_writer.delete_service(client, service)
        case AddRealServer(service=service, server=server):
            await service_writer.add_server(client, service, server)
        case ModifyRealServer(service=service, have=server, want=wanted):
            await service_writer.modify_server(client, service, server, wanted)
        case DeleteRealServer(service=service, server=server):
            await service_writer.delete_server(client, service, server)
        case _:
            assert_never(change)


async def _shared_secret(client: Caller, change: WriteSharedSecret, material: Material) -> None:
    secret = material.secret_of(change.version)
    if secret is None:
        raise OutdatedPlanError("The Partner Shared Secret was changed since this was planned.")
    await client.call("setlmcommsecret", {"secret": secret})


async def _mode(client: Caller, change: WriteMode) -> None:
    family = ha_settings.family((await client.offer()).commands)
    try:
        await client.call(family.set_mode, {"hamode": ha_settings.MODE_WORDS[change.mode]})
    except UnitFault as fault:
        old = ha_settings.OLD_MODE_WORDS[change.mode]
        # Not documented: which firmware takes only the old words. What is refused was not done.
        if fault.reason is not FaultReason.INVALID_REQUEST or change.mode is Mode.SINGLE:
            raise
        try:
            await client.call(family.set_mode, {"hamode": old})
        except UnitFault as again:
            if again.reason is FaultReason.INVALID_REQUEST:
                raise fault from None  # the first refusal is about the word that people know
            raise


async def _parameters(client: Caller, change: WriteParameters) -> None:
    if sent := _parameters_of(change):
        family = ha_settings.family((await client.offer()).commands)
        await client.call(family.set_parameters, sent)


def _parameters_of(change: WriteParameters) -> dict[str, Json]:
    sent: dict[str, Json] = {}
    if change.partner is not None:
        sent["partner"] = change.partner
    if change.port is not None:
        sent["hcp"] = change.port
    if change.preferred_host is not None:
        sent["haprefered"] = change.preferred_host is PreferredHost.MASTER
    if change.all_interfaces is not None:
        sent["hcai"] = change.all_interfaces
    return sent


def _ha_mismatches(change: WriteParameters, found: HighAvailabilitySettings) -> list[Difference]:
    """What reads back otherwise, of what the unit tells: perhaps not all interfaces, nor a preference."""
    preferred, everywhere = found.preferred_host, found.all_interfaces
    partner = change.partner and change.partner.lower()
    pairs: list[tuple[str, Json, Json, bool]] = [
        ("Partner", found.partner, partner, True),
        ("Port", found.port, change.port, True),
        ("HaPrefered", preferred, change.preferred_host, preferred is not None),
        ("HealthCheckAllInterfaces", everywhere, change.all_interfaces, everywhere is not None),
    ]
    return [
        Difference(name, have, want)
        for name, have, want, told in pairs
        if want is not None and told and have != want
    ]


async def _inputs(client: Caller, change: WriteAgentInputs) -> None:
    if sent := _inputs_of(change):
        await client.call("agentsetparams", sent)


def _inputs_of(change: WriteAgentInputs) -> dict[str, Json]:
    wanted: dict[str, Json] = {
        "frontend": change.frontend,
        "probesource": change.probe_source,
        "probeinterval": change.probe_interval,
        "probethreshold": change.probe_threshold,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _check_inputs(changes: Iterable[WriteAgentInputs], inputs: AgentInputs) -> None:
    found = _by_parameter(inputs)
    mismatches = [
        Difference(name, found[name], value)
        for change in changes
        for name, value in _inputs_of(change).items()
        if found[name] != value
    ]
    if mismatches:
        raise NotKeptError("What the agent is told about the balancer", mismatches)


def _by_parameter(inputs: AgentInputs) -> Mapping[str, Json]:
    return {
        "frontend": inputs.frontend,
        "probesource": inputs.probe_source,
        "probeinterval": inputs.probe_interval,
        "probethreshold": inputs.probe_threshold,
    }


async def _reboot(client: Caller) -> None:
    try:
        await client.call("reboot")
    except UnitFault as fault:
        # The connection may just die. Whether it rebooted, `UnitFacts.boot` tells.
        if not (fault.sent and fault.reason in _ANSWER_OPTIONAL):
            raise


async def _put_certificate(client: Caller, change: PutCertificate, material: Material) -> None:
    pem = material.certificate_of(change.name, change.fingerprint)
    if pem is None:
        raise OutdatedPlanError(f"Certificate {change.name} was changed since this was planned.")
    parameters: dict[str, Json] = {"cert": change.name}
    if change.replaces:
        parameters["replace"] = True
    data = pem.encode("utf-8")
    try:
        await client.call("addcert", parameters, data=data, seconds=_CERTIFICATE_SECONDS)
    except UnitFault as fault:
        if fault.reason is not FaultReason.INVALID_REQUEST:
            raise
        there = change.name in await _fingerprints(client, change.name)
        if there is change.replaces:
            raise  # that is not what it was refused for
        # A lost answer, or a person, has brought or removed it since this was planned.
        other: dict[str, Json] = {"cert": change.name}
        if there:
            other["replace"] = True
        await client.call("addcert", other, data=data, seconds=_CERTIFICATE_SECONDS)
    found = await _fingerprints(client, change.name)
    told = found.get(change.name)
    if change.name not in found or (told is not None and told != change.fingerprint.lower()):
        mismatch = Difference(f"{change.name}.fingerprint", told, change.fingerprint.lower())
        raise NotKeptError("The certificate", [mismatch])


async def _delete_certificate(client: Caller, change: DeleteCertificate) -> None:
    try:
        await client.call("delcert", {"cert": change.name})
    except UnitFault as fault:
        if fault.reason is not FaultReason.INVALID_REQUEST or await _fingerprints(client, change.name):
            raise


async def _fingerprints(client: Caller, name: str) -> Mapping[str, str | None]:
    """The fingerprint of the certificate of this name; empty: there is none."""
    found = await unit_certificates.stored(client, lambda each: each == name)
    return {each.name: each.fingerprint for each in found if each.name == name}
