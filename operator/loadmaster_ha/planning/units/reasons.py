"""Every reason that the planner of the units' HA settings gives: stable words, what each means, what to do.

The table of `docs/units.md` is made from here (a test holds the two together). Virtual services have reasons
of their own, and so has what can go wrong between the operator and a unit: those words (`Unauthorized`,
`TimedOut`, ...) are passed on as they come.
"""

from enum import StrEnum
from typing import Final

from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.planning.reasons import Explanation

_B, _W, _I = Severity.BLOCKING, Severity.WAITING, Severity.WARNING


class Reason(StrEnum):
    """Reasons of findings, and with that of the condition HASynced."""

    ADDRESS_UNKNOWN = "UnitAddressUnknown"
    SAME_UNIT = "SameUnit"
    MIXED_UNITS = "MixedUnits"
    ROLES_EXCHANGED = "RolesExchanged"
    SERVING_UNIT_NOT_MASTER = "ServingUnitNotMaster"
    BOTH_SERVING = "BothUnitsServing"
    SERVICES_NOT_READ = "ServicesNotRead"
    SHARED_SECRET_REQUIRED = "SharedSecretRequired"  # noqa: S105 - a word
    SHARED_SECRET_NOT_FOUND = "SharedSecretNotFound"  # noqa: S105 - a word
    SHARED_SECRET_INVALID = "SharedSecretInvalid"  # noqa: S105 - a word
    SHARED_SECRET_NOT_READ = "SharedSecretNotRead"  # noqa: S105 - a word
    SHARED_SECRET_NOT_SUPPORTED = "SharedSecretNotSupported"  # noqa: S105 - a word
    SHARED_SECRET_ROTATION = "SharedSecretRotation"  # noqa: S105 - a word
    SHARED_SECRET_WAITS = "SharedSecretWaits"  # noqa: S105 - a word
    VERSION_SKEW = "VersionSkew"
    AFFECTED_FIRMWARE = "AffectedFirmware"
    CHECK_PORT_CHANGES = "CheckPortChanges"
    CHECK_PORT_WAITS = "CheckPortWaits"
    REBOOTING = "UnitRebooting"
    REBOOT_OVERDUE = "RebootOverdue"
    REBOOT_WAITS = "RebootWaits"
    REBOOT_LEFT_TO_PERSON = "RebootLeftToPerson"
    STILL_PUBLISHED = "StillPublished"
    UNITS_LEFT = "UnitsLeftAsTheyAre"


CATALOGUE: Final[dict[Reason, Explanation]] = {
    Reason.ADDRESS_UNKNOWN: Explanation(
        _W,
        "A unit's own address is not known: the manifest does not give it and Azure has not told it yet.",
        "Nothing, if Azure tells it soon; else give spec.<unit>.address.",
    ),
    Reason.SAME_UNIT: Explanation(
        _B,
        "The management addresses of master and slave lead to one and the same unit. Nothing is written: it "
        "would become master and slave in turns.",
        "Correct management.address and management.port of the one that leads to the other.",
    ),
    Reason.MIXED_UNITS: Explanation(
        _B,
        "One unit is a Kemp appliance and the other a node agent; the two cannot be a pair, since they "
        "synchronise in different ways.",
        "Name two appliances or two node agents.",
    ),
    Reason.ROLES_EXCHANGED: Explanation(
        _B,
        "The unit that serves runs in the other one's role. Roles of a serving pair cannot be exchanged "
        "without an interruption, so nothing is written to the modes.",
        "Exchange spec.master and spec.slave in the manifest; or, in a maintenance window, set both units "
        "to single mode, reboot them, and the operator goes on from there.",
    ),
    Reason.SERVING_UNIT_NOT_MASTER: Explanation(
        _B,
        "The unit named as slave is in single mode and has virtual services, so it is presumed to serve; "
        "as a slave it would stop, and the master's settings would replace its own.",
        "Exchange spec.master and spec.slave in the manifest, or remove the virtual services from that unit.",
    ),
    Reason.BOTH_SERVING: Explanation(
        _B,
        "Both units are in single mode and have virtual services, so both are presumed to serve. The "
        "services of the two would be mixed when they become a pair.",
        "Remove the virtual services from the unit that is to be the slave.",
    ),
    Reason.SERVICES_NOT_READ: Explanation(
        _W,
        "Whether a unit in single mode has virtual services could not be read, so nobody knows whether it "
        "serves; its mode is not touched.",
        "Nothing, if it passes; the message says what the unit answered.",
    ),
    Reason.SHARED_SECRET_REQUIRED: Explanation(
        _B,
        "A unit needs a Partner Shared Secret (firmware from 7.2.54.10 LTSF and 7.2.59.4 GA on, and node "
        "agents), and the manifest gives none.",
        "Create a Secret with 8 to 127 letters, digits and punctuation (no space, no apostrophe) and name "
        "it in spec.highAvailability.sharedSecretRef.",
    ),
    Reason.SHARED_SECRET_NOT_FOUND: Explanation(
        _B,
        "The Secret of the Partner Shared Secret, or the key in it, does not exist.",
        "Create it, or correct spec.highAvailability.sharedSecretRef.",
    ),
    Reason.SHARED_SECRET_INVALID: Explanation(
        _B,
        "The Partner Shared Secret has a form that units refuse.",
        "Use 8 to 127 letters, digits and punctuation: no space, no apostrophe, nothing outside of ASCII.",
    ),
    Reason.SHARED_SECRET_NOT_READ: Explanation(
        _W,
        "The Secret of the Partner Shared Secret could not be read.",
        "Nothing, if it passes; the message says what was answered.",
    ),
    Reason.SHARED_SECRET_NOT_SUPPORTED: Explanation(
        _I,
        "A Partner Shared Secret is given, but a unit's firmware does not know it yet; it is not set there.",
        "Update the firmware (guide, 9), or leave spec.highAvailability.sharedSecretRef out.",
    ),
    Reason.SHARED_SECRET_ROTATION: Explanation(
        _I,
        "The Partner Shared Secret is being replaced: from the first unit's write to the second one's the "
        "units do not synchronise. Nobody who is served notices.",
        "Nothing is to be done: the second unit follows at once.",
    ),
    Reason.SHARED_SECRET_WAITS: Explanation(
        _W,
        "The Partner Shared Secret is to be replaced, and one unit does not answer. Both keep the former "
        "one, so that they can talk when it is back.",
        "See to the unit that does not answer.",
    ),
    Reason.VERSION_SKEW: Explanation(
        _I,
        "The units run different versions. The active one is not rebooted meanwhile: the other one is not "
        "known to be able to take over.",
        "Bring both to one version: the standby unit first, then the active one (guide, 9).",
    ),
    Reason.AFFECTED_FIRMWARE: Explanation(
        _I,
        "The firmware has a published weakness.",
        "Update the firmware, and let nobody but administrators and the operator reach the management port.",
    ),
    Reason.CHECK_PORT_CHANGES: Explanation(
        _I,
        "The check port of serving appliances changes. They listen on one port only, so Azure's probe "
        "goes first and the units follow at once: new connections may fail from Azure's write until the "
        "first good probe after the units', at most one probe interval later.",
        "Nothing is to be done: it ends by itself.",
    ),
    Reason.CHECK_PORT_WAITS: Explanation(
        _W,
        "A check port is not as wanted, and it is not its turn yet.",
        "Nothing is to be done when the message waits for Azure; else see to the unit that it names.",
    ),
    Reason.REBOOTING: Explanation(
        _W,
        "A unit was told to reboot and is not back yet; nothing else is rebooted meanwhile.",
        "Nothing is to be done: Kemp's guide (10.4) speaks of five minutes.",
    ),
    Reason.REBOOT_OVERDUE: Explanation(
        _B,
        "A unit was told to reboot and has not come back in time.",
        "Look at its machine in Azure (serial console, boot diagnostics) and start it; the operator goes "
        "on as soon as it answers.",
    ),
    Reason.REBOOT_WAITS: Explanation(
        _W,
        "A unit has to be rebooted, and it would interrupt somebody now.",
        "The message says what is waited for. Or reboot it yourself when an interruption is acceptable.",
    ),
    Reason.REBOOT_LEFT_TO_PERSON: Explanation(
        _I,
        "The pair is deleted and a unit is set to single mode, but it was not rebooted, so it may still "
        "run as a member of a pair.",
        "Reboot it when an interruption of what it still serves is acceptable.",
    ),
    Reason.STILL_PUBLISHED: Explanation(
        _W,
        "The pair is deleted, and Azure still has something of it, so the units stay as they are.",
        "Nothing, if it passes; else see the condition AzureSynced.",
    ),
    Reason.UNITS_LEFT: Explanation(
        _I,
        "The pair is deleted, and its units were refused as a pair, so they are left as they are.",
        "Nothing is to be done.",
    ),
}


_SECRETS: Final = frozenset({"SecretNotFound", "SecretInvalid", "SecretUnreadable"})
"""The login or the authority of a unit cannot be read: the controller's words."""

NEEDS_A_PERSON: Final = _SECRETS | frozenset(
    {
        "CertificateNotTrusted",
        "Unauthorized",
        "Forbidden",
        "ApiDisabled",
        "Unlicensed",
        "EulaNotAccepted",
        "LicensingFailed",
    }
)
"""Words for why a unit cannot be asked that stay the same until somebody has done something."""


def finding(reason: Reason, subject: object, what: str, *, severity: Severity | None = None) -> Finding:
    """A finding: what is wrong and where, followed by the reason's remedy."""
    explanation = CATALOGUE[reason]
    return Finding(
        reason.value, f"{what}. {explanation.remedy}", severity or explanation.severity, str(subject)
    )


def reasons_table() -> str:
    """The catalogue as the table of the documentation."""
    lines = ["| Reason | Effect | What it means | What to do |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{reason}` | {explained.severity} | {explained.meaning} | {explained.remedy} |"
        for reason, explained in CATALOGUE.items()
    ]
    return "\n".join(lines)
