"""`make demo`: the operator's main job, live in a terminal, on this machine alone.

One manifest becomes the guide's set-up in an emulated Azure; a rule removed behind the operator's
back comes back; a changed field is changed there; the deletion leaves exactly what was not the
operator's. Ends 0, with nothing left running, unless something of that did not happen. KEEP=1 leaves
all of it running until Ctrl-C; KUBECONFIG names a cluster to use instead of an API server of its own.
"""

import signal

# Until there is something to clean up, Ctrl-C just ends the program, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# ruff: noqa: E402 - the line above has to come first, the path below before our own modules
import asyncio
import contextlib
import os
import sys
import tempfile
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HACK), str(HACK.parent)]

from controlplane.errors import ControlPlaneError
from demo.story import Story
from lab.cluster import ClusterUnsuitable
from lab.processes import ProcessFailed
from lab.stage import open_stage
from loadmaster_ha.controller.kubernetes import KubernetesError, NoCluster

AZURE_LATENCY_SECONDS = 0.2
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
    with tempfile.TemporaryDirectory(prefix="loadmaster-demo-") as folder:
        try:
            async with open_stage(
                Path(folder),
                latency=AZURE_LATENCY_SECONDS,
                kubeconfig=Path(given) if given else None,
                say=_say,
            ) as stage:
                story = Story(stage)
                async with (
                    story.prepared(),
                    stage.operator("operator", f"--namespace={story.namespace}", "--log-format=text"),
                ):
                    _say("the operator runs")
                    await story.tell(keep=keep)
        except FAILURES as failure:
            said = str(failure) or "something that should have happened did not within two minutes"
            print(f"\nThe demo stopped: {said}", file=sys.stderr)
            _show_log(Path(folder) / "operator.log")
            return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _show_log(log: Path) -> None:
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines()[-20:]
        print("The operator's last lines:", *lines, sep="\n  ", file=sys.stderr)


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
