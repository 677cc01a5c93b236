"""The units' virtual machines: in one group, apart in case of a fault, and bootable."""

from collections.abc import Iterator
from typing import Final

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning.bodies import items, name_of, properties, reference_of
from loadmaster_ha.planning.needs import machine_of
from loadmaster_ha.planning.observation import Resource
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.reasons import Reason, finding
from loadmaster_ha.resources.loadmasterpair import Availability

DIAGNOSTICS: Final = frozenset({"linuxdiagnostic", "iaasdiagnostics", "azurediagnostics"})
"""Types of the extensions that the portal's "Enable OS guest diagnostics" installs."""


def machines_exist(context: Context) -> Iterator[Finding]:
    """Each unit's machine is there."""
    for role, machine in context.machines.items():
        if context.observation.is_absent(machine):
            what = f"Virtual machine {machine} of the {role.lower()} does not exist"
            yield finding(Reason.VIRTUAL_MACHINE_NOT_FOUND, f"spec.{role.lower()}.virtualMachine.name", what)


def interfaces_belong(context: Context) -> Iterator[Finding]:
    """Each interface is attached to its unit's machine."""
    for attachment, interface in context.attachments():
        machine = context.machines.get(attachment.role)
        attached = machine_of(interface)
        if machine is None or attached == machine:
            continue
        where = "no virtual machine" if attached is None else str(attached)
        what = (
            f"Interface {interface.id} belongs to {where}, not to {machine} of the {attachment.role.lower()}"
        )
        yield finding(Reason.INTERFACE_NOT_ATTACHED, attachment.path, what)


def one_resource_group(context: Context) -> Iterator[Finding]:
    """Both machines are in one resource group (guide, 2 and 3.3)."""
    groups = {machine.resource_group.lower(): machine for machine in context.machines.values()}
    if len(groups) > 1:
        both = " and ".join(str(machine) for machine in context.machines.values())
        what = f"The units are in different resource groups: {both}"
        yield finding(Reason.DIFFERENT_RESOURCE_GROUPS, "spec.slave", what)


def apart(context: Context) -> Iterator[Finding]:
    """The machines share an availability set, or are in two zones."""
    required = context.layout.spec.policy.availability is Availability.REQUIRE
    severity = Severity.BLOCKING if required else Severity.WARNING
    known = [context.observation.get(machine) for machine in context.machines.values()]
    units = [machine for machine in known if machine is not None]
    if len(units) < len(Role):
        if required and len(context.machines) < len(Role):
            what = "The units' virtual machines are not known, so their availability cannot be told"
            yield finding(Reason.NO_AVAILABILITY, "spec.policy.availability", what, severity=severity)
        return
    if units[0].id == units[1].id:
        what = f"Both units are one virtual machine, {units[0].id}"
        yield finding(Reason.NO_AVAILABILITY, "spec.slave", what, severity=Severity.BLOCKING)
    elif not (_one_set(*units) or _two_zones(*units)):
        what = f"{units[0].id} and {units[1].id} are neither in one availability set nor in two zones"
        yield finding(Reason.NO_AVAILABILITY, "spec.policy.availability", what, severity=severity)


def bootable(context: Context) -> Iterator[Finding]:
    """OS guest diagnostics are off."""
    for role, machine in context.machines.items():
        known = context.observation.get(machine)
        for extension in items({} if known is None else known.body, "resources"):
            if str(properties(extension).get("type", "")).lower() in DIAGNOSTICS:
                what = f"Virtual machine {machine} of the {role.lower()} has extension {name_of(extension)!r}"
                yield finding(Reason.GUEST_DIAGNOSTICS, f"spec.{role.lower()}.virtualMachine", what)


def _one_set(first: Resource, second: Resource) -> bool:
    found = [reference_of(machine.properties.get("availabilitySet")) for machine in (first, second)]
    return found[0] is not None and found[0] == found[1]


def _two_zones(first: Resource, second: Resource) -> bool:
    zones = [frozenset(str(zone) for zone in machine.body.get("zones") or ()) for machine in (first, second)]
    return all(zones) and zones[0].isdisjoint(zones[1])
