"""The configuration file and the settings that it seeds: who wins when both say something.

Mode, partner, check port and their like may be set in the file *and* over the management API. The store
remembers what the file said last. What the file says anew at a start is applied; else what the API set stays.
"""

import hashlib
from typing import Final

from loadmaster_ha.agent.configuration import OPTIONS, Configuration
from loadmaster_ha.agent.configuration_checks import read_secret
from loadmaster_ha.agent.settings.model import Change, Fields, Json, Kind, Put
from loadmaster_ha.agent.settings.snapshot import Snapshot
from loadmaster_ha.agent.unit_settings import SECRET_KEY, AgentSettings, HaSettings

FILE_KEY: Final = "file"
"""Of kind `agent`: what the file said last, by setting; of the secret a digest."""

_HA: Final = {
    "mode": "mode",
    "partner_address": "partner",
    "check_port": "check_port",
    "preferred_host": "preferred_host",
    "all_interfaces": "all_interfaces",
}
_AGENT: Final = ("frontend", "probe_source", "probe_interval", "probe_threshold")
_SECRET: Final = "partner_secret_file"  # noqa: S105 - a setting's name


def seeded(configuration: Configuration, snapshot: Snapshot) -> list[Change]:
    """The changes that bring what the file says anew into the settings; empty when it says nothing new.

    Raises:
        InvalidConfiguration: the secret's file cannot be read, or holds no secret.
    """
    said: dict[str, Json] = {
        name: getattr(configuration, name) for name, option in OPTIONS.items() if option.seed
    }
    secret = read_secret(configuration.partner_secret_file) if configuration.partner_secret_file else None
    said[_SECRET] = hashlib.sha256(secret.encode()).hexdigest() if secret else None
    last: Fields = snapshot.get(Kind.AGENT, FILE_KEY) or {}
    new = {name: value for name, value in said.items() if value != last.get(name)}
    if not new:
        return []
    changes: list[Change] = [Put(Kind.AGENT, FILE_KEY, new)]
    ha = {field: new[name] for name, field in _HA.items() if new.get(name) is not None}
    agent = {name: new[name] for name in _AGENT if new.get(name) is not None}
    if ha:
        changes.append(HaSettings.put(ha))
    if agent:
        changes.append(AgentSettings.put(agent))
    if secret is not None and _SECRET in new:
        changes.append(Put(Kind.SECRET, SECRET_KEY, {"value": secret}))
    return changes
