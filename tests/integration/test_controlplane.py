"""The control plane that the other integration tests stand on: it is real, and it goes away."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controlplane import binaries
from controlplane.errors import ControlPlaneError
from controlplane.server import ApiError, ControlPlane

HACK = Path(binaries.__file__).resolve().parents[1]
GENEROUS_SECONDS = 60.0
CRD_NAME = "checks.controlplane.test"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": CRD_NAME},
    "spec": {
        "group": "controlplane.test",
        "scope": "Namespaced",
        "names": {"plural": "checks", "singular": "check", "kind": "Check"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "port": {"type": "integer", "default": 8444},
                                    "other": {"type": "integer"},
                                },
                                "x-kubernetes-validations": [
                                    {
                                        "rule": "!has(self.other) || self.other != self.port",
                                        "message": "other must differ from port",
                                    }
                                ],
                            }
                        },
                    }
                },
            }
        ],
    },
}


def until(condition, what):
    deadline = time.monotonic() + GENEROUS_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {GENEROUS_SECONDS} s: {what}"
        time.sleep(0.05)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def check(namespace, name, **spec):
    path = f"/apis/controlplane.test/v1/namespaces/{namespace}/checks"
    body = {"apiVersion": "controlplane.test/v1", "kind": "Check", "metadata": {"name": name}, "spec": spec}
    return path, body


@pytest.fixture
def crd(control_plane):
    control_plane.install_crd(CRD)
    yield
    control_plane.request("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD_NAME}")


def test_custom_resources_are_defaulted_pruned_and_validated_by_cel(control_plane, namespace, crd):
    path, body = check(namespace, "good", other=1, unknown="x")
    made = control_plane.request("POST", path, body)
    assert made["spec"] == {"other": 1, "port": 8444}

    path, body = check(namespace, "bad", other=8444)
    with pytest.raises(ApiError, match="other must differ from port") as refused:
        control_plane.request("POST", path, body)
    assert refused.value.status == 422


def test_kubectl_of_the_same_version_works_with_the_kubeconfig(control_plane, namespace):
    command = [control_plane.programs / "kubectl", "--kubeconfig", control_plane.kubeconfig]
    answer = subprocess.run(
        [*command, "create", "serviceaccount", "robot", "-n", namespace, "-o", "json"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(answer.stdout)["metadata"]["name"] == "robot"
    token = subprocess.run(
        [*command, "create", "token", "robot", "-n", namespace], check=True, capture_output=True, text=True
    ).stdout.strip()
    # RBAC is on: who it is gets known, and may do nothing.
    stranger = [command[0], "--server", control_plane.server, "--insecure-skip-tls-verify", "--token", token]
    refused = subprocess.run(
        [*stranger, "get", "secrets", "-n", namespace],
        env={"HOME": "/nonexistent", "KUBECONFIG": "/dev/null"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert refused.returncode != 0
    assert f"system:serviceaccount:{namespace}:robot" in refused.stderr
    assert "forbidden" in refused.stderr


def test_two_run_side_by_side_and_share_nothing(control_plane, start_control_plane):
    other = start_control_plane()
    assert other.server != control_plane.server
    name = other.create_namespace("only-there")
    with pytest.raises(ApiError) as missing:
        control_plane.request("GET", f"/api/v1/namespaces/{name}")
    assert missing.value.status == 404


def test_stop_leaves_neither_processes_nor_files():
    plane = ControlPlane.start()
    pids = plane.pids
    assert all(is_alive(pid) for pid in pids.values())
    plane.stop()
    assert not any(is_alive(pid) for pid in pids.values())
    assert not plane.folder.exists()


OWNER = """
import sys, time
from controlplane.server import ControlPlane
plane = ControlPlane.start()
print(plane.folder, *plane.pids.values(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner():
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=os.environ | {"PYTHONPATH": str(HACK)},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.controlplane
def test_a_killed_owner_leaves_neither_processes_nor_files(owner):
    folder, *pids = owner.stdout.readline().split()
    assert len(pids) == 3
    assert all(is_alive(pid) for pid in pids)
    owner.kill()
    until(lambda: not any(is_alive(pid) for pid in pids), "the servers of a killed owner have ended")
    until(lambda: not Path(folder).exists(), "its folder is removed")


@pytest.mark.controlplane
def test_a_killed_supervisor_takes_its_servers_along(start_control_plane):
    plane = start_control_plane()
    os.kill(plane.pids["supervisor"], signal.SIGKILL)
    until(lambda: not any(is_alive(pid) for pid in plane.pids.values()), "the servers have ended")


def test_it_outlives_its_starter_while_another_one_has_joined(owner):
    folder, *pids = owner.stdout.readline().split()
    joined = ControlPlane.join(Path(folder))
    assert joined is not None
    owner.kill()
    owner.wait()
    joined.create_namespace()
    joined.release()
    until(lambda: not any(is_alive(pid) for pid in pids), "the last owner's leaving ended it")


def test_the_command_line_starts_names_and_stops_one(tmp_path):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, HACK / "controlplane", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    folder = tmp_path / "cp"
    kubeconfig = run("start", "--dir", folder).strip()
    try:
        assert f"export KUBECONFIG={kubeconfig}" in run("env", "--dir", folder)
        joined = ControlPlane.join(folder)
        assert joined is not None
        joined.release()
        joined = ControlPlane.join(folder)  # detached: it did not end with its last owner
        assert joined is not None
        pids = joined.pids
    finally:
        run("stop", "--dir", folder)
    assert not folder.exists()
    assert not any(is_alive(pids[server]) for server in ("etcd", "kube-apiserver"))
    until(lambda: not is_alive(pids["supervisor"]), "the one that answered is the last to end")
    again = subprocess.run(
        [sys.executable, HACK / "controlplane", "stop", "--dir", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert f"no control plane runs in {folder}" in again.stderr


def test_a_server_that_cannot_start_is_reported_with_its_log(tmp_path):
    for name in binaries.PROGRAMS:
        (tmp_path / name).write_text("#!/bin/sh\necho the disk is on fire >&2\nexit 3\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ControlPlaneError, match="the disk is on fire"):
        ControlPlane.start(programs=tmp_path)


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(ControlPlaneError, match="is not empty"):
        ControlPlane.start(tmp_path)
    assert (tmp_path / "precious").exists()
