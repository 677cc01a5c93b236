"""Whether this machine fits the configuration: for `loadmaster-agent check`, which changes nothing."""

import asyncio
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.dataplane.checker import Checker
from loadmaster_ha.agent.dataplane.command import program
from loadmaster_ha.agent.dataplane.files import Folder
from loadmaster_ha.agent.dataplane.model import ConfigurationRefused
from loadmaster_ha.agent.process.interfaces import own_addresses
from loadmaster_ha.agent.process.serving import paths_of


def findings(configuration: Configuration) -> list[str]:
    """What is in the way of a start, a line each."""
    return list(_findings(configuration))


def _findings(configuration: Configuration) -> Iterator[str]:
    try:
        own = own_addresses(configuration.interfaces)
        if configuration.partner_address in own.values():
            yield f"partner.address is {configuration.partner_address}, but that is this unit's own address"
        for address in own.values():
            if not _is_here(address):
                yield f"interfaces: this machine has no address {address}"
    except InvalidConfiguration as problem:
        yield str(problem)
    try:
        asyncio.run(Checker(program(configuration.haproxy_binary), Folder(Path("/nonexistent"))).version())
    except ConfigurationRefused as problem:
        yield f"haproxy.binary: {problem}"
    try:
        paths_of(configuration)
    except ValueError as problem:
        yield f"haproxy.socketDirectory: {problem}"
    if configuration.haproxy_user and not _is_account(configuration.haproxy_user):
        yield f"haproxy.user: there is no account {configuration.haproxy_user} on this machine"
    for folder, path in (
        (configuration.state_directory, "stateDirectory"),
        (configuration.run_directory, "runDirectory"),
    ):
        there = next(each for each in (Path(folder), *Path(folder).parents) if each.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield f"{path}: {folder} cannot be written by this user ({there})"


def remarks(configuration: Configuration) -> list[str]:
    """What a start would go without, and a pair would miss, a line each. It may still be set over the API."""
    if configuration.mode is None:
        return ["mode is not given: the unit is in no pair until one is set"]
    if configuration.mode == "Single":
        return []
    missing = {
        "partner.address": (configuration.partner_address, "the unit serves alone"),
        "partner.secretFile": (configuration.partner_secret_file, "nothing is synchronised or handed over"),
        "balancer.frontend": (configuration.frontend, "a cut between the units alone makes both active"),
    }
    return [
        f"{name} is not given: {what} until it is set" for name, (given, what) in missing.items() if not given
    ]


def _is_here(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _is_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
