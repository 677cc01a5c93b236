"""What `loadmaster-agent status`, `switchover`, `drain` and the like do in the node process.

The same as the management API's extension commands, without a password: `local_control` carries it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from loadmaster_ha.agent.certificates import Identity
from loadmaster_ha.agent.local_control import ControlRefused, Handler
from loadmaster_ha.agent.process.unit import AGENT_VERSION, NodeUnit
from loadmaster_ha.domain.ha import Role, UnitState


class Administration:
    """The commands.

    Args:
        unit: the node.
        identities: the certificates of the management API and of the partner link at the moment.
        more: what `status` tells beyond the engine and the link.
    """

    def __init__(
        self,
        unit: NodeUnit,
        identities: Callable[[], tuple[Identity, Identity]],
        more: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._unit = unit
        self._identities = identities
        self._more = more

    def handlers(self) -> dict[str, Handler]:
        """For `local_control.Control`."""
        return {
            "status": self._status,
            "switchover": self._switchover,
            "drain": self._drain,
            "undrain": self._undrain,
            "fingerprint": self._fingerprint,
        }

    async def _status(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        view, link, now = self._unit.view(), self._unit.link_status(), self._unit.monotonic
        partner = view.partner
        return {
            "version": AGENT_VERSION,
            "mode": view.mode.value,
            "state": view.state.value,
            "reason": view.reason,
            "message": view.message,
            "activeSeconds": None if view.active_since is None else round(now - view.active_since, 1),
            "probedSecondsAgo": None if view.probed is None else round(now - view.probed, 1),
            "draining": view.draining,
            "held": view.held,
            "holdSeconds": None if view.hold_until is None else round(view.hold_until - now, 1),
            "switchover": view.switchover or None,
            "notices": [{"reason": each.reason, "message": each.message} for each in view.notices],
            "partner": {
                "address": link.peer,
                "is": view.partner_is,
                "mode": None if partner is None else partner.mode.value,
                "state": None if partner is None else partner.state.value,
                "linked": link.connected,
                "problem": link.last_error or None,
            },
            "synchronisation": {
                "pending": link.lag,
                "lastSuccess": None
                if link.last_success is None
                else link.last_success.isoformat(timespec="seconds"),
            },
            **self._more(),
        }

    async def _switchover(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request.get("undo"):
            self._unit.undo_hold()
            return {"outcome": "Undone", "message": "the hold is over"}
        view = self._unit.view()
        role = view.mode.role
        if role is None:
            raise ControlRefused("this unit has no partner to switch over to: HA is not configured")
        other = role.partner if view.state is UnitState.ACTIVE else role
        to = Role(str(request["to"]).capitalize()) if "to" in request else other
        ended = await self._unit.switchover(to, request.get("hold"))
        if not ended.done:
            raise ControlRefused(f"switch-over aborted ({ended.reason}): {ended.message}")
        return {"outcome": "Done", "reason": ended.reason, "message": ended.message}

    async def _drain(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._unit.drain(request.get("seconds"))
        return {"outcome": "Draining", "message": "new connections go to the other unit, if it can serve"}

    async def _undrain(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._unit.undrain()
        return {"outcome": "Undrained", "message": "the drain is over"}

    async def _fingerprint(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        management, link = self._identities()
        return {"management": management.fingerprint_text, "link": link.fingerprint_text}
