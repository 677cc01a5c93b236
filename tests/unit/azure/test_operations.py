"""Long-running operations: which style applies, and what each poll says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.azure import operations
from loadmaster_ha.azure.outcomes import Done, Operation, Outdated, Refused, Running, TryLater
from loadmaster_ha.azure.transport import ArmRequest, ArmResponse, ConnectionFailed, Verb
from loadmaster_ha.planning.arm import network

BALANCER = network("s", "edge", "loadBalancers", "web")
NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
URL = "https://management.azure.com/operations/1?s=signed"
PUT, DELETE = ArmRequest(Verb.PUT, BALANCER), ArmRequest(Verb.DELETE, BALANCER)


def state(value):
    return {"properties": {"provisioningState": value}}


def begun(request, status, headers=None, body=None):
    return operations.begun(request, ArmResponse(status, headers or {}, body), now=NOW)


def operation(style="AsyncOperation", verb="PUT", age=0.0):
    started = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    return Operation(BALANCER, verb, URL, style, started)


def looked(style, status, body=None, headers=None, *, verb="PUT", age=0.0):
    response = ArmResponse(status, headers or {}, body)
    return operations.looked(operation(style, verb, age), response, now=NOW)


@pytest.mark.parametrize(
    ("request_", "status", "headers", "body", "style"),
    [
        (PUT, 201, {"azure-asyncoperation": URL, "location": URL + "x"}, state("Updating"), "AsyncOperation"),
        (PUT, 200, {"azure-asyncoperation": URL}, state("Succeeded"), "AsyncOperation"),
        (PUT, 202, {"location": URL}, None, "Location"),
        (PUT, 201, {}, state("Updating"), "Resource"),
        (PUT, 202, {}, None, "Resource"),
        (DELETE, 202, {"azure-asyncoperation": URL, "location": URL + "x"}, None, "AsyncOperation"),
        (DELETE, 202, {"location": URL}, None, "Location"),
        (DELETE, 200, {"azure-asyncoperation": URL}, None, "AsyncOperation"),
        (DELETE, 202, {}, None, "Resource"),
    ],
)
def test_the_style_follows_the_sdks_order(request_, status, headers, body, style):
    outcome = begun(request_, status, headers, body)

    assert isinstance(outcome, Running)
    assert outcome.operation.style == style
    assert outcome.operation.started == "2026-11-23T04:00:00Z"
    if style != "Resource":
        assert outcome.operation.url == URL


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (PUT, 200, state("Succeeded")),
        (PUT, 201, state("Succeeded")),
        (PUT, 200, {"properties": {}}),  # availability sets have no state
        (PUT, 201, None),
        (DELETE, 200, None),
        (DELETE, 204, None),
    ],
)
def test_without_an_operation_the_write_is_done(request_, status, body):
    assert begun(request_, status, {}, body) == Done()


def test_an_operation_on_a_finished_resource_is_looked_at_at_once():
    headers = {"azure-asyncoperation": URL}
    assert begun(PUT, 201, headers, state("Succeeded")).after == 0
    assert begun(PUT, 201, headers, state("Updating")).after == operations.FIRST_LOOK
    assert begun(PUT, 201, {**headers, "retry-after": "8"}, state("Succeeded")).after == 8


@pytest.mark.parametrize("word", ["Succeeded", "succeeded", "SUCCEEDED"])
def test_the_end_is_told_in_any_case(word):
    assert looked("AsyncOperation", 200, {"status": word}) == Done()


@pytest.mark.parametrize("word", ["InProgress", "Running", "Updating", "Canceling", "", None])
def test_any_other_word_means_still_running(word):
    assert isinstance(looked("AsyncOperation", 200, {"status": word}), Running)


def test_the_delay_grows_with_the_age_and_obeys_azure():
    delays = [looked("AsyncOperation", 200, {"status": "Running"}, age=age).after for age in (0, 8, 20, 400)]
    assert delays == [0.5, 2, 5, 10]
    assert looked("AsyncOperation", 200, {"status": "Running"}, {"retry-after": "25"}).after == 25


def test_azures_word_to_look_again_at_once_is_no_reason_to_ask_without_a_pause():
    for answer in (
        ArmResponse(200, {"retry-after": "0"}, {"status": "Running"}),
        ArmResponse(503, {"retry-after": "0"}),
    ):
        assert operations.looked(operation(), answer, now=NOW).after == operations.FIRST_DELAY


def test_a_url_too_long_to_be_kept_in_status_is_not_needed():
    long = {"azure-asyncoperation": f"https://management.azure.com/operations/1?t={'x' * 8192}"}
    found = begun(PUT, 201, long, state("Updating")).operation
    assert (found.style, found.url) == ("Resource", "")


def test_a_location_is_202_until_it_is_over():
    assert isinstance(looked("Location", 202), Running)
    assert looked("Location", 200, state("Succeeded")) == Done()
    assert looked("Location", 204) == Done()


@pytest.mark.parametrize(
    ("verb", "status", "body", "kind"),
    [
        ("PUT", 200, state("Updating"), Running),
        ("PUT", 200, state("Succeeded"), Done),
        ("PUT", 200, {"properties": {}}, Done),
        ("PUT", 200, state("Failed"), TryLater),
        ("PUT", 200, state("Canceled"), Outdated),
        ("PUT", 404, {"error": {"code": "ResourceNotFound", "message": "m"}}, Outdated),
        ("DELETE", 404, {"error": {"code": "ResourceNotFound", "message": "m"}}, Done),
        ("DELETE", 200, state("Deleting"), Running),
        ("DELETE", 200, state("Succeeded"), Running),
    ],
)
def test_a_resource_tells_its_own_end(verb, status, body, kind):
    assert type(looked("Resource", status, body, verb=verb)) is kind


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_cannot_be_read_now_is_no_failed_operation(status):
    assert isinstance(looked("AsyncOperation", status), Running)


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_status_that_cannot_be_read_at_all_is_found_out_by_observing(status):
    assert isinstance(looked("AsyncOperation", status), Outdated)


def test_a_failed_operation_tells_why():
    body = {"status": "Failed", "error": {"code": "PrivateIPAddressIsAllocated", "message": "IP is taken."}}
    assert looked("AsyncOperation", 200, body) == Refused("PrivateIPAddressIsAllocated", "IP is taken.")


def test_an_operation_without_end_is_given_up():
    assert isinstance(looked("AsyncOperation", 200, {"status": "Running"}, age=3700), Outdated)
    lost = operations.lost(operation(age=3700), ConnectionFailed("Timeout", "m", sent=True), now=NOW)
    assert isinstance(lost, Outdated)


def test_without_connection_it_goes_on():
    failure = ConnectionFailed("Unreachable", "m", sent=False)
    assert isinstance(operations.lost(operation(), failure, now=NOW), Running)


@given(started=st.text(max_size=30))
def test_an_unreadable_start_is_no_obstacle(started):
    odd = Operation(BALANCER, "PUT", URL, "AsyncOperation", started)
    outcome = operations.looked(odd, ArmResponse(200, {}, {"status": "Running"}), now=NOW)
    assert isinstance(outcome, Running | Outdated)


def test_each_style_is_polled_where_it_says():
    assert operations.poll(operation("AsyncOperation")) == ArmRequest(Verb.POLL, BALANCER, url=URL)
    assert operations.poll(operation("Location")) == ArmRequest(Verb.POLL, BALANCER, url=URL)
    assert operations.poll(operation("Resource")) == ArmRequest(Verb.GET, BALANCER)
