"""Folders, credentials and command lines of one control plane; no processes (see `supervisor`)."""

import base64
import contextlib
import json
import secrets
import ssl
import urllib.request
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
ADMIN = "loadmaster-ha-admin"
# SEC1 (RFC 5915) ECPrivateKey on P-256 without the optional public key: Go derives it. So a
# signing key needs no cryptography package, only 32 random bytes below the curve's order.
_EC_KEY_HEAD = bytes.fromhex("30310201010420")
_EC_KEY_TAIL = bytes.fromhex("a00a06082a8648ce3d030107")


@dataclass(frozen=True)
class Layout:
    """Where one attempt to run a control plane keeps its files and listens."""

    folder: Path
    client_port: int
    peer_port: int
    secure_port: int

    @classmethod
    def create(cls, folder: Path, client_port: int, peer_port: int, secure_port: int) -> "Layout":
        """Make the folder, readable by its owner only."""
        folder.mkdir(mode=0o700)
        return cls(folder, client_port, peer_port, secure_port)

    @property
    def server(self) -> str:
        """Base address of the API server."""
        return f"https://{LOOPBACK}:{self.secure_port}"

    @property
    def etcd(self) -> str:
        """Address at which etcd serves the API server."""
        return f"http://{LOOPBACK}:{self.client_port}"

    @property
    def certificate(self) -> Path:
        """The serving certificate that the API server makes itself, with its issuer."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def signing_key(self) -> Path:
        """The key of service account tokens."""
        return self.folder / "service-account.key"

    @property
    def token_file(self) -> Path:
        """The API server's list of static tokens."""
        return self.folder / "tokens.csv"

    def write_credentials(self, token: str) -> None:
        """Write the administrator's token and a new signing key for service accounts."""
        self.token_file.write_text(f"{token},{ADMIN},{ADMIN},system:masters\n", encoding="utf-8")
        # The leading zero byte keeps the number below the curve's order.
        number = b"\x00" + secrets.token_bytes(31)
        body = base64.b64encode(_EC_KEY_HEAD + number + _EC_KEY_TAIL).decode("ascii")
        lines = [body[start : start + 64] for start in range(0, len(body), 64)]
        pem = ["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----", ""]
        self.signing_key.write_text("\n".join(pem), encoding="ascii")

    def write_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig for the administrator; JSON, which every YAML reader takes."""
        authority = base64.b64encode(self.certificate.read_bytes()).decode("ascii")
        name = "loadmaster-ha"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": self.server, "certificate-authority-data": authority}}
            ],
            "users": [{"name": name, "user": {"token": self._token()}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
            "current-context": name,
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def is_ready(self) -> bool:
        """Ask the API server once."""
        if not self.certificate.exists():
            return False
        request = urllib.request.Request(  # noqa: S310 - our own https address on loopback
            f"{self.server}/readyz", headers={"Authorization": f"Bearer {self._token()}"}
        )
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            trust = ssl.create_default_context(cafile=str(self.certificate))
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
            )
            with opener.open(request, timeout=5) as answer:
                return bool(answer.status == 200)
        return False

    def _token(self) -> str:
        return self.token_file.read_text(encoding="utf-8").split(",", 1)[0]


def etcd_arguments(layout: Layout) -> list[str]:
    """Command line of etcd: one member, loopback, no fsync (the data is thrown away)."""
    peer = f"http://{LOOPBACK}:{layout.peer_port}"
    return [
        "--name=default",
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={layout.etcd}",
        f"--advertise-client-urls={layout.etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_arguments(layout: Layout) -> list[str]:
    """Command line of kube-apiserver: RBAC on, a serving certificate that it makes itself."""
    return [
        f"--etcd-servers={layout.etcd}",
        f"--cert-dir={layout.certificate.parent}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={layout.secure_port}",
        f"--service-account-key-file={layout.signing_key}",
        f"--service-account-signing-key-file={layout.signing_key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={layout.token_file}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        # The default/kubernetes Service needs no endpoints; loopback is refused as one.
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]
