"""How far the operator goes (`spec.policy`)."""

from enum import StrEnum

from loadmaster_ha.resources.model import Model


class Mode(StrEnum):
    """Enforce writes, Observe only reports."""

    ENFORCE = "Enforce"
    OBSERVE = "Observe"


class Adoption(StrEnum):
    """Which existing balancers are taken over."""

    IF_UNOWNED = "IfUnowned"
    ALWAYS = "Always"
    NEVER = "Never"


class Deletion(StrEnum):
    """What becomes of the set-up when the pair is deleted."""

    DELETE = "Delete"
    ORPHAN = "Orphan"


class Availability(StrEnum):
    """How a pair without an availability set or two zones is treated."""

    REPORT = "Report"
    REQUIRE = "Require"


class Reboots(StrEnum):
    """When a unit is rebooted that needs it (guide, 7 step 9)."""

    AUTOMATIC = "Automatic"
    WHEN_IDLE = "WhenIdle"
    MANUAL = "Manual"


class Policy(Model):
    """What the operator may do."""

    mode: Mode = Mode.ENFORCE
    """Enforce makes Azure and the units as wanted. Observe writes nothing to either and shows the
    differences in status."""

    adoption: Adoption = Adoption.IF_UNOWNED
    """A balancer of that name that exists already is used if no other pair owns it (IfUnowned), taken over
    from any pair (Always), or refused (Never)."""

    deletion: Deletion = Deletion.DELETE
    """What becomes of the pair's set-up when the resource is deleted. Delete removes from Azure and the units
    what the operator made for this pair, and only that, and makes the units single again. Orphan leaves
    everything."""

    availability: Availability = Availability.REPORT
    """What follows when the units are neither in one availability set nor in two zones: a warning (Report),
    or nothing is written (Require)."""

    reboots: Reboots = Reboots.AUTOMATIC
    """Changes of the HA mode take effect when the unit is rebooted. Automatic reboots one unit at a time,
    never the active one while the other cannot take over. WhenIdle reboots a unit only while it serves
    nobody: the active one never. Manual never reboots; RebootRequired says what to do."""
