"""The validator itself: it accepts Microsoft's examples and real traffic, and finds what was put in."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import azspecs, recordings
from tests.support.swagger import SwaggerValidator, shape_of
from tests.support.traffic import Exchange, read_log

if TYPE_CHECKING:
    from pathlib import Path

LB = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb"
# Errors in Microsoft's hand-written examples: the description says otherwise about these.
WRONG_IN_EXAMPLES = {
    "/value/*/properties/networkProfile/networkApiVersion: '2022-05-01' is not one of ['2020-11-01']",
    "/patchStatus/availablePatchSummary/error: None is not of type 'object'",
    "/patchStatus/lastPatchInstallationSummary/error: None is not of type 'object'",
    "/properties/changes/*/delta/*/after: 'my tag value' is not of type 'object'",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    return azspecs.require()


@pytest.fixture
def validator(folder: Path) -> SwaggerValidator:
    return SwaggerValidator(folder)


@pytest.fixture
def example(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = azspecs.load(folder / azspecs.NETWORK / "examples" / "LoadBalancerGet.json")
    return copy.deepcopy(found["responses"]["200"]["body"])


def test_accepts_the_examples_that_microsoft_wrote(folder, validator):
    found: set[str] = set()
    count = 0
    for example in azspecs.examples(folder):
        for status, answer in example.responses.items():
            exchange = Exchange(example.method, example.path, status, response_body=answer.get("body"))
            count += 1
            found |= {
                f"{re.sub(r'/[0-9]+', '/*', each.where)}: {each.what}" for each in validator.check(exchange)
            }
    assert count > 250
    assert found == WRONG_IN_EXAMPLES


def test_accepts_what_the_real_azure_answered(validator):
    violations = [
        str(each)
        for name in recordings.NAMES
        for interaction in recordings.load(name)
        for each in validator.check_all([interaction.exchange])
    ]
    assert violations == []
    # Real interfaces carry two properties that no public description has; the validator knows them from the
    # recording.
    assert {"NetworkInterface.kind", "NetworkInterfacePropertiesFormat.allowPort25Out"} <= set(
        validator.newer_properties
    )


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (
            lambda lb: lb["properties"].update(frontendIpConfigurations=[]),
            "/properties",
            "'frontendIpConfigurations' was",
        ),
        (
            lambda lb: lb["properties"]["probes"][0]["properties"].update(port="8444"),
            "/properties/probes/0/",
            "'8444'",
        ),
        (lambda lb: lb["sku"].update(name="Premium"), "/sku/name", "'Premium' is not one of"),
        (
            lambda lb: lb["properties"]["probes"][0]["properties"].pop("protocol"),
            "/properties/probes/0/",
            "'protocol' is",
        ),
        (lambda lb: lb.update(tags={"a": 1}), "/tags/a", "1 is not of type"),
        (lambda lb: lb.pop("properties") and lb.update(properties=[]), "/properties", "[] is not of type"),
    ],
)
def test_finds_what_the_description_does_not_allow(validator, example, edit, where, what):
    edit(example)
    found = validator.check(Exchange("GET", LB, 200, response_body=example))
    assert [each for each in found if each.where.startswith(where) and what in each.what], found


def test_finds_an_unknown_status_and_an_unexpected_body(validator):
    assert validator.check(Exchange("GET", LB, 206, response_body={}))[0].where == "status"
    assert validator.check(Exchange("DELETE", LB, 204, response_body={"a": 1}))[0].what.startswith("a body")
    assert validator.check(Exchange("GET", LB, 200))[0].what == "no body"


def test_finds_an_error_that_is_not_in_arm_s_form(validator):
    good = {"error": {"code": "NotFound", "message": "no", "details": []}}
    assert validator.check(Exchange("GET", LB, 404, response_body=good)) == []
    assert validator.check(Exchange("GET", LB, 404, response_body={"code": "NotFound"}))
    assert validator.check(Exchange("GET", LB, 404, response_body={"error": {"code": "NotFound"}}))
    assert validator.check(Exchange("GET", LB, 404))


def test_finds_a_wrong_request(validator):
    body = {
        "location": "eastus",
        "properties": {"probes": [{"name": "p", "properties": {"protocol": "Http", "prt": 1}}]},
    }
    found = validator.check_request(Exchange("PUT", LB, 201, request_body=body))
    assert {each.where for each in found} == {"request /properties/probes/0/properties"}
    assert len(found) == 2  # `prt` is unknown, `port` is missing


def test_notes_properties_of_newer_versions_and_undescribed_requests(validator, example):
    example["properties"]["scope"] = "Public"
    assert validator.check(Exchange("GET", LB, 200, response_body=example)) == []
    assert validator.newer_properties == {"LoadBalancerPropertiesFormat.scope": 1}
    validator.check(
        Exchange("GET", "/subscriptions/s/providers/Microsoft.Elsewhere/things/t", 200, response_body={})
    )
    assert validator.not_described == {"GET /subscriptions/{}/providers/Microsoft.Elsewhere/things/{}": 1}


def test_shape_of_a_path_keeps_words_and_drops_names():
    assert shape_of(f"{LB}/probes/p") == (
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/loadBalancers/{}/probes/{}"
    )


def test_traffic_log_leaves_out_a_line_that_is_still_being_written(tmp_path):
    log = tmp_path / "traffic.jsonl"
    entry = {
        "method": "GET",
        "url": f"https://host:1{LB}?api-version=2024-01-01",
        "status": 404,
        "requestBody": None,
        "requestHeaders": {},
        "responseBody": {"error": {}},
        "responseHeaders": {"content-type": "application/json"},
    }
    log.write_text(json.dumps(entry) + "\n" + json.dumps(entry)[:40], encoding="utf-8")
    (read,) = read_log(log)
    assert (read.path, read.api_version, read.status) == (LB, "2024-01-01", 404)
