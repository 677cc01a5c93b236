"""Trying a configuration with `haproxy -c` before anything is told to use it.

A candidate is written to a folder of its own beside the real one, with the certificates and lists that it
names (`default-path config` makes HAProxy look for them there), so that the text that is checked is the very
text that is used afterwards. What HAProxy says against it is told with the virtual service that the line
belongs to.
"""

import asyncio
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadmaster_ha.agent.dataplane.files import Folder
from loadmaster_ha.agent.dataplane.model import Configuration, ConfigurationRefused
from loadmaster_ha.domain.virtual_services import ServiceKey

log = logging.getLogger(__name__)

OLDEST: Final = (2, 6)
"""Debian 12's."""

_TIME_LIMIT: Final = 30.0
_ALERT: Final = re.compile(r"^\[ALERT\] +\(\d+\) : (?:config : )?(.*)$")
_PLACE: Final = re.compile(r"parsing \[(?P<file>[^\]]*):(?P<line>\d+)\] ?: ?")
_SUMMARY: Final = re.compile(r"Error\(s\) found in configuration file|Fatal errors found in configuration")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+(?:-dev\d+)?")
_LONGEST_MESSAGE: Final = 600


@dataclass(frozen=True, slots=True)
class Checker:
    """Runs the binary that the agent brings."""

    binary: str
    candidate: Folder

    async def check(self, configuration: Configuration) -> None:
        """See whether HAProxy accepts this.

        Raises:
            ConfigurationRefused: it does not; the text says which service and why, in HAProxy's words.
        """
        self.candidate.put(files_of(configuration))
        path = self.candidate.path / "haproxy.cfg"
        status, output = await run(self.binary, "-c", "-f", str(path))
        if status != 0:
            raise _refusal(configuration, output)

    async def version(self) -> str:
        """The binary's version, as `2.6.12`.

        Raises:
            ConfigurationRefused: there is no such binary, it is too old, or it is something else.
        """
        _, output = await run(self.binary, "-v")
        found = plain_version(output.partition("\n")[0])
        if not found:
            raise ConfigurationRefused(f"{self.binary} -v tells no version: is it HAProxy?")
        numbers = tuple(int(part) for part in found.partition("-")[0].split(".")[:2])
        if numbers < OLDEST:
            raise ConfigurationRefused(f"HAProxy {found} is too old: this unit needs 2.6 or newer")
        return found


def files_of(configuration: Configuration) -> dict[str, str]:
    """Everything that HAProxy reads, by path; `haproxy.cfg`, which names the others, comes last."""
    return {**configuration.certificates, **configuration.lists, "haproxy.cfg": configuration.text}


def plain_version(text: str) -> str:
    """The version that a text names, without what a distribution adds to it; empty when it names none."""
    found = _VERSION.search(text)
    return found[0] if found else ""


async def run(binary: str, *arguments: str) -> tuple[int, str]:
    """Run HAProxy to its end; its exit status and what it printed.

    Raises:
        ConfigurationRefused: it cannot be started, or does not end within 30 s.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise ConfigurationRefused(
            f"{binary} cannot be run ({error.strerror}): install HAProxy, or give the path of its program"
        ) from error
    try:
        async with asyncio.timeout(_TIME_LIMIT):
            output, _ = await process.communicate()
    except TimeoutError:
        raise ConfigurationRefused(f"{binary} {arguments[0]} did not end within {_TIME_LIMIT:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace")


def _refusal(configuration: Configuration, output: str) -> ConfigurationRefused:
    blamed: dict[ServiceKey, str] = {}
    others: list[str] = []
    for line in output.splitlines():
        found = _ALERT.match(line)
        if found is None or _SUMMARY.search(found[1]):
            continue
        key, message = _explained(configuration, found[1])
        if key is None:
            others.append(message)
        else:
            blamed.setdefault(key, message)
    texts = [f"virtual service {key}: {message}" for key, message in blamed.items()]
    text = "; ".join(texts or others) or "HAProxy refuses it without a reason"
    log.debug("HAProxy refuses a configuration:\n%s", output)
    return ConfigurationRefused(text[:_LONGEST_MESSAGE], blamed)


def _explained(configuration: Configuration, message: str) -> tuple[ServiceKey | None, str]:
    place = _PLACE.search(message)
    plain = _PLACE.sub("", message).strip()
    if place and Path(place["file"]).name == "haproxy.cfg":
        return configuration.key_at(int(place["line"])), plain
    named = [
        section for name, section in configuration.sections.items() if name in re.findall(r"[\w.-]+", plain)
    ]
    return (named[0].key if named else None), plain
