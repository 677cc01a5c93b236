"""Several findings in one message: each reason's remedy is told once, and not more than a person reads.

`planning` gives each finding the remedy of its reason. Here it is taken away again where the same reason was
told just before. Used by `status` and `status_units`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.loadmaster.faults import EXPLANATIONS
from loadmaster_ha.planning import reasons as azure
from loadmaster_ha.planning.units import reasons as units
from loadmaster_ha.planning.units import service_reasons as services

OTHERS_SHOWN: Final = 5
"""Findings told beside the first; who has that many knows where to begin."""


def joined(findings: Sequence[Finding]) -> str:
    """The first finding whole, some of the others."""
    first, *others = findings
    message = first.message
    for finding in others[:OTHERS_SHOWN]:
        message += f" Also {finding.reason}: {_beside(finding, message)}"
    if len(others) > OTHERS_SHOWN:
        message += f" And {len(others) - OTHERS_SHOWN} more."
    return message


def reported(warnings: Sequence[Finding]) -> str:
    """Risks that hold nothing up; empty when there are none."""
    message = ""
    for finding in warnings:
        message += f" {finding.reason}: {_beside(finding, message)}"
    return f"Reported:{message}" if message else ""


def _beside(finding: Finding, told: str) -> str:
    """A finding's message, without the remedy of its reason when that stands in `told`."""
    message = finding.message
    for remedy in _remedies(finding.reason):
        if f" {remedy}" in told:
            message = message.replace(f" {remedy}", "", 1)
    return message


def _remedies(reason: str) -> Iterator[str]:
    """What helps, by whatever has this word for a reason."""
    for catalogue in (azure.CATALOGUE, units.CATALOGUE, services.CATALOGUE, EXPLANATIONS):
        for word, explanation in catalogue.items():
            if word.value == reason:
                yield explanation.remedy
