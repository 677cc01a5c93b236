"""Backups: all settings in one file of our own, and putting them back.

The first line names the format, its version and a checksum of the rest; the rest is JSON that people can
read. Sections are those of the appliance's `restore` ("RESTful API Interface Description", 3.19.5).

What is in it: parameters, users with their password *hashes*, API keys as digests, host entries, local
network settings, services, intermediate certificates, GEO. What is not: private keys (`backupcert` carries
certificates, encrypted), the Partner Shared Secret, the HA mode and partner (put back on the wrong unit they
would make two masters), the administrative certificate, the store's identity.

A restore makes the sections that it is asked for equal to the file, in one commit. Local settings are only
put back on the unit they are of: the one with the same own addresses.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntFlag
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from loadmaster_ha.agent.settings.model import Change, Delete, Fields, Kind, Put, is_local
from loadmaster_ha.agent.settings.store import KEY_LIMIT

FORMAT: Final = "loadmaster-agent-backup"
VERSION: Final = 1

_FIRST_LINE_LIMIT: Final = 200
_Entities: TypeAlias = Mapping[str, Fields]


class Section(IntFlag):
    """Parts of a backup; the numbers are those of `restore?type=`."""

    BASE = 1
    SERVICES = 2
    GEO = 4


KINDS: Final[Mapping[Section, tuple[Kind, ...]]] = MappingProxyType(
    {
        Section.BASE: (
            Kind.PARAMETER,
            Kind.USER,
            Kind.API_KEY,
            Kind.HOST_ENTRY,
            Kind.LOCAL_PARAMETER,
            Kind.INTERFACE,
            Kind.ADDITIONAL_ADDRESS,
            Kind.VLAN,
            Kind.VXLAN,
            Kind.ROUTE,
            Kind.AGENT,
        ),
        Section.SERVICES: (Kind.VIRTUAL_SERVICE, Kind.REAL_SERVER, Kind.INTERMEDIATE),
        Section.GEO: (Kind.GEO_PARAMETER, Kind.GEO_CLUSTER, Kind.GEO_FQDN, Kind.GEO_MAP),
    }
)

LEFT_OUT: Final = frozenset({Kind.CERTIFICATE, Kind.ADMIN_CERTIFICATE, Kind.HA, Kind.SECRET})
"""Secrets, and what belongs to one unit's place in its pair."""


class BackupRefused(ValueError):  # noqa: N818 - reads as what is the case
    """The file cannot be put back; the message says why. Nothing was changed."""


class Settings(Protocol):
    """A snapshot of a store."""

    def entities(self, kind: Kind) -> Mapping[str, Fields]:
        """The entities of a kind by their keys."""
        ...


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file holds."""

    made: str
    """When, as told by the unit that made it."""
    addresses: Mapping[str, str]
    """That unit's own addresses by interface."""
    entities: Mapping[Kind, _Entities]


def make(settings: Settings, *, own_addresses: Mapping[str, str], made: str) -> bytes:
    """The file with all settings.

    Args:
        settings: a snapshot.
        own_addresses: interface name -> this unit's primary address on it.
        made: the date and time, for people.
    """
    entities = {kind: _plain(settings.entities(kind)) for kinds in KINDS.values() for kind in kinds}
    content = {
        "made": made,
        "addresses": dict(own_addresses),
        "settings": {kind.value: found for kind, found in entities.items() if found},
    }
    body = json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
    return f"{FORMAT} {VERSION} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def read(content: bytes) -> Backup:
    """The whole file, checked: format, version, checksum, form of every entity.

    Raises:
        BackupRefused: it is no backup of ours, a later release's, damaged, or not of the right form.
    """
    first, _, body = content.partition(b"\n")
    words = first[:_FIRST_LINE_LIMIT].decode("ascii", "replace").split()
    match words:
        case [word, version, checksum] if word == FORMAT and version.isdigit():
            if int(version) > VERSION:
                raise BackupRefused(
                    f"The backup was made by a later release (format {version}; this one reads up to "
                    f"{VERSION}). Update this unit first."
                )
            if hashlib.sha256(body).hexdigest() != checksum:
                raise BackupRefused("The backup is damaged or was edited: its checksum does not match.")
        case _:
            raise BackupRefused("The file is no backup of a node agent.")
    try:
        return _backup(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise BackupRefused(f"The backup cannot be read: {error}.") from error


def changes(
    backup: Backup, sections: Section, settings: Settings, own_addresses: Mapping[str, str]
) -> list[Change]:
    """What makes these sections of the settings as they are in the backup; nothing else is touched.

    Args:
        backup: as read.
        sections: which.
        settings: as they are now.
        own_addresses: this unit's; the local settings are put back if they are those of the backup.
    """
    same_unit = dict(backup.addresses) == dict(own_addresses)
    kinds = [kind for section in Section if section in sections for kind in KINDS[section]]
    found: list[Change] = []
    for kind in kinds:
        if same_unit or not is_local(kind):
            found += _differences(kind, settings.entities(kind), backup.entities.get(kind, {}))
    return found


def _differences(kind: Kind, now: _Entities, wanted: _Entities) -> Iterator[Change]:
    for key in now:
        if key not in wanted:
            yield Delete(kind, key)
    for key, fields in wanted.items():
        surplus = dict.fromkeys(now.get(key, {}).keys() - fields.keys())
        yield Put(kind, key, {**surplus, **fields} if surplus else fields)


def _plain(entities: _Entities) -> dict[str, dict[str, Any]]:
    return {key: dict(fields) for key, fields in entities.items()}


def _backup(content: Any) -> Backup:
    match content:
        case {"made": str(made), "addresses": dict(addresses), "settings": dict(settings)}:
            if not all(isinstance(each, str) for each in addresses.values()):
                raise ValueError("addresses are texts")
            known = {kind.value: kind for kinds in KINDS.values() for kind in kinds}
            for name in settings:
                if name not in known:
                    raise ValueError(f"{name!r} is no kind of setting that a backup holds")
            return Backup(
                made, addresses, {known[name]: _entities(name, each) for name, each in settings.items()}
            )
    raise ValueError("it has to tell when it was made, of which addresses, and the settings")


def _entities(kind: str, value: Any) -> _Entities:
    if not isinstance(value, dict):
        raise ValueError(f"{kind} is an object of entities by key")  # noqa: TRY004 - one error for all
    for key, fields in value.items():
        if not key or len(key) > KEY_LIMIT or not key.isprintable():
            raise ValueError(f"a key of {kind} is not printable, or too long")
        if not isinstance(fields, dict) or None in fields.values():
            raise ValueError(f"{kind} {key} is an object of fields with values")
    return value
