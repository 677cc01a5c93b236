"""Creates, changes and removes virtual services and real servers; a part of `writer`.

A service is addressed by its place (address, port, protocol). Before one is changed or removed, it is looked
whether the one that is there is the one that was planned for: a person may have put another in its place.
"""

from collections.abc import Mapping
from typing import Final

from loadmaster_ha.domain.virtual_services import RealServer, ServiceKey, VirtualService
from loadmaster_ha.loadmaster import virtual_service_parameters as parameters
from loadmaster_ha.loadmaster import virtual_service_rows as rows
from loadmaster_ha.loadmaster.answers import Answer
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.values import Json
from loadmaster_ha.loadmaster.write_errors import NotKeptError, OutdatedPlanError

_REFUSED: Final = FaultReason.INVALID_REQUEST


async def add_service(client: Caller, want: VirtualService) -> None:
    """Create a service without real servers; nothing, if it is there already by the same name.

    Raises:
        UnitFault: refused; also when the place is taken by a service of another name.
        NotKeptError: a setting did not stick.
    """
    sent = parameters.for_new_service(want)
    try:
        got = _service_in(await client.call("addvs", parameters.which_service(want.key) | sent))
    except UnitFault as fault:
        if fault.reason is not _REFUSED:
            raise
        got = await _shown(client, want.key)
        if got is None or got.nickname != want.nickname:
            raise
    got = got or await _shown(client, want.key)
    _check(f"Virtual service {want.key}", got, want, sent)


async def modify_service(client: Caller, have: VirtualService, want: VirtualService) -> None:
    """Change what differs between the two, the place included.

    Raises:
        UnitFault: refused, or it is not there.
        OutdatedPlanError: another service is in its place.
        NotKeptError: a setting did not stick.
    """
    sent = parameters.for_changed_service(have, want)
    if not sent:
        return
    there = await _shown(client, have.key)
    if there is None and have.key != want.key:
        there = await _shown(client, want.key)  # moved already: the answer was lost
    if there is None or there.nickname not in {have.nickname, want.nickname}:
        raise OutdatedPlanError(_another(have, there))
    got = _service_in(await client.call("modvs", parameters.which_service(there.key) | sent))
    got = got or await _shown(client, want.key)
    _check(f"Virtual service {want.key}", got, want, sent)


async def delete_service(client: Caller, service: VirtualService) -> None:
    """Remove a service with its real servers; nothing, if it is not there.

    Raises:
        UnitFault: refused.
        OutdatedPlanError: another service is in its place.
    """
    there = await _shown(client, service.key)
    if there is None:
        return
    if there.nickname != service.nickname:
        raise OutdatedPlanError(_another(service, there))
    await client.call("delvs", parameters.which_service(service.key))


async def add_server(client: Caller, service: VirtualService, want: RealServer) -> None:
    """Put a real server behind a service; nothing, if it is there already as wanted.

    Raises:
        UnitFault: refused.
        NotKeptError: a setting did not stick.
    """
    sent = parameters.for_new_server(want)
    which = _which(service, want)
    try:
        got = _server_in(await client.call("addrs", which | sent), want)
    except UnitFault as fault:
        if fault.reason is not _REFUSED:
            raise
        got = await _server_shown(client, service, want)
        if got is None:
            raise
    got = got or await _server_shown(client, service, want)
    _check_server(service, got, want, sent)


async def modify_server(client: Caller, service: VirtualService, have: RealServer, want: RealServer) -> None:
    """Change what differs between the two.

    Raises:
        UnitFault: refused, or it is not there.
        NotKeptError: a setting did not stick.
    """
    sent = parameters.for_changed_server(have, want)
    if not sent:
        return
    try:
        await client.call("modrs", _which(service, have) | sent)
    except UnitFault as fault:
        # With a new port it may have got there already: the answer was lost.
        if fault.reason is not _REFUSED or "newport" not in sent:
            raise
        if await _server_shown(client, service, want) is None:
            raise
    _check_server(service, await _server_shown(client, service, want), want, sent)


async def delete_server(client: Caller, service: VirtualService, server: RealServer) -> None:
    """Take a real server away; nothing, if it is not there.

    Raises:
        UnitFault: refused.
    """
    try:
        await client.call("delrs", _which(service, server))
    except UnitFault as fault:
        if fault.reason is not _REFUSED or await _server_shown(client, service, server) is not None:
            raise


def _which(service: VirtualService, server: RealServer) -> dict[str, Json]:
    return parameters.which_service(service.key) | parameters.which_server(server)


async def _shown(client: Caller, key: ServiceKey) -> VirtualService | None:
    """The service that is at this place; None: a unit refuses to show what is not there."""
    try:
        return _service_in(await client.call("showvs", parameters.which_service(key)))
    except UnitFault as fault:
        if fault.reason is not _REFUSED:
            raise
        return None


async def _server_shown(client: Caller, service: VirtualService, want: RealServer) -> RealServer | None:
    try:
        return _server_in(await client.call("showrs", _which(service, want)), want)
    except UnitFault as fault:
        if fault.reason is not _REFUSED:
            raise
        return None


def _service_in(answer: Answer) -> VirtualService | None:
    found = rows.service(answer.fields)
    return None if found is None else found[0]


def _server_in(answer: Answer, want: RealServer) -> RealServer | None:
    """The one that is asked for, of the real servers in an answer: it might list all of the service."""
    found = rows.real_servers(answer.fields)
    place = (want.address, want.port)
    return next((each for each in found if (each.address, each.port) == place), None)


def _another(planned: VirtualService, there: VirtualService | None) -> str:
    name = planned.nickname or planned.index
    if there is None:
        return f"There is no virtual service {planned.key} ({name}) any more."
    return f"Virtual service {planned.key} is {there.nickname or there.index} now and not {name}."


def _check(what: str, got: VirtualService | None, want: VirtualService, sent: Mapping[str, Json]) -> None:
    if got is None:
        raise OutdatedPlanError(f"{what} was written and is not there: somebody removed it meanwhile.")
    mismatches = parameters.not_kept(got, want, sent)
    if mismatches:
        raise NotKeptError(what, mismatches)


def _check_server(
    service: VirtualService, got: RealServer | None, want: RealServer, sent: Mapping[str, Json]
) -> None:
    what = f"Real server {want.address}:{want.port} of {service.key}"
    if got is None:
        raise OutdatedPlanError(f"{what} was written and is not there: somebody removed it meanwhile.")
    mismatches = parameters.server_not_kept(got, want, sent)
    if mismatches:
        raise NotKeptError(what, mismatches)
