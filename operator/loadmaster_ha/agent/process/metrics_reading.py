"""What the metrics say at a scrape, gathered from the parts that count (`telemetry.agent.Reading`)."""

import time
from collections.abc import Mapping

from loadmaster_ha.agent.certificates import Identity
from loadmaster_ha.agent.ha.model import LinkEnd
from loadmaster_ha.agent.link.counters import Counters
from loadmaster_ha.agent.link.handshake import Refusal
from loadmaster_ha.agent.process.effects import Tally
from loadmaster_ha.agent.process.responder import SOURCES
from loadmaster_ha.agent.process.supervision import Counts
from loadmaster_ha.agent.process.unit import AGENT_VERSION, Parts
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.agent.settings.status import OPERATIONS
from loadmaster_ha.telemetry.agent import Reading, Values

_REFUSALS = ("tls", "busy", *(str(refusal.value) for refusal in Refusal))


def reading(
    parts: Parts, *, tally: Tally, counts: Counts, starts: int, restarts: int, management: Identity
) -> Reading:
    """Everything at this instant.

    Args:
        parts: of the node.
        tally: what the engine did.
        counts: of the health port.
        starts: of HAProxy.
        restarts: of the node process.
        management: the management API's certificate.
    """
    view, sync = parts.engine.view(), parts.synchronisation.status()
    plane, counters = parts.serving.plane, parts.link.counters
    success = None
    if sync.last_success is not None:
        success = time.time() - (parts.engine.clock() - sync.last_success)
    return Reading(
        version=AGENT_VERSION,
        mode=view.mode.value,
        state=view.state.value,
        state_changes={key: float(count) for key, count in dict(tally.transitions).items()},
        switchovers={(outcome,): float(tally.switchovers[outcome]) for outcome in ("Done", "Aborted")},
        notices=sorted({notice.reason for notice in view.notices}),
        partner_up=parts.link.status().connected,
        link_refused=_refused(counters),
        health_requests=_requests(counts.totals),
        last_probe=counts.last_probe,
        sync_operations={
            (direction.value, result.value): float(sync.operations.get((direction, result), 0))
            for direction, result in OPERATIONS
        },
        sync_lag=sync.lag,
        sync_pending=sync.pending,
        sync_lost=sync.lost,
        sync_last_success=success,
        haproxy_up=plane.health.healthy,
        haproxy_starts=starts,
        haproxy_reloads={(outcome,): float(count) for outcome, count in plane.reloads.items()},
        services_rejected=len(plane.outcome.rejected),
        settings={(kind.value,): float(len(parts.store.snapshot.entities(kind))) for kind in Kind},
        node_restarts=restarts,
        certificate_expiry=management.not_after.timestamp(),
    )


def _refused(counters: Counters) -> Values:
    """Handshakes by the side's reason, and links lost or not made by why."""
    found: dict[tuple[str, ...], float] = {("stranger",): counters.strangers}
    found |= {(reason,): counters.refused[reason] for reason in _REFUSALS}
    return found | {(end.value,): counters.ends[end] for end in LinkEnd if end is not LinkEnd.CLOSED}


def _requests(totals: Mapping[tuple[str, int, int], int]) -> Values:
    found: dict[tuple[str, ...], float] = {
        (source, code): 0.0 for source in SOURCES for code in ("200", "503")
    }
    for (source, _, code), count in totals.items():
        found[source, str(code)] = found.get((source, str(code)), 0.0) + count
    return found
