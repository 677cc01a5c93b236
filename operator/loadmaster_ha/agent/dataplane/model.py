"""What the rooms of the data plane hand to each other: the node, a rendered configuration, its servers.

A `Section` is one virtual service as HAProxy is told of it. It keeps its servers apart from the rest of its
text because servers can be changed without a reload (`difference`).
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.domain.ha import (
    AGENT_METRICS_PORT,
    HEALTH_CHECK_PORT,
    MANAGEMENT_PORT,
    SYNCHRONISATION_PORT,
)
from loadmaster_ha.domain.virtual_services import ServiceKey

FINGERPRINT: Final = "FINGERPRINT"
"""Stands in `Configuration.common` where the fingerprint belongs."""

PREFIX: Final = "vs_"
"""Sections of virtual services begin with it; ours for the node itself begin with `lm_`."""


class ConfigurationRefused(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """HAProxy, or Azure, cannot do what was asked for; the text is for a person.

    `services` names the services to blame, by their keys; empty when it is none of them.
    """

    def __init__(self, text: str, services: Mapping[ServiceKey, str] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.services: Mapping[ServiceKey, str] = services or {}


@dataclass(frozen=True, slots=True)
class Node:
    """The machine that HAProxy runs on, as far as its configuration depends on it."""

    paths: Paths
    interfaces: Mapping[str, str]
    """Interface name -> the unit's own address on it; services listen on nothing else."""
    reserved_ports: frozenset[int] = frozenset(
        {AGENT_METRICS_PORT, HEALTH_CHECK_PORT, MANAGEMENT_PORT, SYNCHRONISATION_PORT}
    )
    """What the agent itself listens on."""
    hard_stop_after: int = 1800
    """Seconds after which a worker that a reload replaced is ended with the connections it still has."""
    threads: int = 0
    """Of one worker; 0: one for each processor."""
    account: str = ""
    """Whom a worker that is started by root becomes; empty: it stays what it is."""

    def interface_of(self, address: str) -> str | None:
        """The interface that has this address; None when it is not the unit's own."""
        return next((name for name, own in self.interfaces.items() if own == address), None)


@dataclass(frozen=True, slots=True)
class Server:
    """One real server, as its line in the configuration and the runtime socket name it."""

    name: str
    address: str
    port: int
    weight: int
    """0 to 256; 0 while it is drained."""
    limit: int
    """Most connections at a time; 0: unlimited."""
    maintenance: bool
    """Takes no connection at all."""
    options: str
    """The rest of the line: what no command can change (identifier, health check, TLS, cookie)."""

    @property
    def where(self) -> str:
        """Address and port, as HAProxy writes them."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def line(self) -> str:
        """What stands behind the name, in the configuration as in `add server`."""
        words = [self.where, f"weight {self.weight}"]
        if self.limit:
            words.append(f"maxconn {self.limit}")
        if self.options:
            words.append(self.options)
        if self.maintenance:
            words.append("disabled")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Section:
    """One virtual service: its text around its servers, and the servers."""

    name: str
    key: ServiceKey
    head: str
    tail: str
    servers: tuple[Server, ...]
    growable: bool
    """Whether servers can come and go without a reload: the algorithm is dynamic, nothing names one."""
    ordered: bool
    """Whether the order of the servers means something."""
    listens: tuple[tuple[str, int], ...]
    """Addresses and ports; empty while the service is disabled."""
    minimum: int = 1
    """So many servers must be up for the service to be."""
    critical: tuple[str, ...] = ()
    """Names of the servers that must each be up for the service to be."""

    @property
    def text(self) -> str:
        """The whole section."""
        lines = "".join(f"    server {server.name} {server.line()}\n" for server in self.servers)
        return self.head + lines + self.tail


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that HAProxy reads: `haproxy.cfg` and the files beside it."""

    fingerprint: str
    """What `show info` calls the description: tells what a running HAProxy has read."""
    common: str
    """What all services share: the part of `text` before the first of them, without the fingerprint."""
    sections: Mapping[str, Section]
    lists: Mapping[str, str]
    """Lists of certificates by their path beside `haproxy.cfg`."""
    certificates: Mapping[str, str] = field(repr=False)
    """PEM texts (certificate, chain, key) by their path beside `haproxy.cfg`."""

    @property
    def text(self) -> str:
        """`haproxy.cfg`. Put together when it is asked for: of a thousand services it is long."""
        head = self.common.replace(FINGERPRINT, self.fingerprint, 1)
        return "\n".join([head, *(section.text for section in self.sections.values())])

    def excerpt(self, names: Collection[str]) -> "Configuration":
        """What all share and these sections only; they do not depend on each other."""
        sections = {name: section for name, section in self.sections.items() if name in names}
        return replace(self, sections=sections)

    def key_at(self, line: int) -> ServiceKey | None:
        """Whose line of `text` this is (the first line is 1); None: nobody's."""
        before = self.text.splitlines()[:line]
        for each in reversed(before):
            if found := re.match(r"(?:frontend|backend|global|defaults|peers|listen) ?(\S*)", each):
                name = found[1].removesuffix("_standby")
                return self.sections[name].key if name in self.sections else None
        return None


_DESCRIPTION: Final = re.compile(r"^    description (\w+)$", re.MULTILINE)


def fingerprint_in(text: str) -> str:
    """The fingerprint that a configuration's text carries; empty when it has none."""
    found = _DESCRIPTION.search(text)
    return found[1] if found else ""


def fingerprint_of(parts: Iterable[str]) -> str:
    """A fingerprint of these texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:24]
