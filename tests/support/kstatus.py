"""How kstatus (kubernetes-sigs/cli-utils, pkg/kstatus/status) judges an object: what Flux sees of us.

Written anew from its rules for custom resources, in its order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The answers of kstatus."""

    TERMINATING = "Terminating"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"


def kstatus(resource: dict[str, Any]) -> Status:
    """The status of a custom resource."""
    metadata, status = resource["metadata"], resource.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Status.TERMINATING
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return Status.IN_PROGRESS
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return Status.IN_PROGRESS
    if conditions.get("Stalled") == "True":
        return Status.FAILED
    if "Ready" in conditions and conditions["Ready"] != "True":
        return Status.IN_PROGRESS
    return Status.CURRENT
