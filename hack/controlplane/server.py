"""Start, join and stop a control plane: what tests, benches and the demo import.

    with ControlPlane.start() as plane:
        subprocess.run(["kubectl", "--kubeconfig", plane.kubeconfig, "get", "ns"])

The servers belong to a `supervisor` process; a `ControlPlane` is a connection to it. As long as
anybody holds one, the servers run; when the last one is closed, or its process is killed, they
end and their folder is removed.
"""

import base64
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane import binaries
from controlplane.errors import ControlPlaneError
from controlplane.supervisor import READY_SECONDS, SOCKET_NAME, STOP_REQUEST

HACK = Path(__file__).resolve().parent.parent
CONNECT_SECONDS = 30.0  # until the supervisor's interpreter listens; far more than it needs
STOP_SECONDS = 30.0
RETRY_SECONDS = 30.0
UNIX_PATH_BYTES = 103  # the shortest limit of the systems we know (macOS); Linux takes 107


class ApiError(ControlPlaneError):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class ControlPlane:
    """A connection to a running control plane; keeps it alive until closed.

    Attributes:
        folder: holds the kubeconfig and the servers' logs; removed at the end.
        kubeconfig: of an administrator.
        server: base address of the API server.
        programs: folder of kubectl and the servers' binaries.
        pids: process ids of `supervisor`, `etcd` and `kube-apiserver`.
    """

    def __init__(self, folder: Path, programs: Path, connection: socket.socket) -> None:
        """Wait until the supervisor at the other end says that it is ready.

        Raises:
            ControlPlaneError: it ended instead, or said why it could not start.
        """
        self.folder = folder
        self.programs = programs
        self._connection = connection
        self._process: subprocess.Popen[bytes] | None = None
        connection.settimeout(READY_SECONDS * 2)
        with connection.makefile("rb") as lines:
            said = json.loads(lines.readline() or b'{"error": "it ended while it was starting"}')
        if "error" in said:
            connection.close()
            raise ControlPlaneError(f"the control plane in {folder} did not start: {said['error']}")
        self.kubeconfig = Path(said["kubeconfig"])
        self.pids: dict[str, int] = said["pids"]
        document = json.loads(self.kubeconfig.read_text(encoding="utf-8"))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self.server: str = cluster["server"]
        self._token: str = user["token"]
        self._trust = _trust(cluster["certificate-authority-data"])

    @classmethod
    def start(
        cls, folder: Path | None = None, programs: Path | None = None, *, detached: bool = False
    ) -> Self:
        """Start a new control plane and wait until it is ready (2 to 3 seconds on an idle machine).

        Args:
            folder: a new or empty folder of its own; default: one below the system's temporary
                folder. It is removed when the control plane ends.
            programs: folder of the binaries; default: where `binaries.find` finds them.
            detached: keep it running when nobody is connected, until `stop`.

        Raises:
            ControlPlaneError: no binaries, a folder that cannot be used, or no start.
        """
        programs = programs or binaries.find()
        folder = _prepared(folder)
        command = [sys.executable, "-m", "controlplane.supervisor", "--folder", str(folder)]
        command += ["--programs", str(programs), *(["--detached"] if detached else [])]
        with (folder / "supervisor.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=os.environ | {"PYTHONPATH": str(HACK)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the program that uses it, which then stops it
            )
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            connection = _connect(folder)
            if connection is not None:
                break
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                log_text = (folder / "supervisor.log").read_text(encoding="utf-8", errors="replace")
                raise ControlPlaneError(f"the supervisor of {folder} did not start: {log_text}")
            time.sleep(0.02)
        plane = cls(folder, programs, connection)
        plane._process = process
        return plane

    @classmethod
    def join(cls, folder: Path) -> Self | None:
        """Connect to the control plane in `folder`; None when there is none (any more).

        Raises:
            ControlPlaneError: it is just starting and fails to.
        """
        connection = _connect(folder)
        return None if connection is None else cls(folder, binaries.find(), connection)

    def release(self) -> None:
        """Give up this connection; the servers end if it was the last one. Does not wait."""
        self._connection.close()

    def stop(self) -> None:
        """End the servers for everybody and wait until they and their folder are gone.

        Raises:
            ControlPlaneError: they are still there after 30 seconds.
        """
        try:
            self._connection.settimeout(STOP_SECONDS)
            self._connection.sendall(STOP_REQUEST)
            while self._connection.recv(4096):
                pass
        except TimeoutError as error:
            raise ControlPlaneError(
                f"the control plane in {self.folder} (process {self.pids['supervisor']}) does not end"
            ) from error
        except OSError:
            pass  # it had ended before
        finally:
            self._connection.close()
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)  # there still, if the supervisor was killed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """Ask the API server as administrator; for set-up and checks, not a client library.

        Args:
            method: HTTP verb.
            path: with its leading `/` and query.
            body: JSON value; None for no body.
            content_type: another one for patches (`application/merge-patch+json`).

        Returns:
            The decoded answer.

        Raises:
            ApiError: any answer of 400 and above (429 only after 30 seconds of trying).
        """
        request = urllib.request.Request(  # noqa: S310 - https address of our own server
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": content_type},
        )
        # Our server is on loopback: no proxy of the environment may get between.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._trust)
        )
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                with opener.open(request, timeout=30) as answer:
                    decoded: dict[str, Any] = json.load(answer)
                    return decoded
            except urllib.error.HTTPError as error:
                # As client-go does: a server that is busy, or that is just setting up the storage
                # of a new custom resource, says when to ask again.
                wait = error.headers.get("Retry-After", "")
                if error.code != 429 or not wait.isdigit() or time.monotonic() > deadline:
                    raise ApiError(error.code, _message_of(error.read())) from None
                time.sleep(int(wait))

    def install_crd(self, document: dict[str, Any]) -> None:
        """Apply a CustomResourceDefinition and wait until its resources are served.

        Raises:
            ApiError: the server refuses it.
            ControlPlaneError: it is not served within 30 seconds.
        """
        spec, name = document["spec"], document["metadata"]["name"]
        self.request(
            "PATCH",
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=hack&force=true",
            document,
            content_type="application/apply-patch+yaml",
        )
        deadline = time.monotonic() + RETRY_SECONDS
        for version in (each["name"] for each in spec["versions"] if each["served"]):
            while True:
                try:
                    self.request("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1")
                    break
                except ApiError as error:
                    if error.status not in {404, 503} or time.monotonic() > deadline:
                        raise ControlPlaneError(f"{name} {version} is not served: {error}") from error
                    time.sleep(0.05)

    def create_namespace(self, prefix: str = "test") -> str:
        """Create a namespace with a unique name and give the name."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.request("POST", "/api/v1/namespaces", body)
        return name


def _message_of(body: bytes) -> str:
    """What a Status object says; the body as it is where it is none."""
    text = body.decode("utf-8", "replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text


def _prepared(folder: Path | None) -> Path:
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="loadmaster-ha-"))
    folder = folder.absolute()
    if len(os.fsencode(folder / SOCKET_NAME)) > UNIX_PATH_BYTES:
        raise ControlPlaneError(f"{folder} is too long a path for a Unix socket: name a shorter one")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ControlPlaneError(
            f"{folder} is not empty: name a new folder (it is removed at the end), or stop the "
            f"control plane that runs there: python3 hack/controlplane stop --dir {folder}"
        )
    return folder


def _connect(folder: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(folder.absolute() / SOCKET_NAME))
    except OSError:
        connection.close()
        return None
    return connection


def _trust(authority: str) -> ssl.SSLContext:
    """A context that trusts exactly the kubeconfig's base64-encoded certificates."""
    return ssl.create_default_context(cadata=base64.b64decode(authority).decode("ascii"))
