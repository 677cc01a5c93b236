"""Changes of units in words, for status, Events and the log. A change has no secret in it."""

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
from loadmaster_ha.domain.virtual_services import RealServer, VirtualService

SHOWN: Final = 10
LENGTH: Final = 200


def in_words(change: UnitChange) -> str:
    """One change for people: on which unit, what, and which fields make it necessary."""
    return f"{change.role}: {_what(change)}"


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


def _what(change: UnitChange) -> str:  # noqa: C901, PLR0911, PLR0912 - one sentence for each kind
    match change:
        case WriteSharedSecret():
            return "set the Partner Shared Secret"
        case WriteMode(mode=mode, differences=differences):
            return _with(f"set the HA mode to {mode}", differences)
        case WriteParameters(differences=differences):
            return _with("set HA parameters", differences)
        case WriteAgentInputs(differences=differences):
            return _with("tell the agent about the balancer", differences)
        case Reboot(why=why):
            return f"reboot ({why})"
        case PutCertificate(name=name, replaces=replaces):
            return f"{'replace' if replaces else 'install'} the certificate {name}"
        case DeleteCertificate(name=name):
            return f"remove the certificate {name}"
        case AddService(service=service):
            return f"create the virtual service {_named(service)}"
        case ModifyService(want=service, differences=differences):
            return _with(f"change the virtual service {_named(service)}", differences)
        case DeleteService(service=service, why=why):
            return f"remove the virtual service {_named(service)} ({why})"
        case AddRealServer(service=service, server=server):
            return f"add the real server {_address(server)} to {service.nickname}"
        case ModifyRealServer(service=service, want=server, differences=differences):
            return _with(f"change the real server {_address(server)} of {service.nickname}", differences)
        case DeleteRealServer(service=service, server=server, why=why):
            return f"remove the real server {_address(server)} from {service.nickname} ({why})"


def _with(what: str, differences: tuple[Difference, ...]) -> str:
    fields = "; ".join(str(difference) for difference in differences)
    return f"{what}: {fields}" if fields else what


def _wants(differences: tuple[Difference, ...]) -> tuple[str, ...]:
    return tuple(f"{each.path} {each.want}" for each in differences)


def _named(service: VirtualService) -> str:
    return f"{service.nickname} ({service.key})" if service.nickname else str(service.key)


def _address(server: RealServer) -> str:
    return f"{server.address}:{server.port}"
