"""Every change of a unit in words, for status.pending, Events and logs: imperative, one line, no secrets."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Final

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.fingerprints import for_people
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

_ENOUGH: Final = len("AB:CD:EF:01:23:45:67:89")
"""Of a fingerprint, to tell one certificate from another."""


def in_words(change: UnitChange) -> str:
    """What the change does, e.g. `Master: set the HA mode to Master (is Single)`."""
    return f"{change.role}: {_what(change)}"


@singledispatch
def _what(change: UnitChange) -> str:
    raise TypeError(f"no words for {type(change).__name__}")


@_what.register
def _(change: WriteSharedSecret) -> str:
    return f"set the Partner Shared Secret (version {change.version[:8]})"


@_what.register
def _(change: WriteMode) -> str:
    before = f" (is {change.differences[0].have})" if change.differences else ""
    return f"set the HA mode to {change.mode}{before}; it takes effect at a reboot"


@_what.register
def _(change: WriteParameters) -> str:
    return f"set {_listed(change.differences)}"


@_what.register
def _(change: WriteAgentInputs) -> str:
    return f"tell the node agent {_listed(change.differences)}"


@_what.register
def _(change: Reboot) -> str:
    return f"reboot: {change.why}"


@_what.register
def _(change: PutCertificate) -> str:
    verb = "replace" if change.replaces else "install"
    return f"{verb} certificate {change.name} (SHA-256 {for_people(change.fingerprint)[:_ENOUGH]}...)"


@_what.register
def _(change: DeleteCertificate) -> str:
    return f"delete certificate {change.name}, which no service uses any more"


@_what.register
def _(change: AddService) -> str:
    return f"add virtual service {_service(change.service)}"


@_what.register
def _(change: ModifyService) -> str:
    return f"change virtual service {_service(change.want)}: {_listed(change.differences)}"


@_what.register
def _(change: DeleteService) -> str:
    return f"delete virtual service {_service(change.service)}: {change.why}"


@_what.register
def _(change: AddRealServer) -> str:
    return f"add real server {_server(change.server)} to {_service(change.service)}"


@_what.register
def _(change: ModifyRealServer) -> str:
    what = f"{_server(change.want)} of {_service(change.service)}"
    return f"change real server {what}: {_listed(change.differences)}"


@_what.register
def _(change: DeleteRealServer) -> str:
    return f"delete real server {_server(change.server)} of {_service(change.service)}: {change.why}"


def _service(service: VirtualService) -> str:
    return f"{service.nickname or service.key} ({service.key})" if service.nickname else str(service.key)


def _server(server: RealServer) -> str:
    return f"{server.address}:{server.port}"


def _listed(differences: Sequence[Difference]) -> str:
    return ", ".join(_difference(each) for each in differences) or "what differs"


def _difference(difference: Difference) -> str:
    name = difference.path.rpartition(": ")[2]
    have = "not set" if difference.have is None else difference.have
    return f"{name} to {difference.want} (is {have})"
