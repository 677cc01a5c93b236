"""Asking the child: `messages` over its standard input and output, keys never elsewhere.

How long reading takes is up to whoever made the file: a protected one says how often its password is to be
hashed, and the library does so in one piece. The child has limits of time and of memory, and the unit goes on
meanwhile.
"""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from loadmaster_ha.agent.certificate_work.messages import (
    CPU_SECONDS,
    MEMORY,
    OUT_OF_MEMORY,
    CertificateUnusable,
    Request,
    TooMuchWork,
    WorkFailed,
)

_TIME_LIMIT: Final = 25.0
"""Seconds, on a machine that has much else to do."""
_CHILDREN: Final = 2
"""At a time, as each takes 30 MiB. `service_certificates` lets one at most of them be one that takes long."""
_turns: Final = asyncio.Semaphore(_CHILDREN)
_COMMAND: Final = (sys.executable, "-P", "-m", "loadmaster_ha.agent.certificate_work.worker")
_EXCESSIVE: Final = frozenset({-signal.SIGKILL, -signal.SIGXCPU, OUT_OF_MEMORY})
_SHOWN: Final = 200


async def done(request: Request) -> Any:
    """Have one thing done, as soon as it is its turn; its result.

    Raises:
        CertificateUnusable: what the request brings is no good.
        WorkFailed: the child could not be started, or did not get to the end of it (TooMuchWork).
    """
    async with _turns:
        (result,) = await _elsewhere([request])
    if isinstance(result, CertificateUnusable):
        raise result
    return result


def done_now(requests: Sequence[Request]) -> list[Any | CertificateUnusable]:
    """Have several things done by one child while the process waits: for its start. Refusals are results.

    Raises:
        WorkFailed: the child could not be started, or did not get to the end of it (TooMuchWork).
    """
    try:
        ended = subprocess.run(  # noqa: S603 - a program of our own
            _COMMAND, input=_asked(requests), capture_output=True, timeout=_TIME_LIMIT, check=False
        )
    except OSError as problem:
        raise _not_started(problem) from problem
    except subprocess.TimeoutExpired:
        raise _too_much() from None
    return _results(ended.returncode, ended.stdout, ended.stderr)


async def _elsewhere(requests: Sequence[Request]) -> list[Any | CertificateUnusable]:
    try:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as problem:
        raise _not_started(problem) from problem
    try:
        async with asyncio.timeout(_TIME_LIMIT):
            out, problems = await process.communicate(_asked(requests))
    except TimeoutError:
        raise _too_much() from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _results(process.returncode, out, problems)


def _asked(requests: Sequence[Request]) -> bytes:
    return json.dumps([dict(each) for each in requests]).encode()


def _results(status: int | None, out: bytes, problems: bytes) -> list[Any | CertificateUnusable]:
    if status in _EXCESSIVE:
        raise _too_much()
    if status != 0:
        last = problems.decode("utf-8", "replace").strip().rpartition("\n")[2][:_SHOWN]
        raise WorkFailed(f"the process that reads certificates ended with status {status}: {last}")
    return [
        CertificateUnusable(answer["refused"]) if "refused" in answer else answer["result"]
        for answer in json.loads(out)
    ]


def _not_started(problem: OSError) -> WorkFailed:
    return WorkFailed(f"the process that reads certificates cannot be started: {problem.strerror}")


def _too_much() -> TooMuchWork:
    return TooMuchWork(
        f"reading it takes more than {CPU_SECONDS} s, or more than {MEMORY // 1024 // 1024} MiB"
    )
