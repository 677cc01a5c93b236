"""The generated CRD: fresh, described, bounded, and never stricter nor looser than the models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.pairs import short_pair
from tests.support.schema_values import accepted

from loadmaster_ha.resources import crd, reference
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec, LoadMasterPairStatus

ROOT = Path(__file__).resolve().parents[3]
SPEC = crd.schema()["properties"]["spec"]
STATUS = crd.schema()["properties"]["status"]

fuzzed = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every level of a schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


NODES = [*nodes(SPEC, "spec"), *nodes(STATUS, "status")]


def test_the_file_is_what_the_models_give():
    written = (ROOT / "crds" / "loadmasterpairs.loadmaster.dev.yaml").read_text(encoding="utf-8")
    assert written == crd.render(), "stale: see the first lines of the file"


def test_the_api_reference_is_what_the_models_give():
    written = (ROOT / "docs" / "reference" / "loadmasterpair.md").read_text(encoding="utf-8")
    assert written == reference.render(), "stale: python -m loadmaster_ha.resources.reference"


def test_the_api_reference_tells_each_field_and_each_rule():
    text = reference.render()
    for path, node in NODES:
        for name in node.get("properties", {}):
            assert f"| `{name}` |" in text, f"{path}.{name}"
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule["message"].replace("<", "&lt;") in text


def test_the_text_is_yaml_of_the_definition():
    assert yaml.safe_load(crd.render()) == crd.definition()


def test_every_field_is_described():
    undescribed = [
        path for path, node in NODES if not path.endswith(("[]", "{}")) and not node.get("description")
    ]
    assert undescribed == []


def test_every_string_list_map_and_number_is_bounded():
    unbounded = [
        path
        for path, node in NODES
        if (node["type"] == "string" and not ({"maxLength", "enum"} & node.keys()))
        or (node["type"] == "array" and "maxItems" not in node)
        or ("additionalProperties" in node and "maxProperties" not in node)
        or (node["type"] in {"integer", "number"} and "minimum" not in node)
    ]
    assert unbounded == []


def says_what_it_takes(node):
    rules = (each["rule"] for each in node.get("x-kubernetes-validations", ()))
    return {"pattern", "enum"} & node.keys() or any(rule.startswith("self.matches(") for rule in rules)


def test_every_string_of_the_spec_has_a_pattern_or_an_enumeration():
    free = [
        path
        for path, node in nodes(SPEC, "spec")
        if node["type"] == "string" and not says_what_it_takes(node)
    ]
    assert free == ["spec.azure.tags{}"]  # any text is a tag's value


def test_every_list_says_how_appliers_share_it():
    silent = [
        path for path, node in NODES if node["type"] == "array" and "x-kubernetes-list-type" not in node
    ]
    assert silent == []


def test_nothing_but_structural_keywords_is_left():
    foreign = {"$ref", "anyOf", "oneOf", "allOf", "title", "patternProperties", "nullable"}
    assert [path for path, node in NODES if foreign & node.keys()] == []
    assert all(node["type"] for _, node in NODES)


def test_defaults_of_objects_are_complete():
    """The API server evaluates rules on a default as it stands."""
    objects = {path: node for path, node in NODES if node["type"] == "object" and "default" in node}
    assert "spec.loadBalancer.managementAccess" in objects
    for path, node in objects.items():
        with_default = {name for name, child in node["properties"].items() if "default" in child}
        assert node["default"].keys() == with_default, path


def test_the_short_form_means_the_values_of_the_guide():
    spec = LoadMasterPairSpec.model_validate(short_pair()["spec"])
    assert (spec.health_check.port, spec.health_check.interval_seconds, spec.health_check.threshold) == (
        8444,
        5,
        2,
    )
    access = spec.load_balancer.management_access
    assert (access.ssh.mode, access.ssh.master, access.ssh.slave) == ("NAT", 221, 222)
    assert access.web_interface is None
    assert spec.master.management.port == 8443
    assert spec.load_balancer.type == "Internal"
    assert spec.network_security.management_sources == ("VirtualNetwork",)


@fuzzed
@given(accepted(SPEC))
def test_what_the_schema_accepts_the_models_parse(spec):
    jsonschema.validate(spec, SPEC)  # the strategy gives what it says
    parsed = LoadMasterPairSpec.model_validate(spec)
    again = parsed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert again == spec


@fuzzed
@given(accepted(STATUS))
def test_a_stored_status_is_parsed_and_written_as_it_was(status):
    parsed = LoadMasterPairStatus.model_validate(status)
    assert parsed.model_dump(mode="json", by_alias=True, exclude_unset=True) == status


@fuzzed
@given(accepted(STATUS))
def test_the_status_that_is_sent_fits_the_schema(status):
    wire = LoadMasterPairStatus.model_validate(status).to_wire()
    jsonschema.validate(wire, STATUS)


LEAVES = [
    (path, node)
    for path, node in nodes(SPEC, "spec")
    if node["type"] in {"string", "integer"} and "[]" not in path and "{}" not in path
]


@fuzzed
@given(
    accepted(SPEC),
    st.sampled_from(LEAVES),
    st.one_of(st.integers(-1, 70000), st.text(max_size=300), st.booleans(), st.just("eth0\n"), st.just([])),
)
def test_what_the_schema_refuses_the_models_refuse(spec, leaf, value):
    """The models hold the schema's limits too: an object from before a limit is noticed."""
    path, _ = leaf
    here = spec
    *way, last = path.split(".")[1:]
    for step in way:
        here = here.setdefault(step, {})
    here[last] = value
    try:
        jsonschema.validate(spec, SPEC)
    except jsonschema.ValidationError:
        with pytest.raises(ValidationError):
            LoadMasterPairSpec.model_validate(spec)


def test_unknown_fields_are_refused_by_the_models():
    with pytest.raises(ValidationError, match="ipv6"):
        LoadMasterPairSpec.model_validate(short_pair()["spec"] | {"ipv6": True})
