"""What can go wrong between the operator and a unit: a word, what it means, and what to do about it.

Every failure of the `client` is one `UnitFault`. Its reason is a word that conditions, Events and metrics
show; `EXPLANATIONS` is the table of docs/units.md, which a test holds to it. `recognition` finds the reason
in what a unit answered, `connections` in what became of the connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class FaultReason(StrEnum):
    """Why a call to a unit did not work."""

    UNREACHABLE = "Unreachable"
    REFUSED = "Refused"
    TIMED_OUT = "TimedOut"
    CERTIFICATE_NOT_TRUSTED = "CertificateNotTrusted"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    API_DISABLED = "ApiDisabled"
    BOOTING = "Booting"
    UNLICENSED = "Unlicensed"
    EULA_NOT_ACCEPTED = "EulaNotAccepted"
    LICENSING_FAILED = "LicensingFailed"
    RATE_LIMITED = "RateLimited"
    UNKNOWN_COMMAND = "UnknownCommand"
    INVALID_REQUEST = "InvalidRequest"
    STANDBY_REFUSES = "StandbyRefuses"
    UNAVAILABLE = "Unavailable"
    MALFORMED = "Malformed"
    TOO_LARGE = "TooLarge"
    ANSWER_LOST = "AnswerLost"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason in words."""

    meaning: str
    remedy: str


EXPLANATIONS: Final[Mapping[FaultReason, Explanation]] = MappingProxyType(
    {
        FaultReason.UNREACHABLE: Explanation(
            "There is no way to the address, or it has no machine.",
            "Check management.address, that the machine runs, and that the operator's network has a route to "
            "it.",
        ),
        FaultReason.REFUSED: Explanation(
            "The machine is there, but nothing listens on the management port.",
            "Check management.port (8443 on Azure's image, 443 elsewhere), or wait: it may be starting.",
        ),
        FaultReason.TIMED_OUT: Explanation(
            "No connection, or no whole answer, within the time allowed.",
            "Check that a network security group lets the operator reach the management port, and that the "
            "unit is not overloaded.",
        ),
        FaultReason.CERTIFICATE_NOT_TRUSTED: Explanation(
            "The unit shows a certificate that is not the pinned one, or that no trusted authority signed. "
            "Nothing was sent to it.",
            "Compare the fingerprint seen with the unit's own; if it is the same, set "
            "management.tls.fingerprintSHA256 to it.",
        ),
        FaultReason.UNAUTHORIZED: Explanation(
            "The unit refuses the credentials. They are not tried again: the account could be locked out.",
            "Put the right apikey, or username and password, into the Secret of "
            "management.credentialsSecretRef; if they were put right on the unit instead, write anything to "
            "the Secret (an annotation will do): each write is one more try.",
        ),
        FaultReason.FORBIDDEN: Explanation(
            "The user may log in but may not do this.",
            "Give the user the permission that the message names (System Configuration > User Management).",
        ),
        FaultReason.API_DISABLED: Explanation(
            "The web user interface answers (404, a redirection, or an HTML page), the API does not.",
            "Enable the API Interface in the unit's web user interface (Certificates & Security > Remote "
            "Access); licensing can switch it off again.",
        ),
        FaultReason.BOOTING: Explanation(
            "The unit is starting; that takes about five minutes (guide, 10.4).",
            "Wait. If it lasts longer, look at the machine's boot diagnostics in Azure.",
        ),
        FaultReason.UNLICENSED: Explanation(
            "The unit has no valid licence.",
            "License the unit in its web user interface.",
        ),
        FaultReason.EULA_NOT_ACCEPTED: Explanation(
            "Nobody has accepted the licence agreement on the unit yet.",
            "Accept it in the unit's web user interface; the operator does not do this for you.",
        ),
        FaultReason.LICENSING_FAILED: Explanation(
            '"Connection to default gateway failed" while licensing says nothing about the gateway: the '
            "licensing server usually refused the Kemp ID or its password (guide, 10.3).",
            "Check Kemp ID and password, then that the unit reaches the Internet.",
        ),
        FaultReason.RATE_LIMITED: Explanation(
            "The unit ended the connection without an answer, as it does when more than 30 calls arrive "
            "within 3 seconds from everybody together.",
            "Find out who else calls the unit's API; the operator stays below that by itself.",
        ),
        FaultReason.UNKNOWN_COMMAND: Explanation(
            "The unit's firmware does not have the command.",
            "Update the unit's firmware, or leave out the setting that needs the command.",
        ),
        FaultReason.INVALID_REQUEST: Explanation(
            "The unit refuses a value, or the operation in its present state.",
            "The message has the unit's own words; change the field of the manifest that they are about.",
        ),
        FaultReason.STANDBY_REFUSES: Explanation(
            "The unit is on standby and takes local administration only (guide, 7).",
            "None: the operator writes to the active unit as soon as it knows which one that is.",
        ),
        FaultReason.UNAVAILABLE: Explanation(
            "The unit answered with an error of its own (5xx): overloaded, out of time, or broken.",
            "Wait; if it lasts, look at the unit's log.",
        ),
        FaultReason.MALFORMED: Explanation(
            "What answers is not the management API of a LoadMaster, or breaks its rules.",
            "Check management.address and management.port: another machine may have the address.",
        ),
        FaultReason.TOO_LARGE: Explanation(
            "The answer is larger than any that a LoadMaster gives; the rest was not read.",
            "Check management.address and management.port: another machine may have the address.",
        ),
        FaultReason.ANSWER_LOST: Explanation(
            "The connection ended before the whole answer was there: nobody knows whether the unit did it.",
            "None: the operator reads the unit again before it decides what to do.",
        ),
    }
)


class UnitFault(Exception):  # noqa: N818 - the word of conditions and documentation
    """A call did not work. `str()` has where, what, and the remedy; no secrets.

    Args:
        reason: the word for it.
        message: where and what, a sentence.
        sent: whether the unit may have acted on the request: then read before trying again.
        seen_fingerprint: SHA-256 in lower-case hex of the certificate that the unit showed, when it is not
            trusted; for a person to compare and pin.
        said: the unit's own words, redacted, on one line; empty when there are none.
    """

    def __init__(
        self,
        reason: FaultReason,
        message: str,
        *,
        sent: bool = False,
        seen_fingerprint: str | None = None,
        said: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.sent = sent
        self.seen_fingerprint = seen_fingerprint
        self.said = said

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return EXPLANATIONS[self.reason].remedy

    def __str__(self) -> str:
        return self.message if self.remedy.startswith("None:") else f"{self.message} {self.remedy}"


def faults_table() -> str:
    """The reasons as the table of the documentation."""
    lines = ["| Reason | What it means | What to do |", "| --- | --- | --- |"]
    lines += [
        f"| `{reason.value}` | {explained.meaning} | {explained.remedy} |"
        for reason, explained in EXPLANATIONS.items()
    ]
    return "\n".join(lines)
