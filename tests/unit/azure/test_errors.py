"""What each answer of Azure means. The codes and texts are Azure's own."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.azure import errors
from loadmaster_ha.azure.outcomes import Done, Outdated, Refused, Running, TryLater
from loadmaster_ha.azure.transport import ArmResponse, ConnectionFailed


def answer(status, code=None, message="In words.", *, details=(), headers=None):
    body = {"error": {"code": code, "message": message, "details": list(details)}} if code else None
    return ArmResponse(status, headers or {}, body)


def detail(code, message="The detail."):
    return {"code": code, "message": message}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (412, "PreconditionFailed", Outdated),
        (412, "SomethingElse", Outdated),
        (409, "OperationPreempted", Outdated),
        (404, "ParentResourceNotFound", Outdated),
        (409, "AnotherOperationInProgress", TryLater),
        (400, "AnotherOperationInProgress", TryLater),
        (429, "RetryableError", TryLater),
        (409, "Conflict", TryLater),
        (409, "ReferencedResourceNotProvisioned", TryLater),
        (429, "SubscriptionRequestsThrottled", TryLater),
        (429, "TooManyRequests", TryLater),
        (429, "AnUnknownReason", TryLater),
        (429, None, TryLater),
        (500, "InternalServerError", TryLater),
        (502, None, TryLater),
        (503, "ServiceUnavailable", TryLater),
        (504, "GatewayTimeout", TryLater),
        (429, "GatewayError", TryLater),
        (408, None, TryLater),
        (403, "AuthorizationFailed", Refused),
        (403, "LinkedAuthorizationFailed", Refused),
        (403, "RequestDisallowedByPolicy", Refused),
        (409, "ScopeLocked", Refused),
        (409, "ReadOnlyDisabledSubscription", Refused),
        (409, "ResourceGroupBeingDeleted", Refused),
        (404, "ResourceGroupNotFound", Refused),
        (404, "SubscriptionNotFound", Refused),
        (400, "InvalidSubscriptionId", Refused),
        (409, "MissingSubscriptionRegistration", Refused),
        (400, "PublicIPCountLimitReached", Refused),
        (409, "QuotaExceeded", Refused),
        (400, "LoadBalancerRuleCountLimitReachedForNic", Refused),
        (400, "RulesOfSameLoadBalancerTypeUseSameBackendPortProtocolAndIPConfig", Refused),
        (400, "PrivateIPAddressIsAllocated", Refused),
        (400, "SecurityRuleConflict", Refused),
        (418, None, Refused),
    ],
)
def test_every_known_answer_to_a_write_has_its_meaning(status, code, kind):
    outcome = errors.outcome_of_write(answer(status, code))

    assert type(outcome) is kind
    assert outcome.message
    assert outcome.reason.isalnum()


@pytest.mark.parametrize("code", ["SubscriptionRequestsThrottled", "TooManyRequests", "Unheard", None])
def test_429_is_throttling_unless_its_code_says_otherwise(code):
    assert errors.is_throttling(answer(429, code))
    assert errors.outcome_of_write(answer(429, code)).throttled
    assert errors.outcome_of_write(answer(429, code)).reason == "Throttled"


@pytest.mark.parametrize(
    "code",
    ["RetryableErrorDueToAnotherOperation", "ReferencedResourceNotProvisioned", "AnotherOperationInProgress"],
)
def test_429_of_a_lock_is_no_throttling_and_names_the_lock(code):
    locked = answer(429, "RetryableError", details=[detail(code)])

    assert not errors.is_throttling(locked)
    assert errors.outcome_of_write(locked) == TryLater(code, "In words. The detail.", errors.BUSY)


def test_the_wait_comes_from_the_header_before_the_text_before_the_default():
    text = "The call can be retried in 11 seconds."
    assert errors.outcome_of_write(answer(429, "RetryableError", text)).after == 11
    assert (
        errors.outcome_of_write(answer(429, "RetryableError", text, headers={"retry-after": "4"})).after == 4
    )
    assert errors.outcome_of_write(answer(429, "RetryableError")).after == errors.BUSY


def test_nested_details_reach_the_message():
    outer = {"code": "A", "message": "Outer.", "details": [{"code": "B", "message": "Inner.", "details": []}]}
    deeper = detail("InvalidRequestFormat", "Cannot parse the request.") | {"details": [outer]}

    refused = errors.outcome_of_write(ArmResponse(400, {}, {"error": deeper}))

    assert refused == Refused("InvalidRequestFormat", "Cannot parse the request. Outer. Inner.")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AuthorizationFailed", "permissions.md"),
        ("ScopeLocked", "Remove the lock"),
        ("MissingSubscriptionRegistration", "az provider register"),
        ("QuotaExceeded", "quota"),
        ("SubscriptionNotFound", "spec.azure.subscriptionID"),
    ],
)
def test_a_refusal_says_what_to_do(code, remedy):
    assert remedy in errors.outcome_of_write(answer(403, code)).message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Mon, 23 Nov 2026 04:00:30 GMT"}, 30),
        ({"retry-after": "Mon, 23 Nov 2026 03:00:00 GMT"}, 0),
        ({"retry-after": "99999999"}, errors.LONGEST_WAIT),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_every_form_of_retry_after_is_understood(headers, seconds):
    assert errors.retry_after(headers, now=datetime(2026, 11, 23, 4, 0, tzinfo=UTC)) == seconds


def test_a_lost_answer_is_looked_for_soon_and_an_unreachable_azure_is_left_in_peace():
    lost = errors.outcome_of_lost_connection(ConnectionFailed("AnswerLost", "broke", sent=True))
    unreachable = errors.outcome_of_lost_connection(ConnectionFailed("Unreachable", "refused", sent=False))

    assert lost == TryLater("AnswerLost", "broke", errors.SHORT)
    assert unreachable == TryLater("Unreachable", "refused", errors.FAULT)


@pytest.mark.parametrize(
    ("body", "cancelled", "kind"),
    [
        ({"error": {"code": "CanceledAndSupersededDueToAnotherOperation", "message": "m"}}, True, Outdated),
        ({"error": {"code": "OperationPreempted", "message": "m"}}, False, Outdated),
        ({"error": {"code": "SomethingCanceled", "message": "m"}}, True, Outdated),
        ({}, True, Outdated),
        ({"error": {"code": "ReferencedResourceNotProvisioned", "message": "m"}}, False, TryLater),
        ({"error": {"code": "InternalServerError", "message": "m"}}, False, TryLater),
        ({}, False, TryLater),
        ({"error": {"code": "QuotaExceeded", "message": "m"}}, False, Refused),
        ({"error": {"code": "PrivateIPAddressIsAllocated", "message": "m"}}, False, Refused),
    ],
)
def test_a_long_running_operation_that_ended_badly_has_its_meaning(body, cancelled, kind):
    assert type(errors.outcome_of_failure(body, cancelled=cancelled)) is kind


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "message", "details", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(status=st.integers(300, 599), body=json_values, header=st.text(max_size=5))
def test_no_body_is_too_odd(status, body, header):
    response = ArmResponse(status, {"retry-after": header}, body)

    outcome = errors.outcome_of_write(response)

    assert not isinstance(outcome, Done | Running)
    assert outcome.reason
    errors.reading_of_refusal(response)
    errors.outcome_of_failure(body, cancelled=False)
