"""Find kube-apiserver, etcd and kubectl, or get them.

The order: the folder in `KUBEBUILDER_ASSETS` (the variable that controller-runtime's envtest uses),
our versioned cache, the official releases (`download`), a build from the pinned Go modules
(`build`). `find` only looks; `ensure` also gets them, once, however many processes ask.
The versions stand in go.mod beside this file and nowhere else.
"""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bootstrap import cache_home
from controlplane import build, download
from controlplane.errors import ControlPlaneError
from controlplane.versions import HERE, architecture, versions

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
HOW_TO_GET = "Run `make control-plane` (or `python3 hack/controlplane ensure`) to download or build them"


def cache_folder() -> Path:
    """Where the programs of the pinned versions stand on this kind of machine."""
    pinned = versions()
    machine = f"{sys.platform}-{architecture()}"
    return cache_home() / "controlplane" / f"kubernetes-{pinned.kubernetes}-etcd-{pinned.etcd}-{machine}"


def find() -> Path:
    """Give the folder that holds all the programs, without getting anything.

    Raises:
        ControlPlaneError: `KUBEBUILDER_ASSETS` is set to a folder that lacks a program, or
            it is not set and the cache does not have them.
    """
    explicit = os.environ.get(ASSETS_VARIABLE)
    if explicit:
        lacking = _lacking(Path(explicit))
        if lacking:
            raise ControlPlaneError(
                f"{ASSETS_VARIABLE}={explicit} has no executable {', '.join(lacking)}. "
                f"Name a folder that holds {', '.join(PROGRAMS)}, or unset the variable"
            )
        return Path(explicit)
    folder = cache_folder()
    lacking = _lacking(folder)
    if lacking:
        raise ControlPlaneError(f"{folder} has no executable {', '.join(lacking)}. {HOW_TO_GET}")
    return folder


def ensure(say: Callable[[str], None], releases: download.Releases = download.OFFICIAL) -> Path:
    """Give the folder that holds all the programs; download or build them if need be.

    Args:
        say: told, a line at a time, what is done and how long it may take.
        releases: where a download is tried.

    Raises:
        ControlPlaneError: as `find`, or neither the download nor the build went through.
    """
    if os.environ.get(ASSETS_VARIABLE):
        return find()
    folder = cache_folder()
    if not _lacking(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock"), say):
        if _lacking(folder):  # the one before us in the queue may have got them
            _obtain(folder, releases, say)
    return folder


def _lacking(folder: Path) -> list[str]:
    return [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]


def _obtain(folder: Path, releases: download.Releases, say: Callable[[str], None]) -> None:
    """Download or build into a folder beside `folder` and rename it: all programs or none."""
    pinned = versions()
    staging = Path(tempfile.mkdtemp(prefix="incoming-", dir=folder.parent))
    try:
        try:
            download.fetch(staging, pinned, say, releases)
        except download.DownloadError as error:
            say(f"the official download is not to be had ({error}); building from the pinned modules")
            build.build(staging, HERE, pinned.kubernetes, cache_home(), say)
        shutil.rmtree(folder, ignore_errors=True)
        staging.chmod(0o755)  # mkdtemp's 0700 would keep other users of a shared cache out
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    say(f"control plane programs are in {folder}")


@contextlib.contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel lets it go when the holder dies."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is getting the control plane; waiting for {path}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
