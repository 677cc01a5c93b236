import hashlib
import http.server
import io
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from controlplane import binaries, download
from controlplane.errors import ControlPlaneError
from controlplane.versions import Versions, architecture, versions

NOWHERE = download.Releases("http://127.0.0.1:1", "http://127.0.0.1:1")  # nothing listens on port 1
PINNED = versions()
FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.99.0; exit; fi
while [ "$1" != -o ]; do shift; done
echo "$3 $CGO_ENABLED" >> "$(dirname "$0")/built"
case "$3" in {broken}) echo "no space left on device"; exit 1;; esac
printf '#!/bin/sh\\n' > "$2"; chmod +x "$2"
"""


def put_programs(folder, names=binaries.PROGRAMS):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "cache" / "loadmaster-ha"


@pytest.fixture
def said():
    return []


@pytest.fixture
def fake_go(tmp_path, monkeypatch):
    """Put a compiler on PATH that makes empty programs; give a function that makes one package fail."""
    folder = tmp_path / "go"
    folder.mkdir()

    def fail_on(package):
        (folder / "go").write_text(FAKE_GO.replace("{broken}", f"*/{package}*"), encoding="utf-8")
        (folder / "go").chmod(0o755)
        return folder / "built"

    fail_on("none")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return fail_on


@pytest.fixture
def releases():
    """Serve releases as their publishers do; give the addresses and the files, by path."""
    files = {}
    for name in ("kube-apiserver", "kubectl"):
        path = f"/kubernetes/{PINNED.kubernetes}/bin/linux/{architecture()}/{name}"
        files[path] = f"program {name}".encode()
        files[f"{path}.sha512"] = hashlib.sha512(files[path]).hexdigest().encode()
    name = f"etcd-{PINNED.etcd}-linux-{architecture()}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(f"{name}/etcd")
        member.size = len(b"program etcd")
        archive.addfile(member, io.BytesIO(b"program etcd"))
    files[f"/etcd/{PINNED.etcd}/{name}.tar.gz"] = packed.getvalue()
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    files[f"/etcd/{PINNED.etcd}/SHA256SUMS"] = f"{'0' * 64}  other.zip\n{digest}  {name}.tar.gz\n".encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        yield download.Releases(f"{base}/kubernetes", f"{base}/etcd"), files
        server.shutdown()


def test_the_versions_come_from_the_pinned_modules(tmp_path):
    (tmp_path / "go.mod").write_text(
        "require (\n\tgo.etcd.io/etcd/server/v3 v3.1.2\n\tk8s.io/kubernetes v1.2.3 // indirect\n)\n",
        encoding="utf-8",
    )
    assert versions(tmp_path / "go.mod") == Versions(kubernetes="v1.2.3", etcd="v3.1.2")


def test_the_explicit_folder_comes_before_the_cache(tmp_path, monkeypatch, said):
    put_programs(binaries.cache_folder())
    explicit = put_programs(tmp_path / "mine")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(explicit))
    assert binaries.find() == explicit
    assert binaries.ensure(said.append, NOWHERE) == explicit


def test_an_explicit_folder_that_lacks_a_program_is_refused_and_never_filled(tmp_path, monkeypatch, said):
    explicit = put_programs(tmp_path / "mine", ["etcd", "kubectl"])
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(explicit))
    for look in (binaries.find, lambda: binaries.ensure(said.append, NOWHERE)):
        with pytest.raises(ControlPlaneError) as refused:
            look()
        assert f"KUBEBUILDER_ASSETS={explicit} has no executable kube-apiserver." in str(refused.value)
        assert "unset the variable" in str(refused.value)
    assert not (explicit / "kube-apiserver").exists()


def test_a_missing_cache_folder_is_named_with_what_to_run():
    with pytest.raises(ControlPlaneError) as refused:
        binaries.find()
    assert str(binaries.cache_folder()) in str(refused.value)
    assert "make control-plane" in str(refused.value)


def test_a_program_that_is_not_executable_counts_as_missing():
    folder = put_programs(binaries.cache_folder())
    (folder / "kubectl").chmod(0o644)
    with pytest.raises(ControlPlaneError, match="has no executable kubectl"):
        binaries.find()


def test_the_cache_is_used_without_asking_anybody(said):
    folder = put_programs(binaries.cache_folder())
    assert binaries.ensure(said.append, NOWHERE) == folder == binaries.find()
    assert said == []


def test_releases_are_downloaded_and_their_checksums_verified(releases, said):
    folder = binaries.ensure(said.append, releases[0])
    assert folder == binaries.cache_folder()
    for name in binaries.PROGRAMS:
        assert (folder / name).read_text(encoding="utf-8") == f"program {name}"
    assert sorted(path.name for path in folder.iterdir()) == sorted(binaries.PROGRAMS)


@pytest.mark.parametrize("damaged", ["kube-apiserver", ".tar.gz"])
def test_a_damaged_release_is_not_used(releases, damaged, tmp_path, said):
    addresses, files = releases
    (path,) = [path for path in files if path.endswith(damaged)]
    files[path] += b"x"
    with pytest.raises(download.DownloadError, match="has the checksum"):
        download.fetch(tmp_path, PINNED, said.append, addresses)


def test_a_release_without_a_published_checksum_is_not_used(releases, tmp_path, said):
    addresses, files = releases
    files[f"/etcd/{PINNED.etcd}/SHA256SUMS"] = b""
    with pytest.raises(download.DownloadError, match="its publisher says nothing"):
        download.fetch(tmp_path, PINNED, said.append, addresses)


def test_what_cannot_be_downloaded_is_built_without_c(fake_go, said):
    built = fake_go("none")
    assert binaries.ensure(said.append, NOWHERE) == binaries.find()
    assert built.read_text(encoding="utf-8").splitlines() == [
        "k8s.io/kubernetes/cmd/kube-apiserver 0",
        "k8s.io/kubernetes/cmd/kubectl 0",
        "go.etcd.io/etcd/server/v3 0",
    ]
    assert "the official download is not to be had" in said[0]


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_nothing_half_done(fake_go, cache, said):
    fake_go("etcd")
    with pytest.raises(ControlPlaneError) as failed:
        binaries.ensure(said.append, NOWHERE)
    assert "building go.etcd.io/etcd/server/v3 failed" in str(failed.value)
    assert "no space left on device" in str(failed.value)
    assert not binaries.cache_folder().exists()
    assert list((cache / "controlplane").glob("incoming-*")) == []


def test_processes_that_ask_at_once_build_once(fake_go, said):
    built = fake_go("none")
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: binaries.ensure(said.append, NOWHERE), range(4)))
    assert folders == {binaries.cache_folder()}
    assert len(built.read_text(encoding="utf-8").splitlines()) == 3


def test_a_machine_without_network_learns_so_within_seconds(tmp_path, said):
    began = time.monotonic()
    with pytest.raises(download.DownloadError):
        download.fetch(tmp_path, PINNED, said.append, NOWHERE)
    assert time.monotonic() - began < 30  # a safety net: a refused connection answers at once
