"""Relations between the settings of a node agent, and their reference page.

Each refusal names the settings as the file does, and says what would do. What depends on the machine (an
interface that is not there, a file that cannot be read) is found when the node starts, or by `check`.
"""

import os
from collections.abc import Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

from loadmaster_ha.agent import configuration
from loadmaster_ha.agent.configuration import LEASE_SECONDS, Configuration, InvalidConfiguration
from loadmaster_ha.agent.dataplane.command import LONGEST_SOCKET_PATH
from loadmaster_ha.agent.host_addresses import is_of_a_host
from loadmaster_ha.domain.ha import CHECK_PORT_FORBIDDEN, HEALTH_CHECK_PORT, PROBE_FORBIDDEN_PORTS

_SECRET_CHARACTERS: Final = frozenset(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + '!"#$%&()*+,-./:;<=>?[\\~]^_@`{|}'
)
"""Of the Partner Shared Secret, as the appliance takes it: no space, no apostrophe."""


def check(given: Configuration) -> None:
    """Refuse what cannot work.

    Raises:
        InvalidConfiguration: with everything that is wrong, a line each.
    """
    problems = [*_timing(given), *_ports(given), *_addresses(given), *_files(given)]
    if problems:
        raise InvalidConfiguration("\n".join(problems))


def read_secret(file: str) -> str:
    """The Partner Shared Secret in a file; a line break at its end does not belong to it.

    Raises:
        InvalidConfiguration: it cannot be read, or cannot be one.
    """
    secret = read_text(file, "partner.secretFile")
    if not 8 <= len(secret) <= 127:
        raise InvalidConfiguration(
            f"partner.secretFile: the secret in {file} has {len(secret)} characters, but must have 8 to 127"
        )
    if not _SECRET_CHARACTERS.issuperset(secret):
        raise InvalidConfiguration(
            f"partner.secretFile: the secret in {file} may only have letters, digits and punctuation, no "
            "space and no apostrophe (as the appliance's)"
        )
    return secret


def read_text(file: str, path: str) -> str:
    """The text of a file that the setting `path` names, without the line break at its end.

    Raises:
        InvalidConfiguration: it cannot be read.
    """
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as problem:
        raise InvalidConfiguration(f"{path}: {file} cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise InvalidConfiguration(f"{path}: {file} is no text in UTF-8") from problem


def _timing(given: Configuration) -> Iterator[str]:
    if given.heartbeat_interval < 0.1:
        yield f"partner.heartbeatSeconds is {given.heartbeat_interval:g}, but must be at least 0.1"
    if given.heartbeat_interval * 3 > given.partner_timeout:
        yield (
            f"partner.timeoutSeconds is {given.partner_timeout:g}, but must be at least three times "
            f"partner.heartbeatSeconds ({given.heartbeat_interval:g}): else one lost heartbeat is a silent "
            f"partner. Give {3 * given.heartbeat_interval:g} or more"
        )
    if given.partner_timeout < LEASE_SECONDS:
        yield (
            f"partner.timeoutSeconds is {given.partner_timeout:g}, but must be at least {LEASE_SECONDS:g}: "
            "for so long a unit whose process is stuck may go on answering 200"
        )
    if not 0.1 <= given.witness_timeout <= given.partner_timeout:
        yield (
            f"failover.witnessTimeoutSeconds is {given.witness_timeout:g}, but must be 0.1 to "
            f"partner.timeoutSeconds ({given.partner_timeout:g})"
        )
    if given.failback_delay > given.damping_limit:
        yield (
            f"failover.failbackDelaySeconds is {given.failback_delay:g}, but must not be above "
            f"failover.dampingLimitSeconds ({given.damping_limit:g})"
        )
    if given.probe_interval is not None and not 1 <= given.probe_interval <= 3600:
        yield f"balancer.probeIntervalSeconds is {given.probe_interval}, but must be 1 to 3600"
    if given.probe_threshold is not None and not 1 <= given.probe_threshold <= 100:
        yield f"balancer.probeThreshold is {given.probe_threshold}, but must be 1 to 100"
    interval = given.probe_interval or 5
    if given.drain_time <= interval:
        yield (
            f"failover.drainSeconds is {given.drain_time:g}, but must be longer than the balancer's "
            f"interval ({interval}): else it may not see the 503. Give {interval + 1} or more"
        )


def _ports(given: Configuration) -> Iterator[str]:
    check_port = given.check_port or HEALTH_CHECK_PORT
    if check_port in PROBE_FORBIDDEN_PORTS:
        yield f"healthCheck.port is {check_port}, but Azure does not probe that one by HTTP; give 8444"
    elif check_port in CHECK_PORT_FORBIDDEN:
        yield f"healthCheck.port is {check_port}, but the unit itself uses that one; give 8444"
    ports = {
        "healthCheck.port": check_port,
        "management.port": given.management_port,
        "partner.port": given.partner_port,
        "metrics.port": given.metrics_port,
    }
    names = list(ports)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            if ports[name] == ports[other]:
                yield f"{name} and {other} are both {ports[name]}, but must differ"


def _addresses(given: Configuration) -> Iterator[str]:
    for path, address in (
        ("partner.address", given.partner_address),
        ("balancer.frontend", given.frontend),
        ("balancer.probeSource", given.probe_source),
    ):
        if address is not None and not is_of_a_host(address):
            yield f"{path} is {address}, but no host has that address"
    own = {str(ip_interface(each).ip) for each in given.interfaces if each[0].isdigit() or ":" in each}
    if given.partner_address in own:
        yield (
            f"partner.address is {given.partner_address}, but that is this unit's own address; enter the "
            "other unit's (the guide slips here, 7 step 8)"
        )
    if given.frontend is not None and given.frontend in {*own, given.partner_address}:
        yield f"balancer.frontend is {given.frontend}, but that is a unit's; give the balancer's"


def _files(given: Configuration) -> Iterator[str]:
    for file, path in (
        (given.partner_secret_file, "partner.secretFile"),
        (given.initial_password_file, "management.initialPasswordFile"),
    ):
        try:
            if file is not None and path == "partner.secretFile":
                read_secret(file)
            elif file is not None:
                read_text(file, path)
        except InvalidConfiguration as problem:
            yield str(problem)
    sockets = given.haproxy_sockets or f"{given.run_directory}/haproxy"
    if len(os.fsencode(f"{sockets}/master.sock")) > LONGEST_SOCKET_PATH:
        yield (
            f"haproxy.socketDirectory (RUN/haproxy if not given) is {sockets}, but sockets in it would have "
            f"paths of more than {LONGEST_SOCKET_PATH} bytes; give a shorter one"
        )
    if given.haproxy_mode == "External" and given.haproxy_master_socket is None:
        yield (
            "haproxy.mode is External, but haproxy.masterSocket is not given: start HAProxy with "
            "-W -S SOCKET,mode,600 and name that socket"
        )


def reference() -> str:
    """The reference page of all settings, in Markdown."""
    lines = [
        "# Configuration of the node agent",
        "",
        "<!-- Generated from operator/loadmaster_ha/agent/configuration.py by",
        "     `python -m loadmaster_ha.cli.reference`; do not edit. -->",
        "",
        "`loadmaster-agent run --config FILE` takes a YAML file with these settings, nested as the dots say",
        "(`partner: {address: 10.0.2.5}`). Each is also a flag and an environment variable; a flag wins over",
        "the environment, that over the file. `run --check` says what is wrong with them and starts nothing.",
        "",
        "A setting marked with * may also be set over the management API. What the file says is applied when",
        "it is *new* there: at the first start, and whenever the file has been changed since the last one.",
        "Else what was set over the API stays.",
        "",
        "| Setting | Flag, environment | Default | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, option in configuration.OPTIONS.items():
        default = configuration.default_of(name)
        shown = (
            ""
            if default in {None, "", ()}
            else f"`{default:g}`"
            if isinstance(default, float)
            else f"`{default}`"
        )
        values = f" One of {', '.join(f'`{choice}`' for choice in option.choices)}." if option.choices else ""
        mark = "\\*" if option.seed else ""
        names = f"`{configuration.flag_name(option)}`, `{configuration.environment_name(option)}`"
        lines.append(f"| `{option.path}`{mark} | {names} | {shown} | {option.help.rstrip('.')}.{values} |")
    return "\n".join([*lines, ""])
