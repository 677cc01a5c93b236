"""`make demo`: Kemp's guide in one go, live in a terminal, on this machine alone.

Two fresh units (HAProxy nodes with our agent) and a network in an emulated Azure; one manifest makes a pair
of them that serves a website over HTTPS. Then the active unit is killed under load; the other one is switched
over without a lost request; and what somebody deleted in Azure and on a unit comes back. Ends 0, with nothing
left running, unless something of that did not happen. KEEP=1 leaves it running until Ctrl-C; KUBECONFIG names
a cluster to use instead of an API server of its own.
"""

import signal

# Until there is something to clean up, Ctrl-C just ends the program, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# ruff: noqa: E402 - the line above has to come first, the path below before our own modules
import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HACK), str(HACK.parent)]

from controlplane.errors import ControlPlaneError
from demo.story import Story
from demo.voice import Voice
from lab.cluster import ClusterUnsuitable
from lab.first_pair import NAMESPACE, open_first_pair
from lab.processes import ProcessFailed
from loadmaster_ha.controller.kubernetes import KubernetesError, NoCluster

AZURE_LATENCY_SECONDS = 0.2
GUEST_NAMESPACE = "loadmaster-demo-"
"""Where the demo works in a cluster that is not its own: a new namespace that begins so."""
FAILURES = (
    AssertionError,
    ClusterUnsuitable,
    ControlPlaneError,
    KubernetesError,
    NoCluster,
    OSError,  # TimeoutError and a server that does not answer among them
    ProcessFailed,
)


async def main() -> int:
    """Tell the whole story; 0 when everything happened as it should."""
    given = os.environ.get("KUBECONFIG")
    keep = os.environ.get("KEEP") == "1"
    voice = Voice()
    with tempfile.TemporaryDirectory(prefix="loadmaster-demo-") as folder:
        try:
            async with open_first_pair(
                Path(folder),
                latency=AZURE_LATENCY_SECONDS,
                configuration={"failover": {"drainSeconds": 6, "finishSeconds": 5}},
                kubeconfig=Path(given) if given else None,
                namespace=GUEST_NAMESPACE + secrets.token_hex(4) if given else NAMESPACE,
                say=voice.say,
            ) as first:
                await Story(first, voice).tell(keep=keep)
        except FAILURES as failure:
            said = str(failure) or "something that should have happened did not within two minutes"
            print(f"\nThe demo stopped: {said}", file=sys.stderr)
            _show_logs(Path(folder))
            return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _show_logs(folder: Path) -> None:
    for log in sorted(folder.rglob("*.log")):
        _show_log(log)


def _show_log(log: Path) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
    print(f"The last lines of {log.parent.name}/{log.name}:", *lines, sep="\n  ", file=sys.stderr)


async def _until_interrupted() -> int:
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, task)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    _say("Nothing is left running.")
    return 0 if os.environ.get("KEEP") == "1" else 130  # with KEEP=1 it is how the demo ends


def _end(task: asyncio.Task[int]) -> None:
    if not task.cancelling():  # a second Ctrl-C must not cut the cleaning up short
        _say("\nStopping ...")
        task.cancel()


if __name__ == "__main__":
    sys.exit(asyncio.run(_until_interrupted()))
