"""What an answer of Resource Manager means: the one place that knows Azure's error codes.

`outcome_of_write` for answers to PUT and DELETE, `reading_of` for answers to GET; long-running operations
that ended badly are in `outcome_of_failure`. The codes come from Microsoft's "Resource Manager
troubleshooting" and "Network error codes" pages and from recordings of real traffic. What is not known is
judged by its status: 4xx is a refusal, 5xx will pass.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from loadmaster_ha.azure.credentials import SignInRefused
from loadmaster_ha.azure.outcomes import Outcome, Outdated, Refused, TryLater
from loadmaster_ha.azure.transport import ArmResponse, ConnectionFailed
from loadmaster_ha.domain.reading import Absent, Reading, Unknown

SHORT: Final = 1.0
"""Seconds until a look again after something that has probably passed by then (a lost answer)."""

BUSY: Final = 5.0
"""Seconds until the next try at a resource that another operation holds, where Azure does not say."""

FAULT: Final = 15.0
"""Seconds until the next try after a fault of Azure's, where it does not say."""

THROTTLED: Final = 30.0
"""Seconds for which a 429 without `Retry-After` closes the gate."""

LONGEST_WAIT: Final = 3600.0
"""No header makes us wait longer than this (seconds)."""

_IN_SECONDS: Final = re.compile(r"\b(?:retried|retry|again)\s+(?:in|after)\s+(\d+)\s+seconds?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ArmError:
    """The error of an answer or of an operation: its code, its message, and the codes of its details."""

    code: str
    message: str
    codes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, body: Any, *, fallback: str = "") -> "ArmError":
        """Read `{"error": {"code", "message", "details": [...]}}`, also without the envelope."""
        error = body.get("error", body) if isinstance(body, Mapping) else None
        if isinstance(error, Mapping):
            nodes = list(_nodes(error))
            # The outermost code is often a mere "RetryableError" or "InvalidRequestFormat"; people need the
            # detail.
            codes = frozenset(str(node["code"]) for node in nodes if node.get("code"))
            telling = next(
                (node for node in reversed(nodes) if node.get("code") and node.get("message")), error
            )
            code = str(error.get("code") or telling.get("code") or fallback)
            messages = dict.fromkeys(str(node["message"]).strip() for node in nodes if node.get("message"))
            return cls(code, " ".join(messages) or code, codes)
        return cls(fallback, fallback)

    @property
    def reason(self) -> str:
        """A CamelCase word for a condition."""
        word = re.sub(r"[^A-Za-z0-9]", "", self.code)
        return word[:1].upper() + word[1:] if word and word[0].isalpha() else "AzureError"

    def has(self, *codes: str) -> bool:
        """Whether one of these is the code, or the code of a detail."""
        return not self.codes.isdisjoint(codes)


def _nodes(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield error
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping):
            yield from _nodes(detail)


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that the answer asks to wait (`Retry-After`, or in milliseconds); None when it does not say."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (text := headers.get(name, "")).strip().isdigit():
            return min(int(text) / 1000, LONGEST_WAIT)
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    seconds = (until - (now or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), LONGEST_WAIT)


def _wait(error: ArmError, headers: Mapping[str, str], default: float) -> float:
    found = retry_after(headers)
    if found is None and (text := _IN_SECONDS.search(error.message)):
        found = min(float(text.group(1)), LONGEST_WAIT)
    return default if found is None else found


Verdict = Callable[[ArmError, Mapping[str, str]], Outcome]


def _outdated(error: ArmError, _: Mapping[str, str]) -> Outcome:
    return Outdated(error.reason, error.message)


def _later(default: float) -> Verdict:
    def verdict(error: ArmError, headers: Mapping[str, str]) -> Outcome:
        return TryLater(_telling(error), error.message, _wait(error, headers, default))

    return verdict


def _throttled(error: ArmError, headers: Mapping[str, str]) -> Outcome:
    message = f"Azure throttles requests of this subscription: {error.message}"
    return TryLater("Throttled", message, _wait(error, headers, THROTTLED), throttled=True)


def _refused(remedy: str = "") -> Verdict:
    def verdict(error: ArmError, _: Mapping[str, str]) -> Outcome:
        text = error.message.rstrip(".")
        return Refused(error.reason, f"{text}. {remedy}." if remedy else error.message)

    return verdict


def _telling(error: ArmError) -> str:
    """The detail's code where the outer one says nothing."""
    details = sorted(error.codes - {error.code})
    return details[0] if error.code == "RetryableError" and details else error.reason


_NO_RIGHTS: Final = "Give the operator's identity the role in docs/permissions.md, on this scope"
_QUOTA: Final = "Ask for a higher quota (portal: Subscriptions, Usage + quotas), or remove what is not used"

# In this order: what a detail says counts more than the code around it.
_CODES: Final[tuple[tuple[tuple[str, ...], Verdict], ...]] = (
    (("PreconditionFailed", "PreconditionFailedEtagMismatch", "ConditionNotMet"), _outdated),
    (("CanceledAndSupersededDueToAnotherOperation", "OperationPreempted"), _outdated),
    (("ReferencedResourceNotProvisioned", "ResourceNotProvisioned"), _later(BUSY)),
    (
        ("RetryableErrorDueToAnotherOperation", "AnotherOperationInProgress", "OperationInProgress"),
        _later(BUSY),
    ),
    (("RetryableError",), _later(BUSY)),
    (
        (
            "SubscriptionRequestsThrottled",
            "TooManyRequests",
            "ResourceRequestsThrottled",
            "TenantRequestsThrottled",
        ),
        _throttled,
    ),
    (("ScopeLocked",), _refused("Remove the lock, or set policy.mode to Observe")),
    (("RequestDisallowedByPolicy",), _refused("Change the policy assignment or exempt this resource group")),
    (("AuthorizationFailed", "LinkedAuthorizationFailed", "InvalidAuthorizationScope"), _refused(_NO_RIGHTS)),
    (
        ("ReadOnlyDisabledSubscription", "SubscriptionNotRegistered"),
        _refused("Have the subscription enabled again"),
    ),
    (
        ("SubscriptionNotFound", "InvalidSubscriptionId"),
        _refused("Check spec.azure.subscriptionID and the tenant"),
    ),
    (
        ("MissingSubscriptionRegistration",),
        _refused("Register the provider once: az provider register --namespace Microsoft.Network"),
    ),
    (("ResourceGroupBeingDeleted",), _refused("The resource group is on its way out; choose another one")),
    (("ResourceGroupNotFound",), _refused("Create the resource group, or correct spec.azure.resourceGroup")),
    (
        (
            "QuotaExceeded",
            "PublicIPCountLimitReached",
            "LoadBalancerRuleCountLimitReached",
            "LoadBalancerRuleCountLimitReachedForNic",
            "ResourceCountLimitExceeded",
            "SubscriptionLimitExceeded",
            "SecurityRuleCountLimitReached",
            "ResourceQuotaExceeded",
        ),
        _refused(_QUOTA),
    ),
    (("ParentResourceNotFound", "NotFound", "ResourceNotFound"), _outdated),  # gone since it was observed
    (("Conflict",), _later(BUSY)),
    (
        ("ServerTimeout", "GatewayTimeout", "GatewayError", "InternalServerError", "ServiceUnavailable"),
        _later(FAULT),
    ),
    (("InternalError", "InternalServerErrorWithRetry", "OperationTimedOut"), _later(FAULT)),
)


def outcome_of_write(response: ArmResponse) -> Outcome:
    """What a refused PUT or DELETE (status 400 and above, or an unexpected redirect) means for the write."""
    error = ArmError.of(response.body, fallback=f"HTTP{response.status}")
    if response.status == 412:
        return Outdated("PreconditionFailed", error.message)
    for codes, verdict in _CODES:
        if error.has(*codes):
            return verdict(error, response.headers)
    if response.status == 429:
        return _throttled(error, response.headers)
    if response.status in (408, 425) or response.status >= 500:
        return _later(FAULT)(error, response.headers)
    return _refused()(error, response.headers)


def outcome_of_failure(body: Any, *, cancelled: bool) -> Outcome:
    """What a long-running operation that ended `Failed` or `Canceled` means; `body` is that of its status."""
    error = ArmError.of(body, fallback="OperationCanceled" if cancelled else "OperationFailed")
    if not error.codes:
        message = f"the operation ended {'Canceled' if cancelled else 'Failed'} and Azure does not say why"
        return Outdated(error.reason, message) if cancelled else TryLater(error.reason, message, FAULT)
    for codes, verdict in _CODES:
        if error.has(*codes):
            return verdict(error, {})
    return Outdated(error.reason, error.message) if cancelled else _refused()(error, {})


def outcome_of_lost_connection(failure: ConnectionFailed) -> TryLater:
    """No answer. When the request may have arrived, the next observation shows whether it did."""
    return TryLater(failure.reason, failure.message, SHORT if failure.sent else FAULT)


def sign_in_refusal(response: ArmResponse) -> SignInRefused:
    """What a 401 of Resource Manager (not of sign-in) means: the token is genuine but not taken here."""
    error = ArmError.of(response.body, fallback="Unauthorized")
    return SignInRefused(
        error.reason,
        f"Azure does not accept the token for this subscription: {error.message} "
        "(check that the subscription belongs to the tenant of the credentials)",
    )


def is_throttling(response: ArmResponse) -> bool:
    """Whether a 429 means throttling, and not that another operation holds the resource."""
    if response.status != 429:
        return False
    outcome = outcome_of_write(response)
    return isinstance(outcome, TryLater) and outcome.throttled


def gate_seconds(response: ArmResponse) -> float:
    """For how long a throttling answer closes the gate."""
    return _wait(ArmError.of(response.body), response.headers, THROTTLED)


_GONE: Final = ("ResourceNotFound", "ResourceGroupNotFound", "NotFound", "ParentResourceNotFound")


def is_gone(response: ArmResponse) -> bool:
    """Whether a 404 says that the resource or its group does not exist; a missing subscription does not."""
    return response.status == 404 and ArmError.of(response.body).code in _GONE


def reading_of_refusal(response: ArmResponse) -> Reading[Any]:
    """What an answer to a GET or LIST that is not 2xx says about the resource."""
    error = ArmError.of(response.body, fallback=f"HTTP{response.status}")
    if is_gone(response):
        return Absent(error.reason, error.message)
    outcome = outcome_of_write(response)
    match outcome:
        case TryLater(reason=reason, message=message) | Refused(reason=reason, message=message):
            return Unknown(reason, message)
        case _:
            return Unknown(error.reason, error.message)
