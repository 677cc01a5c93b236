"""What leads from one configuration to another: nothing, commands to the worker, or a reload. Pure.

Servers can be changed, added and taken away while HAProxy runs (management guide, 9.3), the rest of a service
cannot. The answer is a list of commands for one worker, so whoever has executed them looks at the result
(`server_state`) and reloads when it is not what it should be.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from loadmaster_ha.agent.dataplane.model import Configuration, Section, Server


@dataclass(frozen=True, slots=True)
class Same:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The worker can be told."""

    commands: tuple[str, ...]
    """Answered with an empty line, or a word about what was done."""
    removed: Mapping[str, Server]
    """By `backend/server`, those put in maintenance, to be deleted once their connections are over."""
    certificates: Mapping[str, str]
    """Certificates with new contents, by path."""
    sections: tuple[str, ...]
    """Names of the sections whose servers change."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Only a new worker will do."""

    reason: str


Difference: TypeAlias = Same | Commands | Reload
Lingering: TypeAlias = Mapping[str, Server]
"""By `backend/server`, servers that were taken away at run time and still have connections: the worker knows
them, in maintenance."""


def difference(
    running: Configuration, wanted: Configuration, lingering: Lingering = MappingProxyType({})
) -> Difference:
    """The least that makes a HAProxy that runs the one configuration run the other.

    Args:
        running: what the worker runs.
        wanted: what it shall run.
        lingering: what the worker has besides.
    """
    if running.fingerprint == wanted.fingerprint:
        return Same()
    if reason := _needs_reload(running, wanted, lingering):
        return Reload(reason)
    commands: list[str] = []
    removed: dict[str, Server] = {}
    changed: list[str] = []
    for name, section in wanted.sections.items():
        former = running.sections[name]
        if former.servers == section.servers:
            continue
        gone = _removed(former, section)
        changed.append(name)
        removed |= gone
        commands += _commands(_known(former, lingering), section)
        commands += [f"set server {where} state maint" for where in gone]
    certificates = {
        path: pem for path, pem in wanted.certificates.items() if pem != running.certificates[path]
    }
    return Commands(tuple(commands), removed, certificates, tuple(changed))


def _needs_reload(running: Configuration, wanted: Configuration, lingering: Lingering) -> str:
    if running.common != wanted.common:
        return "the part that all services share changes"
    if running.sections.keys() != wanted.sections.keys():
        return "virtual services come or go"
    if running.lists != wanted.lists or running.certificates.keys() != wanted.certificates.keys():
        return "certificates come or go"
    for name, section in wanted.sections.items():
        former = running.sections[name]
        if former is not section and (reason := _section_needs_reload(former, section, lingering)):
            return f"{section.key}: {reason}"
    return ""


def _section_needs_reload(former: Section, wanted: Section, lingering: Lingering) -> str:
    if replace(former, servers=()) != replace(wanted, servers=()):
        return "more than its real servers changes"
    before = [server.name for server in former.servers]
    after = [server.name for server in wanted.servers]
    if not wanted.growable and set(before) != set(after):
        return "real servers come or go, and its scheduling or persistence allows that in a reload only"
    if wanted.ordered and before != after:
        return "the order of its real servers changes"
    known = _known(former, lingering)
    if any(
        server.name in known and known[server.name].options != server.options for server in wanted.servers
    ):
        return "the way its real servers are checked or spoken to changes"
    return ""


def _known(section: Section, lingering: Lingering) -> dict[str, Server]:
    """The servers that the worker has in this section, by name."""
    rest = {
        server.name: replace(server, maintenance=True)
        for where, server in lingering.items()
        if where == f"{section.name}/{server.name}"
    }
    return rest | {server.name: server for server in section.servers}


def _commands(known: Mapping[str, Server], wanted: Section) -> Iterator[str]:
    for server in wanted.servers:
        where = f"{wanted.name}/{server.name}"
        before = known.get(server.name)
        yield from _added(where, server) if before is None else _changed(where, before, server)


def _added(where: str, server: Server) -> Iterator[str]:
    # A server that is added is in maintenance, and not checked, until told otherwise.
    yield f"add server {where} {server.line().removesuffix(' disabled')}"
    if " check " in f" {server.options} ":
        yield f"enable health {where}"
    if not server.maintenance:
        yield f"set server {where} state ready"


def _changed(where: str, before: Server, server: Server) -> Iterator[str]:
    if (before.address, before.port) != (server.address, server.port):
        yield f"set server {where} addr {server.address} port {server.port}"
    if before.limit != server.limit:
        yield f"set maxconn server {where} {server.limit}"
    if before.weight != server.weight:
        yield f"set server {where} weight {server.weight}"
    if before.maintenance != server.maintenance:
        yield f"set server {where} state {'maint' if server.maintenance else 'ready'}"


def _removed(former: Section, wanted: Section) -> dict[str, Server]:
    kept = {server.name for server in wanted.servers}
    return {f"{former.name}/{server.name}": server for server in former.servers if server.name not in kept}
