"""`make demo`: the operator's main job, live in a terminal, on this machine alone.

One manifest becomes the guide's set-up in an emulated Azure; a rule removed behind the operator's
back comes back; a changed field is changed there; the deletion leaves exactly what was not the
operator's. Ends 0, with nothing left running, unless something of that did not happen. KEEP=1 leaves
all of it running until Ctrl-C; KUBECONFIG names a cluster to use instead of an API server of its own.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HACK), str(HACK.parent)]

from demo.story import Story  # noqa: E402 - found through the path set above
from lab.processes import ProcessFailed  # noqa: E402
from lab.stage import open_stage  # noqa: E402

AZURE_LATENCY_SECONDS = 0.2


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
                say=print,
            ) as stage:
                story = Story(stage)
                await story.prepare()
                async with stage.operator("operator", f"--namespace={story.namespace}"):
                    print("the operator runs")
                    await story.tell(keep=keep)
        except (ProcessFailed, TimeoutError, AssertionError) as failure:
            print(f"\nThe demo stopped: {type(failure).__name__}: {failure}", file=sys.stderr)
            _show_log(Path(folder) / "operator.log")
            return 1
    return 0


def _show_log(log: Path) -> None:
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines()[-20:]
        print("The operator's last lines:", *lines, sep="\n  ", file=sys.stderr)


async def _until_interrupted() -> int:
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    print("\nStopped; nothing is left running.")
    return 130


if __name__ == "__main__":
    sys.exit(asyncio.run(_until_interrupted()))
