"""How the API server stores a LoadMasterPair: defaults, null, unknown fields, two appliers, the examples."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.pairs import Pairs, changed, install_crd, public_pair, short_pair, two_armed_pair
from tests.support.schema_values import accepted

from controlplane.server import ApiError
from loadmaster_ha.controller.references import Kind, references_of
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Active, ObservedState, Trigger, UnitKind
from loadmaster_ha.resources import crd
from loadmaster_ha.resources.azure import MAX_TAGS
from loadmaster_ha.resources.loadmasterpair import MAX_SERVICES, LoadMasterPairSpec
from loadmaster_ha.resources.status import (
    AzureDifference,
    AzureOperation,
    AzureStatus,
    Condition,
    ConditionStatus,
    ExpectedFailover,
    FailoverStatus,
    FrontendStatus,
    LoadMasterPairStatus,
    OperationStyle,
    SecondsRange,
    SwitchoverOutcome,
    SwitchoverStatus,
    UnitStatus,
    Verb,
)
from loadmaster_ha.resources.units import MAX_INTERFACES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CRDS = EXAMPLES.with_name("crds")
ACCESS = "spec.loadBalancer.managementAccess"
NOW = "2026-11-23T04:00:00Z"


@pytest.fixture
def pairs(control_plane, namespace):
    install_crd(control_plane)
    return Pairs(control_plane, namespace)


def test_the_short_form_is_stored_as_the_values_of_the_guide(pairs):
    stored = pairs.create(short_pair())
    assert stored["spec"] == {
        "azure": {"subscriptionID": "11111111-2222-3333-4444-555555555555", "resourceGroup": "edge"},
        "master": {
            "networkInterfaces": [{"name": "eth0", "resource": "lm-0-nic"}],
            "management": {"port": 8443, "tls": {}},
        },
        "slave": {
            "networkInterfaces": [{"name": "eth0", "resource": "lm-1-nic"}],
            "management": {"port": 8443, "tls": {}},
        },
        "loadBalancer": {
            "name": "web-ilb",
            "type": "Internal",
            "frontend": {"subnet": {"virtualNetwork": "app", "name": "lb"}},
            "managementAccess": {
                "kemp360Central": False,
                "ssh": {"mode": "NAT", "master": 221, "slave": 222},
            },
        },
        "healthCheck": {"port": 8444, "intervalSeconds": 5, "threshold": 2},
        "highAvailability": {"preferredHost": "Master", "allInterfaces": False},
        "networkSecurity": {"managementSources": ["VirtualNetwork"], "publishGuidePorts": "Disabled"},
        "policy": {
            "mode": "Enforce",
            "adoption": "IfUnowned",
            "deletion": "Delete",
            "availability": "Report",
            "reboots": "Automatic",
        },
        "suspend": False,
    }


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ({"webInterface": {}}, {"webInterface": {"mode": "NAT", "master": 8441, "slave": 8442}}),
        (
            {"webInterface": {"mode": "Disabled"}},
            {"webInterface": {"mode": "Disabled", "master": 8441, "slave": 8442}},
        ),
        ({"ssh": {"master": 2221}}, {"ssh": {"mode": "NAT", "master": 2221, "slave": 222}}),
    ],
)
def test_what_a_part_leaves_out_is_filled_in(pairs, written, stored):
    result = pairs.try_out(changed(short_pair(), {ACCESS: written}))
    whole = {"kemp360Central": False, "ssh": {"mode": "NAT", "master": 221, "slave": 222}} | stored
    assert result["spec"]["loadBalancer"]["managementAccess"] == whole


def test_a_null_is_defaulted(pairs):
    nulls = {
        "spec.healthCheck": None,
        "spec.policy": {"mode": None},
        f"{ACCESS}.ssh": None,
        "spec.azure.location": None,
        "spec.services": None,
    }
    assert pairs.try_out(changed(short_pair(), nulls))["spec"] == pairs.try_out(short_pair())["spec"]


AGAIN = {
    "short": short_pair(),
    "public": public_pair(),
    "switched-off": changed(
        short_pair(),
        {
            f"{ACCESS}.webInterface.mode": "Disabled",
            f"{ACCESS}.ssh.mode": "Disabled",
            "spec.services": [{"name": "https", "port": 443}, {"name": "dns", "protocol": "UDP", "port": 53}],
            "spec.networkSecurity.securityGroups": [{"name": "a"}, {"name": "b"}],
            "spec.networkSecurity.managementSources": ["10.0.0.0/8", "VirtualNetwork"],
        },
    ),
}


@pytest.mark.parametrize("manifest", AGAIN.values(), ids=AGAIN)
def test_applying_the_same_manifest_again_changes_nothing(pairs, manifest):
    first = pairs.apply(manifest)
    again = pairs.apply(manifest)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert again["metadata"]["generation"] == 1
    assert again["spec"] == first["spec"]


@pytest.mark.parametrize("manifest", AGAIN.values(), ids=AGAIN)
def test_updating_with_the_same_manifest_changes_nothing(pairs, manifest):
    first = pairs.create(manifest)
    again = pairs.update(
        changed(manifest, {"metadata.resourceVersion": first["metadata"]["resourceVersion"]})
    )
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert again["metadata"]["generation"] == 1


@pytest.mark.parametrize("manifest", AGAIN.values(), ids=AGAIN)
def test_kubectl_apply_of_the_same_manifest_changes_nothing(pairs, manifest, tmp_path):
    """Also the client-side apply, which may say "configured" where items of a list have defaults."""
    file = tmp_path / "pair.json"
    file.write_text(json.dumps(manifest), encoding="utf-8")
    stored = []
    for _ in range(2):
        kubectl(pairs, "apply", "-n", pairs.namespace, "-f", str(file))
        stored.append(pairs.get("web"))
    assert stored[0] == stored[1]


def kubectl(pairs, *arguments):
    plane = pairs.plane
    command = [plane.programs / "kubectl", "--kubeconfig", plane.kubeconfig, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_unknown_fields_are_refused_by_strict_clients_and_pruned_for_others(pairs):
    manifest = changed(short_pair(), {"spec.loadBalancer.frontend.ipv6": True})
    with pytest.raises(ApiError, match=r'unknown field "spec.loadBalancer.frontend.ipv6"'):
        pairs.create(manifest)
    stored = pairs.plane.request("POST", pairs.path, manifest)
    assert "ipv6" not in stored["spec"]["loadBalancer"]["frontend"]


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("spec.azure.subscriptionID", "my subscription", "spec.azure.subscriptionID"),
        ("spec.azure.resourceGroup", "ends-with-a-dot.", "spec.azure.resourceGroup"),
        ("spec.azure.location", "West Europe", "spec.azure.location"),
        ("spec.azure.tags", {f"t{n}": "" for n in range(46)}, "spec.azure.tags"),
        ("spec.azure.tags", {"t": "x" * 257}, "spec.azure.tags.t"),
        ("spec.azure.credentialsSecretRef", {"name": "Edge_Azure"}, "spec.azure.credentialsSecretRef.name"),
        ("spec.master.address", "10.0.2.256", "spec.master.address"),
        ("spec.master.address", "2001:db8::4", "spec.master.address"),
        ("spec.master.networkInterfaces", [], "spec.master.networkInterfaces"),
        ("spec.master.networkInterfaces.0.name", "eth_0", "spec.master.networkInterfaces[0].name"),
        ("spec.master.networkInterfaces.0.resource", "a/b", "spec.master.networkInterfaces[0].resource"),
        ("spec.loadBalancer.name", "-web", "spec.loadBalancer.name"),
        ("spec.loadBalancer.type", "internal", 'supported values: "Internal", "Public"'),
        ("spec.loadBalancer.frontend.subnet.name", "a" * 81, "spec.loadBalancer.frontend.subnet.name"),
        ("spec.loadBalancer.frontend.privateIPAddress", "10.0.2", "privateIPAddress"),
        ("spec.healthCheck.intervalSeconds", 4, "should be greater than or equal to 5"),
        ("spec.healthCheck.threshold", 0, "should be greater than or equal to 1"),
        ("spec.healthCheck.threshold", 101, "should be less than or equal to 100"),
        ("spec.healthCheck.port", 65535, "should be less than or equal to 65534"),
        ("spec.services", [{"name": "a", "port": 0}], "should be greater than or equal to 1"),
        ("spec.services", [{"name": "a" * 25, "port": 1}], "spec.services[0].name"),
        ("spec.services", [{"name": "a", "port": 1, "idleTimeoutMinutes": 3}], "idleTimeoutMinutes"),
        ("spec.services", [{"name": "a", "port": 1, "idleTimeoutMinutes": 101}], "idleTimeoutMinutes"),
        ("spec.services", [{"name": "a", "port": 1, "backendPort": 65536}], "backendPort"),
        (
            "spec.services",
            [{"name": "a", "port": 1, "sourceAddressPrefixes": ["10.0.0.0/33"]}],
            "spec.services[0].sourceAddressPrefixes[0]",
        ),
        ("spec.networkSecurity.managementSources", [], "spec.networkSecurity.managementSources"),
        ("spec.networkSecurity.managementSources", ["Internet", "Internet"], "Duplicate value"),
        ("spec.networkSecurity.securityGroups", [{"name": "a"}, {"name": "a"}], "Duplicate value"),
    ],
)
def test_a_value_out_of_its_limits_is_refused_with_its_path(pairs, path, value, complaint):
    with pytest.raises(ApiError) as refused:
        pairs.try_out(changed(short_pair(), {path: value}))
    assert refused.value.status == 422
    assert complaint in refused.value.message


def largest_pair():
    """Every list and map as long as the schema lets it be, with long names."""
    nic = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/{}/providers/Microsoft.Network/"
    nic = nic.format("g" * 90) + "networkInterfaces/"
    services = [
        {
            "name": f"a-service-with-a-name-{n:02}",
            "port": 30000 + n,
            "backendPort": 20000 + n,
            "interface": f"eth{n % 8}",
            "virtualService": {
                "type": "HTTP",
                "persistence": {"mode": "ActiveCookie", "cookie": "c" * 127},
                "healthCheck": {"type": "HTTP", "path": "/" + "p" * 125, "statusCodes": [*range(300, 332)]},
                "realServers": [
                    {"address": f"10.0.{n}.{server}", "port": 65535, "weight": 65535} for server in range(20)
                ],
            },
        }
        for n in range(MAX_SERVICES)
    ]
    return changed(
        short_pair(),
        {
            "spec.azure.tags": {f"{n:02}" + "a" * 510: "x" * 256 for n in range(MAX_TAGS)},
            "spec.services": services,
            "spec.highAvailability.allInterfaces": True,
            **{
                f"spec.{role}.management.credentialsSecretRef.name": "s" * 253 for role in ("master", "slave")
            },
            **{
                f"spec.{role}.networkInterfaces": [
                    {"name": f"eth{n}", "resource": nic + f"{role}-{n}".ljust(80, "n")}
                    for n in range(MAX_INTERFACES)
                ]
                for role in ("master", "slave")
            },
        },
    )


def test_the_largest_pair_is_checked_within_the_servers_cost_limit(pairs):
    stored = pairs.create(largest_pair())
    assert len(stored["spec"]["services"]) == MAX_SERVICES
    with pytest.raises(ApiError, match="more than one service on TCP/30098"):
        pairs.update(changed(stored, {f"spec.services.{MAX_SERVICES - 1}.port": 30098}))
    with pytest.raises(ApiError, match="Too many"):
        pairs.update(changed(stored, {f"spec.services.{MAX_SERVICES}": {"name": "one-more", "port": 80}}))


def condition(kind, **more):
    return Condition(
        type=kind, status=ConditionStatus.TRUE, last_transition_time=NOW, reason="Ok", message="", **more
    )


def as_status(manifest, status):
    return {key: manifest[key] for key in ("apiVersion", "kind", "metadata")} | {"status": status.to_wire()}


def test_conditions_of_two_field_managers_both_survive(pairs):
    pairs.create(short_pair())
    for kind, manager in (("Ready", "one"), ("AzureSynced", "two"), ("Ready", "one")):
        status = {"conditions": [condition(kind).model_dump(mode="json", by_alias=True, exclude_none=True)]}
        body = short_pair() | {"status": status}
        del body["spec"]
        pairs.apply(body, manager=manager, subresource="/status")
    assert [entry["type"] for entry in pairs.get("web")["status"]["conditions"]] == ["Ready", "AzureSynced"]


def test_a_full_status_is_stored_as_written(pairs):
    balancer = "/subscriptions/s/resourceGroups/edge/providers/Microsoft.Network/loadBalancers/web-ilb"
    status = LoadMasterPairStatus(
        observed_generation=1,
        conditions=(condition("Ready", observed_generation=1),),
        frontend=FrontendStatus(address="10.0.2.100"),
        expected_failover=ExpectedFailover(
            process_died_seconds=SecondsRange(min=0, max=5), silent_seconds=SecondsRange(min=10, max=15)
        ),
        active=Active.MASTER,
        units=(
            UnitStatus(
                role=Role.MASTER,
                kind=UnitKind.APPLIANCE,
                address="10.0.2.4",
                state=ObservedState.ACTIVE,
                firmware="7.2.54.12.22642.RELEASE",
                identity="1234567",
                certificate_fingerprint=":".join(["AB"] * 32),
                secret_version="cd" * 16,
                mode_written_at_boot="Fri, 08 Aug 25 10:07:09 UTC",
            ),
            UnitStatus(role=Role.SLAVE, state=ObservedState.UNKNOWN, last_seen_time=NOW),
        ),
        last_failover=FailoverStatus(
            time=NOW,
            from_=Active.SLAVE,
            to=Active.MASTER,
            trigger=Trigger.FAILBACK,
            reason="The master answers again.",
            duration_seconds=0.75,
        ),
        last_switchover=SwitchoverStatus(
            requested="slave",
            outcome=SwitchoverOutcome.REFUSED,
            reason="Appliances know no planned switch-over.",
            time=NOW,
        ),
        pending=("probes[lm_web_health] waits for Azure",),
        azure=AzureStatus(
            operations=(
                AzureOperation(
                    resource=balancer,
                    verb=Verb.PUT,
                    url="https://management.azure.com/operations/1?t=" + "x" * 4000,
                    style=OperationStyle.ASYNC_OPERATION,
                    started=NOW,
                ),
            ),
            differences=(
                AzureDifference(resource=balancer, difference="rules[a].frontendPort: 1, should be 2"),
            ),
        ),
    )
    pairs.create(short_pair())
    stored = pairs.apply(as_status(short_pair(), status), subresource="/status")
    assert LoadMasterPairStatus.model_validate(stored["status"]) == status
    assert stored["metadata"]["generation"] == 1
    again = pairs.apply(as_status(short_pair(), status), subresource="/status")
    assert again["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


def test_status_is_not_written_with_the_spec(pairs):
    stored = pairs.create(short_pair() | {"status": {"frontend": {"address": "10.0.2.100"}}})
    assert "status" not in stored


def test_kubectl_shows_what_matters(pairs):
    pairs.create(short_pair())
    status = LoadMasterPairStatus(
        conditions=(condition("Ready"),),
        frontend=FrontendStatus(address="10.0.2.100"),
        active=Active.SLAVE,
        units=(
            UnitStatus(role=Role.SLAVE, state=ObservedState.ACTIVE, firmware="7.2.54.12"),
            UnitStatus(role=Role.MASTER, state=ObservedState.STANDBY, firmware="7.2.54.11"),
        ),
        last_failover=FailoverStatus(
            time=NOW, from_=Active.MASTER, to=Active.SLAVE, trigger=Trigger.SILENT, reason="No answer."
        ),
    )
    pairs.apply(as_status(short_pair(), status), subresource="/status")
    lines = kubectl(pairs, "get", "lmp", "-n", pairs.namespace).splitlines()
    assert lines[0].split() == ["NAME", "READY", "REASON", "ACTIVE", "FRONTEND", "AGE"]
    assert lines[1].split()[:5] == ["web", "True", "Ok", "Slave", "10.0.2.100"]
    wide = kubectl(pairs, "get", "loadmaster", "-n", pairs.namespace, "-o", "wide").splitlines()
    assert wide[0].split()[6:] == [
        *("MASTER", "SLAVE", "MASTER-FIRMWARE", "SLAVE-FIRMWARE", "LAST-FAILOVER"),
        *("BALANCER", "TYPE", "RESOURCE-GROUP", "MODE"),
    ]
    said = wide[1].split()
    assert said[6:10] == ["Standby", "Active", "7.2.54.11", "7.2.54.12"]
    assert said[11:] == ["web-ilb", "Internal", "edge", "Enforce"]


def test_kubectl_explains_a_field(pairs):
    said = kubectl(pairs, "explain", "lmp.spec.healthCheck.threshold")
    assert "How many probes in a row must stay unanswered" in " ".join(said.split())


PAIRS_OF_EXAMPLES = sorted(path.name for path in EXAMPLES.glob("pair-*.yaml"))


@pytest.mark.parametrize("example", PAIRS_OF_EXAMPLES)
def test_each_example_is_accepted_and_parsed(pairs, example):
    manifest = yaml.safe_load((EXAMPLES / example).read_text(encoding="utf-8"))
    manifest["metadata"]["namespace"] = pairs.namespace
    stored = pairs.create(manifest)
    spec = LoadMasterPairSpec.model_validate(stored["spec"])
    assert spec.load_balancer.name == manifest["spec"]["loadBalancer"]["name"]


def test_the_examples_are_there():
    assert PAIRS_OF_EXAMPLES == [
        "pair-guide.yaml",
        "pair-kemp360.yaml",
        "pair-managed.yaml",
        "pair-minimal.yaml",
        "pair-multi-arm.yaml",
        "pair-public.yaml",
    ]


def test_the_secret_of_the_examples_is_accepted_and_holds_nothing_real(pairs):
    manifest = yaml.safe_load((EXAMPLES / "secret-azure.yaml").read_text(encoding="utf-8"))
    manifest["metadata"]["namespace"] = pairs.namespace
    secrets = f"/api/v1/namespaces/{pairs.namespace}/secrets?dryRun=All&fieldValidation=Strict"
    stored = pairs.plane.request("POST", secrets, manifest)
    assert sorted(stored["data"]) == ["clientID", "clientSecret", "tenantID"]
    assert manifest["stringData"]["clientSecret"] == "replace-me"


def documents(example):
    return [*yaml.safe_load_all((EXAMPLES / example).read_text(encoding="utf-8"))]


def test_the_secrets_of_the_managed_example_are_there_accepted_and_hold_nothing_real(pairs):
    stored = {}
    for manifest in documents("secret-units.yaml"):
        assert {value.strip() for key, value in manifest["stringData"].items() if key != "username"} == {
            "replace-me"
        }
        manifest["metadata"]["namespace"] = pairs.namespace
        path = f"/api/v1/namespaces/{pairs.namespace}/secrets?dryRun=All&fieldValidation=Strict"
        stored[manifest["metadata"]["name"]] = pairs.plane.request("POST", path, manifest)["data"]
    (manifest,) = documents("pair-managed.yaml")
    spec = LoadMasterPairSpec.model_validate(manifest["spec"])
    named = {each.name for each in references_of("edge", spec) if each.kind is Kind.SECRET}
    assert named == stored.keys()
    assert spec.high_availability.shared_secret_ref.key in stored["shop-partner"]
    assert spec.slave.management.tls.ca_secret_ref.key in stored["lm-ca"]


@st.composite
def plausible_specs(draw):
    """What the schema accepts, with units and frontend that most rules let pass."""
    spec = draw(accepted(crd.schema()["properties"]["spec"]))
    for role in ("master", "slave"):
        spec[role]["networkInterfaces"] = two_armed_pair()["spec"][role]["networkInterfaces"]
    public = spec["loadBalancer"].get("type") == "Public"
    spec["loadBalancer"]["frontend"] = (public_pair() if public else short_pair())["spec"]["loadBalancer"][
        "frontend"
    ]
    for service in spec.get("services", ()):
        if "interface" in service:
            service["interface"] = draw(st.sampled_from(["eth0", "eth1"]))
    return spec


def test_what_the_server_stores_is_parsed(pairs):
    """Any manifest of the schema is refused by a rule, or comes back in a form that the models read."""
    stored_specs = []

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(spec=plausible_specs())
    def whatever_the_schema_accepts(spec):
        manifest = short_pair() | {"spec": spec}
        refusal = pairs.refusal(manifest)
        if refusal is None:
            stored_specs.append(pairs.try_out(manifest)["spec"])
            LoadMasterPairSpec.model_validate(stored_specs[-1])
            return
        # Only a rule may refuse it: the schema itself accepts it, and no rule fails to run.
        assert refusal.status == 422, refusal
        for other in ("should match", "should be", "Required value", "evaluating rule", "no such key"):
            assert other not in refusal.message

    whatever_the_schema_accepts()
    assert len(stored_specs) >= 5


def test_kubectl_installs_the_file_and_finds_it_unchanged_afterwards(start_control_plane):
    plane = start_control_plane()
    command = [plane.programs / "kubectl", "--kubeconfig", plane.kubeconfig, "apply", "-f", CRDS]
    said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
    assert said == [
        f"customresourcedefinition.apiextensions.k8s.io/{crd.NAME} {done}\n"
        for done in ("created", "unchanged")
    ]
