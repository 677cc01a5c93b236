"""`backup` and `restore` ("RESTful API Interface Description", 3.19.5); the format is `settings.backup`.

A restore is checked whole before anything is changed: the file, that this unit understands every service in
it, that certificates which services name are here, and that HAProxy would take the result.
"""

from datetime import UTC, datetime
from typing import Final

from loadmaster_ha.agent.api import service_changes
from loadmaster_ha.agent.api.dispatch import ADMINISTRATOR, Binary, Call, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.services import unreadable
from loadmaster_ha.agent.settings import backup
from loadmaster_ha.agent.settings.backup import Backup, BackupRefused, Section
from loadmaster_ha.agent.settings.indexes import numbers_twice
from loadmaster_ha.agent.settings.model import Change, Kind, is_local

_EVERYTHING: Final = Section.BASE | Section.SERVICES | Section.GEO
_SINGLE_SIGN_ON: Final = 8


@handles("backup")
async def make_backup(_: Call, unit: Unit) -> Reply:
    """All settings in one file."""
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Binary(backup.make(unit.settings.snapshot, own_addresses=unit.own_addresses, made=made))


@handles("restore")
async def restore(call: Call, unit: Unit) -> Reply:
    """Make the sections that are asked for as they are in the file."""
    sections = _sections(call)
    if not call.data:
        raise Refused(422, "restore: the backup file is missing; it is the body of the request.")
    try:
        found = backup.read(call.data)
    except BackupRefused as refused:
        raise Refused(422, str(refused)) from refused
    if Section.BASE in sections and call.user.name != ADMINISTRATOR:
        raise Refused(
            403, f"type: users are part of the base configuration; only {ADMINISTRATOR} restores it."
        )

    def plan(before: Snapshot) -> list[Change]:
        changes = backup.changes(found, sections, before, unit.own_addresses)
        _check(service_changes.Preview(before, changes), unit)
        return changes

    await service_changes.change(unit, plan)
    return Done(_told(found, sections, unit))


def _sections(call: Call) -> Section:
    wanted = call.number("type") or 0
    sections = Section(wanted & _EVERYTHING)
    if not sections:
        raise Refused(
            422,
            f"type: {wanted} is nothing that is here; 1 is base, 2 virtual services, 4 GEO "
            f"({_SINGLE_SIGN_ON}, ESP SSO, does not exist on a node agent).",
        )
    return sections


def _check(after: service_changes.Preview, unit: Unit) -> None:
    foreign = unreadable(after, unit.own_addresses)
    if foreign:
        raise Refused(
            422,
            f"This unit cannot serve {', '.join(foreign)} of the backup: it has no such interface, or does "
            "not understand the service. Nothing was restored.",
        )
    twice = numbers_twice(after)
    if twice:
        raise Refused(422, f"The backup has {twice} twice. Nothing was restored.")
    certificates = after.entities(Kind.CERTIFICATE)
    for key, fields in after.entities(Kind.VIRTUAL_SERVICE).items():
        named = fields.get("CertFile")
        missing = [name for name in named if name not in certificates] if isinstance(named, list) else []
        if missing:
            raise Refused(
                422,
                f"{key} uses certificate {missing[0]}, which is not here: add it first (addcert, or "
                "restorecert with the file of backupcert). Nothing was restored.",
            )


def _told(found: Backup, sections: Section, unit: Unit) -> str:
    restored = f"Restored the backup of {found.made}"
    local = any(is_local(kind) for kind in found.entities)
    if Section.BASE in sections and local and dict(found.addresses) != dict(unit.own_addresses):
        return f"{restored}, but not its local network settings: they are another unit's"
    return restored
