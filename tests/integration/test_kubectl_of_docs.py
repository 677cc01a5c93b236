"""The kubectl commands of our pages: bash reads the page, the real kubectl and the API server take it.

The Secrets of a first pair are held to what the operator reads: every Secret that the page's own manifest
names is there, with the keys and the exact values that were typed. What other pages say is asked of the
server without being done (`--dry-run=server`), of a pair that is there. Neighbours: test_pair_by_its_page.py
of tests/e2e/pair runs the page of a first pair, tests/e2e/test_az_of_docs.py what is for Azure.
"""

import asyncio
import base64
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.support.page_commands import all_of
from tests.support.pem import self_signed

ROOT = Path(__file__).resolve().parents[2]
FIRST_PAIR = ROOT / "docs" / "first-pair.md"
SECRETS = re.compile(r"^## 4\. .*?^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAIR = re.compile(r"^```yaml\n(apiVersion: loadmaster.*?)^```", re.MULTILINE | re.DOTALL)
REFERENCE = re.compile(r"SecretRef$")
PASSWORDS = ("correct horse 8", ' a "quoted" $1 \\ one ')
DRY = {"annotate", "apply", "create", "delete", "patch"}
"""What changes something: the server is asked what would come of it."""
OPTIONS_WITH_VALUES = {"-n", "--namespace"}
REFUSED = {
    """kubectl -n edge patch lmp web --type merge -p '{"spec": {"healthCheck": {"port": 22}}}'""": "port",
}
"""What its page has refused on purpose, and a word of the refusal."""
ELSEWHERE = {
    FIRST_PAIR: "tests/e2e/pair/test_pair_by_its_page.py runs it",
    ROOT / "docs" / "contributing.md": "`kubectl get namespaces` alone",
}
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


def typed(plane, block, folder):
    """Run a block of a page as a person who types two passwords."""
    return subprocess.run(
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


def run(plane, block, folder):
    """The same, of a block that has to end well; what is printed."""
    done = typed(plane, block, folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pages():
    """All pages that tell people to type kubectl."""
    found = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "packaging").rglob("*.md")]
    return sorted(page for page in found if page not in ELSEWHERE and all_of(page))


def verb(command):
    """`annotate`, of `kubectl -n edge annotate ...`."""
    words = iter(command.split()[1:])
    return next(word for word in words if not (word in OPTIONS_WITH_VALUES and next(words)))


def asked(command, namespace):
    """The command as the server is asked it: of this namespace, and of the pair there, for a placeholder."""
    text = re.sub(r"(-n|--namespace) edge\b", rf"\1 {namespace}", command)
    if re.search(r"\blmp NAME\b", text):
        text = text.replace("lmp NAME", f"-n {namespace} lmp web")
    text = text.replace("namespace edge", f"namespace {namespace}")
    text = re.sub(r"-f (\S+\.yaml)", rf"-f <(sed 's/namespace: edge/namespace: {namespace}/' \1)", text)
    text = re.sub(r" -w$", "", text)
    if text.endswith('")') and "$(" not in text:
        text = text.removesuffix(")")  # the end of `name=$(kubectl ...)`
    if verb(text) in DRY:
        text = f"{text} --dry-run=server"
    return f'set -- master Master; seen="{":".join(["9A"] * 32)}"\n{text}'


def guide_pair():
    """The pair of the quick start, whose page and whose troubles the commands are about."""
    documents = yaml.safe_load_all((ROOT / "examples" / "quickstart" / "pair.yaml").read_text("utf-8"))
    return next(each for each in documents if each["kind"] == "LoadMasterPair")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
async def test_every_kubectl_command_of_a_page_is_one_that_kubectl_and_server_take(
    control_plane, namespace, page
):
    crd = yaml.safe_load((ROOT / "crds" / "loadmasterpairs.loadmaster.dev.yaml").read_text("utf-8"))
    await asyncio.to_thread(control_plane.install_crd, crd)
    pair = guide_pair()
    pair["metadata"]["namespace"] = namespace
    path = f"/apis/loadmaster.dev/v1alpha1/namespaces/{namespace}/loadmasterpairs"
    await asyncio.to_thread(control_plane.request, "POST", path, pair)
    for command in dict.fromkeys(all_of(page)):
        text = asked(command, namespace)
        done = await asyncio.to_thread(typed, control_plane, text, ROOT)
        if command in REFUSED:
            assert done.returncode != 0, command
            assert REFUSED[command] in done.stderr, done.stderr
        else:
            assert done.returncode == 0, f"{page.name}: {text}\n{done.stderr}"


def test_what_is_refused_on_purpose_is_still_said_by_a_page():
    said = {command for page in pages() for command in all_of(page)}
    assert said.issuperset(REFUSED)


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
