"""An operator process with everything around it: API server, emulator, and the proxy between them.

What the fault and bad-input tests share: one `Rig` is one operator that serves one namespace and reaches
Azure through a proxy of its own. Several rigs can use one API server and one emulator. Neighbours:
`operator.py` and `emulator.py` start the processes, `life.py` and the tests use them.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.arm_proxy import ArmProxy
from tests.support.confined import confined_kubeconfig
from tests.support.live_pairs import LivePairs
from tests.support.operator import OperatorProcess
from tests.support.world import Arm

from controlplane.server import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.emulator import Emulator

    from controlplane.server import ControlPlane


@dataclass(frozen=True)
class Stage:
    """Where rigs are put up."""

    plane: ControlPlane
    emulator: Emulator
    directory: Path


@dataclass(frozen=True)
class Rig:
    """An operator at work. `arm` is somebody else's access to the same Azure, past the proxy."""

    arm: Arm
    pairs: LivePairs
    proxy: ArmProxy
    operator: OperatorProcess
    lease_namespace: str

    async def kill_operator(self) -> None:
        """`kill -9`."""
        await asyncio.to_thread(self.operator.kill)

    async def restart_operator(self) -> None:
        """Start the operator again after a kill.

        The killed one leaves its Lease behind, held for up to 15 s. It is deleted here, to save the time:
        the election has tests of its own.
        """
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{self.lease_namespace}/leases/loadmaster-operator"
        with contextlib.suppress(ApiError):
            await self.pairs.request("DELETE", lease)
        await asyncio.to_thread(self.operator.start)


@asynccontextmanager
async def rigged(
    stage: Stage, name: str, *, lease_elsewhere: bool = False, confined: bool = False, **settings: object
) -> AsyncIterator[Rig]:
    """Put a rig up in a new namespace, with sound credentials in the Secret `azure`; take it down again.

    With `lease_elsewhere` the operator is no guest of its pairs' namespace, which may then be deleted.
    `confined`: its rights end at the namespace. `settings` are the operator's, by field of `Settings`.
    """
    directory = stage.directory / name
    async with (
        Arm(stage.emulator.url, stage.emulator.ca_file) as arm,
        ArmProxy(stage.emulator.url, stage.emulator.ca_file, directory) as proxy,
    ):
        namespace = await asyncio.to_thread(stage.plane.create_namespace, name)
        lease_namespace = namespace
        if lease_elsewhere:
            lease_namespace = await asyncio.to_thread(stage.plane.create_namespace, f"{name}-operator")
        flags: dict[str, object] = {"lease_namespace": lease_namespace, **settings}
        if confined:
            flags["kubeconfig"] = await asyncio.to_thread(
                confined_kubeconfig, stage.plane, namespace, directory
            )
        operator = OperatorProcess(stage.plane, namespace, proxy.url, proxy.ca_file, directory, flags=flags)
        pairs = LivePairs(stage.plane, namespace, operator.tail)
        await pairs.put_secret()
        try:
            await asyncio.to_thread(operator.start)
            yield Rig(arm, pairs, proxy, operator, lease_namespace)
        finally:
            await asyncio.to_thread(operator.kill)
