"""What a node needs before it can begin: folders, settings, identity, addresses. Here is where a start fails.

Every refusal names the setting or the file, and is for the person who started the agent.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadmaster_ha.agent import certificates
from loadmaster_ha.agent.api.authentication import first_user
from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.configuration_checks import read_text
from loadmaster_ha.agent.link.tls import link_place
from loadmaster_ha.agent.process.interfaces import own_addresses
from loadmaster_ha.agent.process.seeding import seeded
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.unit_settings import HaSettings
from loadmaster_ha.domain.ha import Mode

log = logging.getLogger(__name__)

PASSWORD_FILE: Final = "initial-password"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class Opened:
    """What was found or made."""

    store: Store
    mode: Mode
    """Of the boot."""
    own_addresses: Mapping[str, str]
    management: certificates.Identity
    link: certificates.Identity

    @property
    def main_address(self) -> str:
        """The first interface's."""
        return next(iter(self.own_addresses.values()))


def open_node(configuration: Configuration, kept: Mapping[str, Any]) -> Opened:
    """Open or make everything; `kept` is what an earlier node process of the same boot left.

    Raises:
        InvalidConfiguration: a setting does not fit this machine.
        StoreError: the settings cannot be opened.
        CertificateUnusable: a certificate's file is damaged, or cannot be written.
        WorkFailed: certificates could not be read or made, for no fault of theirs.
    """
    own = own_addresses(configuration.interfaces)
    state = Path(configuration.state_directory)
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise InvalidConfiguration(f"stateDirectory: {state} cannot be made: {problem.strerror}") from problem
    store = Store.open(configuration.store)
    store.commit(seeded(configuration, store.snapshot))
    _first_user(configuration, store, state)
    management, link = certificates.load_or_make(
        certificates.management_place(state, own.values()), link_place(state)
    )
    log.info("The management API's certificate: SHA-256 %s", management.fingerprint_text)
    mode = Mode(kept["mode"]) if "mode" in kept else HaSettings.of(store.snapshot).mode
    return Opened(store, mode, own, management, link)


def _first_user(configuration: Configuration, store: Store, state: Path) -> None:
    file = configuration.initial_password_file
    given = read_text(file, "management.initialPasswordFile") if file else None
    try:
        made_up = first_user(store, given)
    except ValueError as problem:
        raise InvalidConfiguration(f"management.initialPasswordFile: {file}: {problem}") from problem
    if made_up is not None:
        path = state / PASSWORD_FILE
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(f"{made_up}\n")
        log.warning(
            "User bal was given a password that is in %s: log in, change it, and delete that file", path
        )
