"""Changes of units beyond what `planning.units.words` says: several at once, and what one is for."""

from collections.abc import Iterable
from typing import Final

from loadmaster_ha.controller.conditions import shortened
from loadmaster_ha.domain.differences import Difference
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
from loadmaster_ha.domain.virtual_services import RealServer
from loadmaster_ha.planning.units.words import in_words

SHOWN: Final = 10
LENGTH: Final = 200


def summary(changes: Iterable[UnitChange]) -> str:
    """Several changes, bounded."""
    found = list(changes)
    shown = [shortened(in_words(change), LENGTH) for change in found[:SHOWN]]
    if len(found) > SHOWN:
        shown.append(f"and {len(found) - SHOWN} more")
    return "; ".join(shown)


def what_for(change: UnitChange) -> tuple[str, ...]:  # noqa: C901, PLR0911 - one for each kind
    """The same for two changes that bring about the same, whatever they find there."""
    kind, role = type(change).__name__, change.role.value
    match change:
        case WriteSharedSecret(version=version):
            return (kind, role, version)
        case WriteMode(mode=mode, boot=boot):
            return (kind, role, mode.value, boot)
        case Reboot(boot=boot):
            return (kind, role, boot)
        case WriteParameters(differences=differences) | WriteAgentInputs(differences=differences):
            return (kind, role, *_wants(differences))
        case ModifyService(want=want, differences=differences):
            return (kind, role, want.nickname, *_wants(differences))
        case ModifyRealServer(service=service, want=server, differences=differences):
            return (kind, role, service.nickname, _address(server), *_wants(differences))
        case AddService(service=service) | DeleteService(service=service):
            return (kind, role, service.nickname)
        case AddRealServer(service=service, server=server) | DeleteRealServer(service=service, server=server):
            return (kind, role, service.nickname, _address(server))
        case PutCertificate(name=name, fingerprint=fingerprint):
            return (kind, role, name, fingerprint)
        case DeleteCertificate(name=name):
            return (kind, role, name)


def _wants(differences: tuple[Difference, ...]) -> tuple[str, ...]:
    return tuple(f"{each.path} {each.want}" for each in differences)


def _address(server: RealServer) -> str:
    return f"{server.address}:{server.port}"
