"""What every lane does around its visit of a pair; `pair` and `units.lane` are such lanes.

It names the pair in the log, survives refusals of the Kubernetes API, and forgets a pair that has gone only
when nobody visits it any more.
"""

import abc
import logging

from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.lease import LeaseLost
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.workqueue import Next, Visit, VisitOutcome
from loadmaster_ha.telemetry.logs import about


class Visitor(abc.ABC):
    """Base of a lane. The queue never visits a pair twice at a time."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._visited: set[PairKey] = set()
        self._leaving: set[PairKey] = set()

    async def visit(self, visit: Visit[PairKey]) -> Next:
        """Visit one pair; what the queue calls."""
        self._visited.add(visit.key)
        with about(namespace=visit.key.namespace, name=visit.key.name):
            try:
                return await self._visit(visit)
            except LeaseLost as lost:
                self._log.error("Nothing more is written: %s", lost)
            except KubernetesError as problem:
                self._log.warning("The visit broke off, the Kubernetes API said: %s", problem)
            finally:
                self._visited.discard(visit.key)
                if visit.key in self._leaving:
                    await self.forget(visit.key)
            return Next(VisitOutcome.ERROR)

    @abc.abstractmethod
    async def forget(self, key: PairKey) -> None:
        """The pair is gone."""

    @abc.abstractmethod
    async def _visit(self, visit: Visit[PairKey]) -> Next:
        """The visit itself."""
