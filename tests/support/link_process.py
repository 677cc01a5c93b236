"""One partner link in a process of its own, to be killed and frozen: `... FOLDER OWN PORT PARTNER`.

Prints `up`, `down REASON` and `heard KIND` as they happen, and sends a report a tenth of a second.
"""

import asyncio
import sys
from pathlib import Path

from loadmaster_ha.agent.link.partner import LinkSettings, PartnerLink
from loadmaster_ha.agent.link.tls import link_identity

SECRET = "correct-horse-battery"


class _Printer:
    def up(self, _peer: object) -> None:
        print("up", flush=True)  # noqa: T201 - read by the test

    def down(self, end: str) -> None:
        print("down", end, flush=True)  # noqa: T201

    def message(self, kind: str, _body: object) -> None:
        print("heard", kind, flush=True)  # noqa: T201


async def _main(folder: str, own: str, port: str, partner: str) -> None:
    settings = LinkSettings(own, int(port), partner, SECRET)
    link = PartnerLink(link_identity(Path(folder)), lambda: settings, _Printer(), agent_version="0.1.0")
    task = asyncio.create_task(link.run())
    while not task.done():
        link.send("report", {})
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
