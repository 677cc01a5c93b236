"""Where the watch lane gets its means of asking: the units' clients, and the session with Azure.

Both are the other lanes' own, so that the pace of calls and the budget hold for all of them together.
"""

from collections.abc import Callable
from typing import Protocol

from loadmaster_ha.azure.session import AzureSession
from loadmaster_ha.azure.sessions import Sessions
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.secrets import SecretProblem
from loadmaster_ha.controller.watching.model import WatchFacts
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent, Present, Reading, Unknown
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.planning.target import PairTarget
from loadmaster_ha.resources.units import Unit


class Clients(Protocol):
    """What of `unit_sessions.UnitSessions` is needed."""

    async def get(self, pair: PairKey, role: Role, unit: Unit, address: str) -> Caller:
        """The unit's client."""

    def last(self, pair: PairKey, role: Role) -> Caller | None:
        """The one that was given last."""


class Units:
    """The units' clients, by what the manifest and the exchange say of them now.

    Args:
        clients: who makes them.
        target: the manifest of a pair; None: it cannot be understood, or is gone.
        facts: what is to be watched of a pair.
    """

    def __init__(
        self,
        clients: Clients,
        target: Callable[[PairKey], PairTarget | None],
        facts: Callable[[PairKey], WatchFacts | None],
    ) -> None:
        self._clients, self._target, self._facts = clients, target, facts

    async def caller(self, key: PairKey, role: Role) -> Reading[Caller]:
        """See `model.UnitsSource`."""
        target, facts = self._target(key), self._facts(key)
        if target is None or facts is None:
            return Absent()
        unit = target.spec.master if role is Role.MASTER else target.spec.slave
        address = facts.addresses.get(role)
        if address is None and unit.management.address is None:
            return Unknown("AddressNotKnown", "Its address is not known yet.")
        try:
            return Present(await self._clients.get(key, role, unit, address or ""))
        except SecretProblem as problem:
            return Unknown(problem.reason.value, problem.message)
        except KubernetesError as problem:
            # Watching goes on while the API server is away.
            if (last := self._clients.last(key, role)) is not None:
                return Present(last)
            return Unknown("ApiServerUnavailable", f"Its Secret cannot be read now: {problem}")


class AzureLanes:
    """The sessions of the Azure lane, which leases them for its pairs."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def azure_session(self, key: PairKey) -> AzureSession | None:
        """See `model.AzureSource`."""
        return self._sessions.held(key)
