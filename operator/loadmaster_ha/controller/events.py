"""Events on transitions: what changed about a pair, once, for `kubectl describe` and whoever watches Events.

`transitions` is pure: it compares the stored conditions with the new ones. The name of an Event is derived
from what it tells, so that a visit repeated after a crash does not report the same thing twice.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller.conditions import ConditionType, find, shortened
from loadmaster_ha.controller.kubernetes import GROUP, JSON, KIND, VERSION, KubernetesError
from loadmaster_ha.controller.status import in_words
from loadmaster_ha.domain import unit_changes
from loadmaster_ha.planning.changes import Change, Put

log = logging.getLogger(__name__)

NOTE_LIMIT: Final = 1000
"""Bytes of a note; the API takes 1024."""

CONTROLLER: Final = "loadmaster.dev/operator"


@dataclass(frozen=True, slots=True)
class Event:
    """One Event to report. `occasion` tells apart what would else be the same Event at another time."""

    reason: str
    note: str
    occasion: str
    warning: bool = False
    action: str = "Reconcile"


def transitions(stored: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Event]:
    """The Events that a change of conditions is worth."""
    events = []
    for kind, report in _REPORTS.items():
        before, after = find(stored, kind), find(new, kind)
        if (before.get("status"), before.get("reason")) != (after.get("status"), after.get("reason")):
            event = report(before, after)
            if event is not None:
                events.append(event)
    return events


def _occasion(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    # What was stored before is the same for a visit that is repeated, and another at the next time round.
    seen = (before.get("status"), before.get("reason"), before.get("lastTransitionTime"))
    return f"{seen}>{after.get('status')},{after.get('reason')},{after.get('observedGeneration')}"


def _stalled(before: Mapping[str, Any], after: Mapping[str, Any]) -> Event | None:
    if after.get("status") == "True":
        note = f"{after.get('reason')}: {after.get('message')}"
        return Event("Stalled", note, _occasion(before, after), warning=True)
    if before.get("status") == "True":
        note = f"{before.get('reason')} is resolved; the work goes on."
        return Event("Resumed", note, _occasion(before, after))
    return None


def _paused(before: Mapping[str, Any], after: Mapping[str, Any]) -> Event | None:
    if after.get("status") == "True":
        return Event("Suspended", str(after.get("message")), _occasion(before, after))
    if before.get("status") == "True":
        return Event("Unsuspended", "Azure and the units are written to again.", _occasion(before, after))
    return None


def _synced(before: Mapping[str, Any], after: Mapping[str, Any]) -> Event | None:
    if after.get("status") == "True":
        return Event("Synced", "Azure is as the manifest wants it.", _occasion(before, after))
    return _drift(before, after)


def _drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> Event | None:
    if after.get("reason") == "Drift":
        note = f"Not repaired, because nothing may be written: {after.get('message')}"
        return Event("DriftFound", note, _occasion(before, after), warning=True)
    return None


_REPORTS: Final = {
    ConditionType.STALLED: _stalled,
    ConditionType.PAUSED: _paused,
    ConditionType.AZURE_SYNCED: _synced,
    ConditionType.HA_SYNCED: _drift,
}


UNIT_CHANGES: Final[Mapping[type, str]] = {
    unit_changes.WriteSharedSecret: "SharedSecretWritten",
    unit_changes.WriteMode: "ModeWritten",
    unit_changes.WriteParameters: "ParametersWritten",
    unit_changes.WriteAgentInputs: "AgentInformed",
    unit_changes.Reboot: "RebootStarted",
    unit_changes.PutCertificate: "CertificateWritten",
    unit_changes.DeleteCertificate: "CertificateRemoved",
    unit_changes.AddService: "ServiceAdded",
    unit_changes.ModifyService: "ServiceChanged",
    unit_changes.DeleteService: "ServiceRemoved",
    unit_changes.AddRealServer: "RealServersAdded",
    unit_changes.ModifyRealServer: "RealServersChanged",
    unit_changes.DeleteRealServer: "RealServersRemoved",
}
"""Reason of the Event for each kind of change of a unit."""


def change_applied(change: Change, *, drift: bool, occasion: str) -> Event:
    """The Event for one write that Azure has taken. `drift`: the manifest did not change, Azure did."""
    if not isinstance(change, Put):
        reason = "Deleted"
    elif change.if_match is None:
        reason = "Created"
    else:
        reason = "Updated"
    if drift:
        reason = "DriftRepaired"
    updated = isinstance(change, Put) and change.if_match is not None
    note = in_words(change) if drift or updated else _what(change)
    return Event(reason, note, occasion, warning=drift, action="Write")


def _what(change: Change) -> str:
    return str(change.resource) if isinstance(change, Put) else f"{change.resource}: {change.why}"


def operation_failed(operation: Operation, reason: str, message: str) -> Event:
    """The Event for a long-running operation that Azure accepted and did not bring to its end."""
    note = f"{operation.verb} {operation.resource}: {reason}: {message}"
    return Event("OperationFailed", note, operation.url, warning=True, action="Write")


def _note(text: str) -> str:
    short = shortened(text, NOTE_LIMIT)
    while len(short.encode()) > NOTE_LIMIT:
        short = shortened(short, len(short) * 9 // 10)
    return short


class EventAPI(Protocol):
    """The call of `kubernetes.Kubernetes` that is needed."""

    async def create_event(self, namespace: str, event: JSON) -> None:
        """Create it; the same name again is no error."""


class Recorder:
    """Writes Events about pairs. An Event that cannot be written is logged and does not hold up the work."""

    def __init__(self, api: EventAPI, *, instance: str) -> None:
        self._api = api
        self._instance = instance

    async def record(self, pair: JSON, event: Event) -> None:
        """Report one Event about the pair (as the API server returned it).

        Raises:
            LeaseLost: this process may not write any more.
        """
        level = logging.WARNING if event.warning else logging.INFO
        log.log(level, "%s: %s", event.reason, event.note, extra={"event": event.reason})
        metadata = pair["metadata"]
        try:
            await self._api.create_event(metadata["namespace"], self._body(metadata, event))
        except KubernetesError as problem:
            log.warning("The Event could not be written: %s", problem)

    def _body(self, metadata: JSON, event: Event) -> JSON:
        told = "\n".join((metadata["uid"], event.reason, event.note, event.occasion))
        digest = hashlib.sha256(told.encode()).hexdigest()[:16]
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "note": _note(event.note),
            "action": event.action,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
            "regarding": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
        }
