"""Kemp's own Python client, which customers automate LoadMasters with, run against a served management API.

It lives in an environment of its own (`hack/kempclient.py`), so each piece of code runs in a process of its
Python, with `lm` connected, and gives back what it assigns to `result`.
"""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 120
"""A safety limit."""

_PRELUDE = """
import json, sys, warnings
warnings.simplefilter("ignore")
from python_kemptech_api.models import LoadMasterGeo
from python_kemptech_api import exceptions
given = json.load(sys.stdin)
lm = LoadMasterGeo(given["host"], given["user"], given["password"], given["port"])
result = None
"""
_END = """
print("\\n" + json.dumps(result, default=str))
"""


class ClientError(Exception):
    """The code ended with an error; the message is the client's output."""


@dataclass(frozen=True)
class KempClient:
    """The client, bound to one unit.

    Args:
        python: the Python of the client's environment (`kempclient.python()`).
        port: where the unit's API listens.
        user, password: who calls.
        folder: where the code runs; the client writes its files there.
    """

    python: Path
    port: int
    user: str
    password: str
    folder: Path
    host: str = "127.0.0.1"
    enter: Callable[[], None] | None = None
    """Called in the client's process before it starts: moves it into a network namespace."""

    async def run(self, code: str, **given: Any) -> Any:
        """Run code; what it assigned to `result`. What is given is there as the dictionary `given`.

        Raises:
            ClientError: it raised something.
        """
        program = _PRELUDE + textwrap.dedent(code) + _END
        process = await asyncio.create_subprocess_exec(
            str(self.python),
            "-c",
            program,
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=self.enter,
        )
        facts = {"host": self.host, "user": self.user, "password": self.password, "port": self.port, **given}
        try:
            async with asyncio.timeout(SECONDS):
                out, err = await process.communicate(json.dumps(facts).encode())
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            raise ClientError(err.decode())
        sys.stderr.write(err.decode())
        return json.loads(out.decode().strip().rpartition("\n")[2])
