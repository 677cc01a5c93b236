"""The real `az`, signed in to an emulator; each call is a process of its own, as for a person at a terminal.

The Azure CLI comes from `hack/azcli.py`. Its configuration and tokens live in a folder of their own, so
that whoever runs the tests stays signed in to the real Azure, or not, as before.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TENANT = "99999999-8888-7777-6666-555555555555"
CLIENT = "00000000-0000-0000-0000-0000000000aa"
SECONDS = 120
"""A safety limit; a command takes about a second on an idle machine."""


class AzError(Exception):
    """`az` ended with an error; `message` is what it told the person at the terminal."""

    def __init__(self, command: list[str], code: int, message: str) -> None:
        super().__init__(f"az {' '.join(command)} ended with {code}:\n{message}")
        self.message = message


@dataclass
class Az:
    """One signed-in Azure CLI.

    Args:
        python: the Python of the CLI's environment (`azcli.python()`).
        home: an empty folder for its configuration and tokens.
        endpoint: `https://host:port` of the emulator.
        ca_file: the certificate authority to trust for it.
    """

    python: Path
    home: Path
    endpoint: str
    ca_file: Path
    count: int = field(default=0, init=False)
    """Commands run so far."""

    def sign_in(self) -> None:
        """Register the emulator as a cloud of its own and sign in with a service principal."""
        self.run("cloud", "register", "-n", "Emulator", "--endpoint-resource-manager", self.endpoint)
        self.run("cloud", "set", "-n", "Emulator")
        self.run("login", "--service-principal", "-u", CLIENT, "-p", "any-secret", "--tenant", TENANT)

    def run(self, *arguments: str) -> Any:
        """Run one command; its parsed output, or `None` when it prints nothing.

        Raises:
            AzError: it ended with an error.
        """
        self.count += 1
        command = [str(self.python), "-m", "azure.cli", *arguments, "--output", "json"]
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode != 0:
            raise AzError(list(arguments), done.returncode, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def environment(self) -> dict[str, str]:
        """The variables with which `az` is this one, signed in to the emulator."""
        ours = ("AZURE_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {
            "AZURE_CONFIG_DIR": str(self.home),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_NO_COLOR": "true",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
            "AZURE_CORE_SURVEY_MESSAGE": "false",
            "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "NO_PROXY": "localhost,127.0.0.1",
        }
