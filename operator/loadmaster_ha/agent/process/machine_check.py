"""Whether this machine fits the configuration: for `loadmaster-agent check`, which changes nothing."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.dataplane.checker import Checker
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
    except InvalidConfiguration as problem:
        yield str(problem)
    try:
        asyncio.run(Checker(configuration.haproxy_binary, Folder(Path("/nonexistent"))).version())
    except ConfigurationRefused as problem:
        yield f"haproxy.binary: {problem}"
    try:
        paths_of(configuration)
    except ValueError as problem:
        yield f"haproxy.socketDirectory: {problem}"
    for folder, path in (
        (configuration.state_directory, "stateDirectory"),
        (configuration.run_directory, "runDirectory"),
    ):
        there = next(each for each in (Path(folder), *Path(folder).parents) if each.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield f"{path}: {folder} cannot be written by this user ({there})"
