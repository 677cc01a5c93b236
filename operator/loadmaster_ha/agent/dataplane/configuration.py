"""From virtual services to the text that HAProxy reads: `haproxy.cfg`, lists of certificates, certificates.

The words of the configuration are in two templates beside this module, `haproxy.cfg.j2` (what is shared) and
`service.cfg.j2` (one virtual service); `sections` gives them their values, `words` sees to it that no value
can add anything. Rendering is pure. A section that has been rendered once is remembered, so that a change of
one of 1,000 services costs one.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from loadmaster_ha.agent.dataplane.model import FINGERPRINT, Configuration, Node, Section, fingerprint_of
from loadmaster_ha.agent.dataplane.sections import certificate_list, section_of
from loadmaster_ha.agent.dataplane.words import Word, checked, literal_format, quoted
from loadmaster_ha.domain.virtual_services import VirtualService

DEFAULT_CERTIFICATE: Final = ""
"""The name under which the unit's own certificate is given, for services that name none."""

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - no HTML; `checked` lets no value through that needs escaping
        loader=PackageLoader("loadmaster_ha.agent.dataplane", package_path=""),
        undefined=StrictUndefined,
        finalize=checked,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = quoted
    environment.filters["literal_format"] = literal_format
    return environment


@cache
def _template(name: str) -> Template:
    return _environment().get_template(name)


def certificate_file(name: str) -> str:
    """Where a certificate is, beside `haproxy.cfg`: named like it, or by a digest of an unfit name."""
    if _SAFE_NAME.fullmatch(name):
        return f"certificates/{name}.pem"
    return f"certificates/.{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:32]}.pem"


class Renderer:
    """Makes configurations; remembers the sections of the last one."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._sections: dict[VirtualService, Section] = {}

    def render(
        self, services: Iterable[VirtualService], node: Node, certificates: Mapping[str, str]
    ) -> Configuration:
        """The configuration for these services, which `limits` must have let pass.

        Args:
            services: what to serve.
            node: where.
            certificates: PEM texts (certificate, chain and key) by name; see `DEFAULT_CERTIFICATE`.

        Raises:
            words.Unprintable: a value cannot stand in a configuration.
            KeyError: a service uses a certificate that is not there.
        """
        services = sorted(services, key=lambda each: each.index)
        self._sections = self._sections_of(services, node)
        return _put_together(services, self._sections, node, certificates)

    def excerpt(
        self, services: Iterable[VirtualService], node: Node, certificates: Mapping[str, str]
    ) -> Configuration:
        """As `render`, of a few services for once; the others are remembered beside them.

        Raises:
            words.Unprintable, KeyError: as `render`.
        """
        services = sorted(services, key=lambda each: each.index)
        sections = self._sections_of(services, node)
        self._sections |= sections
        return _put_together(services, sections, node, certificates)

    def _sections_of(self, services: Iterable[VirtualService], node: Node) -> dict[VirtualService, Section]:
        if node != self._node:
            self._node, self._sections = node, {}
        return {each: self._section(each, node) for each in services}

    def _section(self, service: VirtualService, node: Node) -> Section:
        known = self._sections.get(service)
        return known or section_of(service, node, _template("service.cfg.j2").render)


def render(
    services: Iterable[VirtualService], node: Node, certificates: Mapping[str, str] | None = None
) -> Configuration:
    """As `Renderer.render`, remembering nothing."""
    return Renderer().render(services, node, certificates or {})


def _put_together(
    services: Iterable[VirtualService],
    sections: Mapping[VirtualService, Section],
    node: Node,
    certificates: Mapping[str, str],
) -> Configuration:
    lists: dict[str, str] = {}
    used: dict[str, str] = {}
    for service in services:
        if service.tls is not None:
            names = service.tls.certificates or (DEFAULT_CERTIFICATE,)
            files = {certificate_file(name): certificates[name] for name in names}
            lists[certificate_list(service, node)] = "".join(f"{path}\n" for path in files)
            used |= files
    common = _common(node)
    fingerprint = fingerprint_of(
        itertools.chain(
            [common],
            (sections[service].text for service in services),
            (part for files in (lists, used) for item in sorted(files.items()) for part in item),
        )
    )
    return Configuration(
        fingerprint=fingerprint,
        common=common,
        sections={sections[service].name: sections[service] for service in services},
        lists=lists,
        certificates=used,
    )


def _common(node: Node) -> str:
    paths = node.paths
    return _template("haproxy.cfg.j2").render(
        fingerprint=FINGERPRINT,
        account=node.account,
        threads=node.threads,
        worker_socket=str(paths.worker),
        peers_socket=str(paths.peers),
        health_socket=str(paths.health),
        answer_socket=str(paths.answer),
        server_state=str(paths.server_state),
        owner=Word(f" user {node.account}" if node.account else ""),
        hard_stop_after=node.hard_stop_after,
    )
