"""A backup with many virtual services, made of the one that a unit has: to set them in one call."""

import base64
from collections.abc import Mapping
from typing import Any

from loadmaster_ha.agent.settings import backup
from loadmaster_ha.agent.settings.model import Fields, Kind

FIRST_PORT = 20_000


class _Settings:
    def __init__(self, entities: Mapping[Kind, Mapping[str, Fields]]) -> None:
        self._entities = entities

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        return self._entities.get(kind, {})


def multiplied(data: str, count: int) -> str:
    """The backup (base64) with `count` services more: copies of its only one, on ports from FIRST_PORT."""
    found = backup.read(base64.b64decode(data))
    services = dict(found.entities[Kind.VIRTUAL_SERVICE])
    servers = dict(found.entities[Kind.REAL_SERVER])
    ((key, fields),) = services.items()
    behind = [(name, each) for name, each in servers.items() if name.startswith(f"{key}|")]
    interface, _, rest = key.partition(":")
    protocol = rest.partition("/")[2]
    number, server_number = 10_000, 100_000
    for port in range(FIRST_PORT, FIRST_PORT + count):
        copy = f"{interface}:{port}/{protocol}"
        number += 1
        services[copy] = {**fields, "Index": number}
        for name, each in behind:
            server_number += 1
            servers[f"{copy}|{name.partition('|')[2]}"] = {**each, "RsIndex": server_number}
    entities: dict[Kind, Any] = {**found.entities, Kind.VIRTUAL_SERVICE: services, Kind.REAL_SERVER: servers}
    made = backup.make(_Settings(entities), own_addresses=found.addresses, made=found.made)
    return base64.b64encode(made).decode()
