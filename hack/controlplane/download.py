"""Download the official releases of Kubernetes and etcd, verified by their published checksums.

Called by `binaries`, which builds from source when this raises. A machine without a way out
must learn so within seconds: the connection has a short limit, the transfer a longer one.
"""

import hashlib
import http.client
import shutil
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from controlplane.versions import Versions, architecture

CONNECT_SECONDS = 4.0
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Releases:
    """Base addresses of the two projects' releases."""

    kubernetes: str
    etcd: str


OFFICIAL = Releases("https://dl.k8s.io/release", "https://github.com/etcd-io/etcd/releases/download")


class DownloadError(Exception):
    """A release could not be fetched or did not match its checksum."""


def fetch(
    folder: Path,
    versions: Versions,
    say: Callable[[str], None],
    releases: Releases = OFFICIAL,
) -> None:
    """Put kube-apiserver, kubectl and etcd into `folder`.

    Args:
        folder: exists; is left with leftovers when this raises.
        versions: which ones.
        say: told what is done.
        releases: where they are.

    Raises:
        DownloadError: not reachable, not there, or the checksum differs.
    """
    machine = architecture()
    try:
        for name in ("kube-apiserver", "kubectl"):
            address = f"{releases.kubernetes}/{versions.kubernetes}/bin/linux/{machine}/{name}"
            published = _read(f"{address}.sha512").decode("ascii", "replace").split()
            say(f"downloading {address}")
            _save(address, folder / name, hashlib.sha512(), published[0] if published else "")
        base = f"{releases.etcd}/{versions.etcd}"
        _fetch_etcd(folder, base, f"etcd-{versions.etcd}-linux-{machine}", say)
    except (OSError, http.client.HTTPException, tarfile.TarError, KeyError) as error:
        raise DownloadError(str(error)) from error


def _fetch_etcd(folder: Path, base: str, name: str, say: Callable[[str], None]) -> None:
    """The release is an archive; its checksum stands in a list of all archives."""
    archive = f"{name}.tar.gz"
    lines = [line.split() for line in _read(f"{base}/SHA256SUMS").decode("ascii", "replace").splitlines()]
    published = {fields[1]: fields[0] for fields in lines if len(fields) == 2}
    say(f"downloading {base}/{archive}")
    packed = folder / archive
    _save(f"{base}/{archive}", packed, hashlib.sha256(), published.get(archive, ""))
    with tarfile.open(packed) as opened:
        member = opened.extractfile(f"{name}/etcd")
        if member is None:
            raise DownloadError(f"{archive} has no file {name}/etcd")
        with (folder / "etcd").open("wb") as target:
            shutil.copyfileobj(member, target)
    (folder / "etcd").chmod(0o755)
    packed.unlink()


def _open(address: str) -> IO[bytes]:
    # The addresses are our constants (or a test's); no user input gets here.
    opened = urllib.request.urlopen(address, timeout=CONNECT_SECONDS)  # noqa: S310 - constant https addresses
    return cast("IO[bytes]", opened)


def _read(address: str) -> bytes:
    with _open(address) as response:
        return response.read(1 << 16)


def _save(address: str, target: Path, digest: "hashlib._Hash", published: str) -> None:
    """Stream `address` to an executable file and compare its digest with the published one."""
    with _open(address) as response, target.open("wb") as out:
        for chunk in iter(lambda: response.read(CHUNK_BYTES), b""):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != published.lower():
        target.unlink()
        raise DownloadError(
            f"{address} has the checksum {digest.hexdigest()}, its publisher says {published or 'nothing'}"
        )
    target.chmod(0o755)
