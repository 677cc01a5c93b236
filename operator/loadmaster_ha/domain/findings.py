"""A finding: one thing that is not as it should be, in words for people, with the place and the remedy.

Checks are small functions that return findings; conditions of the custom resource are made of them.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding means for the work."""

    BLOCKING = "Blocking"
    """Nothing is written until a person (or Azure) has changed something: `Stalled`."""

    WAITING = "Waiting"
    """Nothing is written now, but it may pass by itself (could not read, another operation runs): retried."""

    WARNING = "Warning"
    """A risk that is reported and does not hold anything up."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    `reason` is CamelCase and stable (scripts and alerts match it), `message` tells what is wrong, where, and
    what to do; `subject` is the field path (`spec.loadBalancer...`) or resource id it is about.
    """

    reason: str
    message: str
    severity: Severity
    subject: str = ""


class WithFindings:
    """What has `findings`, sorted by what they mean for the work: base of the plans."""

    __slots__ = ()

    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Findings that need a person."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.BLOCKING)

    @property
    def waiting(self) -> tuple[Finding, ...]:
        """Findings that may pass by themselves."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.WAITING)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Risks that are only reported."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)
