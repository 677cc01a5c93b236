"""The Secrets of a first pair as its page has them made: bash reads the page, the real kubectl takes it.

What comes of the commands is held to what the operator reads: every Secret that the page's own manifest names
is there, with the keys and the exact values that were typed. Neighbour: tests/e2e/test_az_of_docs.py.
"""

import asyncio
import base64
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.support.pem import self_signed

FIRST_PAIR = Path(__file__).resolve().parents[2] / "docs" / "first-pair.md"
SECRETS = re.compile(r"^## 4\. .*?^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAIR = re.compile(r"^```yaml\n(apiVersion: loadmaster.*?)^```", re.MULTILINE | re.DOTALL)
REFERENCE = re.compile(r"SecretRef$")
PASSWORDS = ("correct horse 8", ' a "quoted" $1 \\ one ')
SECONDS = 300
"""A safety limit; a command takes a tenth of a second on an idle machine."""

pytestmark = pytest.mark.controlplane


def named_secrets(value):
    """The names behind all fields `...SecretRef` of a manifest."""
    if isinstance(value, list):
        return {name for each in value for name in named_secrets(each)}
    if not isinstance(value, dict):
        return set()
    here = {each["name"] for key, each in value.items() if REFERENCE.search(key)}
    return here.union(*(named_secrets(each) for each in value.values()))


def run(plane, block, folder):
    """Run a block of the page as a person who types two passwords; what is printed."""
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{plane.programs}:{os.environ['PATH']}",
            "KUBECONFIG": str(plane.kubeconfig),
        },
        input="".join(f"{password}\n" for password in PASSWORDS),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_the_pages_commands_make_every_secret_that_its_manifest_names(control_plane, tmp_path):
    page = FIRST_PAIR.read_text(encoding="utf-8")
    (block,) = SECRETS.findall(page)
    (text,) = PAIR.findall(page)
    manifest = yaml.safe_load(text)
    namespace = manifest["metadata"]["namespace"]
    pem = self_signed("www.example.com")
    key = pem.index("-----BEGIN PRIVATE KEY")
    (tmp_path / "site.crt").write_text(pem[:key], encoding="ascii")
    (tmp_path / "site.key").write_text(pem[key:], encoding="ascii")

    printed = await asyncio.to_thread(run, control_plane, block, tmp_path)
    names = named_secrets(manifest["spec"])
    assert len(names) == 5, names
    assert f"namespace/{namespace} created" in printed
    for name in names:
        assert f"secret/{name} created" in printed

    found = await asyncio.to_thread(control_plane.request, "GET", f"/api/v1/namespaces/{namespace}/secrets")
    secrets = {
        each["metadata"]["name"]: {
            field: base64.b64decode(value).decode() for field, value in each["data"].items()
        }
        for each in found["items"]
    }
    assert secrets["edge-azure"].keys() == {"tenantID", "clientID", "clientSecret"}
    for number, password in enumerate(PASSWORDS):
        assert secrets[f"lm-{number}-login"] == {"username": "operator", "password": password}
    assert re.fullmatch(r"[0-9a-f]{48}", secrets["web-partner"]["secret"])
    assert secrets["web-tls"] == {"tls.crt": pem[:key], "tls.key": pem[key:]}
