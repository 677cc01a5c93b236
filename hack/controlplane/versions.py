"""Which versions go.mod pins, and for which kind of machine; read by `binaries` and `download`."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import ControlPlaneError

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Versions:
    """The versions that go.mod pins, each with its leading `v`."""

    kubernetes: str
    etcd: str


def versions(go_mod: Path = HERE / "go.mod") -> Versions:
    """Read the pinned versions from go.mod.

    Raises:
        ControlPlaneError: go.mod requires one of the two modules in no line.
    """
    text = go_mod.read_text(encoding="utf-8")

    def required(module: str) -> str:
        found = re.search(rf"^\s+{re.escape(module)} (v[0-9.]+)( // indirect)?$", text, re.MULTILINE)
        if found is None:
            raise ControlPlaneError(f"{go_mod} requires no {module}: restore the file from git")
        return found[1]

    return Versions(kubernetes=required("k8s.io/kubernetes"), etcd=required("go.etcd.io/etcd/server/v3"))


def architecture() -> str:
    """This machine's architecture by Go's name for it."""
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
