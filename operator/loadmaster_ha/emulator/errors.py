"""ARM's error bodies, each in one place: status, code and text as Azure sends them.

`{"error": {"code", "message", "details"?}}` is the contract's shape. Texts come from recorded traffic,
Microsoft's pages or issue threads; where no source gives one, the docstring says "text assumed". Validation
errors stand beside the rules in the modules of the resource types and use `bad_request`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadmaster_ha.emulator.json_types import JsonObject


class ArmError(Exception):
    """An error answer of ARM.

    Args:
        status: HTTP status.
        code: ARM's error code, for example `ResourceNotFound`.
        message: The text.
        details: Inner errors, `(code, message)` each; `None` leaves the field out, `()` writes `[]`.
        headers: Headers to send, for example `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = dict(headers or {})

    def error(self) -> JsonObject:
        """Return the error object, as also used in the status of a failed operation."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details is not None:
            found["details"] = [{"code": code, "message": message} for code, message in self.details]
        return found

    def body(self) -> JsonObject:
        """Return the answer's body."""
        return {"error": self.error()}


GATEWAY = {"x-ms-failure-cause": "gateway"}


def bad_request(code: str, message: str, *, details: Sequence[tuple[str, str]] | None = ()) -> ArmError:
    """400 of a resource provider's validation, with `details: []` as the network provider writes it."""
    return ArmError(400, code, message, details=details)


def invalid_format(detail_code: str, detail: str) -> ArmError:
    """400 `InvalidRequestFormat`, whose `details` carry the real code."""
    return ArmError(400, "InvalidRequestFormat", "Cannot parse the request.", details=[(detail_code, detail)])


def resource_not_found(type_name: str, name: str, group: str) -> ArmError:
    """404 of ARM's gateway for a top-level resource (recorded)."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{type_name}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        headers=GATEWAY,
    )


def group_not_found(group: str) -> ArmError:
    """404 for anything in a missing resource group (recorded)."""
    return ArmError(
        404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.", headers=GATEWAY
    )


def child_not_found(resource_id: str) -> ArmError:
    """404 of the network provider for a missing child (recorded for subnets)."""
    return ArmError(404, "NotFound", f"Resource {resource_id} not found.", details=())


def subscription_not_found(subscription: str) -> ArmError:
    """404 for a subscription that the caller cannot see."""
    return ArmError(
        404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.", headers=GATEWAY
    )


def missing_api_version() -> ArmError:
    """400 when the query has no api-version."""
    return ArmError(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )


def invalid_api_version(version: str, supported: Sequence[str]) -> ArmError:
    """400 of ARM for an api-version that its own resources (groups, deployments) do not have."""
    return ArmError(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{version}' is invalid. The supported versions are '{','.join(supported)}'.",
    )


def no_registered_provider(kind: str, version: str, location: str, supported: Sequence[str]) -> ArmError:
    """400 for an api-version that a resource provider does not know."""
    return ArmError(
        400,
        "NoRegisteredProviderFound",
        f"No registered resource provider found for location '{location}' and API version '{version}' for "
        "type "
        f"'{kind}'. The supported api-versions are '{', '.join(supported)}'.",
    )


def invalid_resource_type(kind: str, namespace: str, version: str) -> ArmError:
    """404 for a type that the provider does not have."""
    return ArmError(
        404,
        "InvalidResourceType",
        f"The resource type '{kind}' could not be found in the namespace '{namespace}' for api version "
        f"'{version}'.",
    )


def invalid_namespace(namespace: str) -> ArmError:
    """404 for a resource provider that does not exist."""
    return ArmError(
        404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.", headers=GATEWAY
    )


def method_not_allowed(method: str, what: str) -> ArmError:
    """405: the resource is read-only or the verb is not offered (text assumed)."""
    return ArmError(
        405, "HttpMethodNotSupported", f"The request's HTTP method '{method}' is not supported for {what}."
    )


def etag_mismatch(header: str, given: str, current: str | None, resource_id: str) -> ArmError:
    """412 of the network provider (recorded); for a missing resource the text is assumed."""
    if current is None:
        detail = f"cannot be matched: resource {resource_id} does not exist in NRP data store."
    else:
        detail = f"does not match etag {current} of resource {resource_id} in NRP data store."
    return ArmError(
        412,
        "PreconditionFailed",
        "Precondition failed.",
        details=[("PreconditionFailedEtagMismatch", f"Etag provided in {header} header {given} {detail}")],
    )


def compute_etag_mismatch(header: str, given: str, current: str | None) -> ArmError:
    """412 of the compute provider (recorded for a mismatch)."""
    return ArmError(
        412,
        "PreconditionFailed",
        f'Etag provided in {header} header "{given}" does not match etag "{current or ""}" of resource.',
    )


def location_mismatch(name: str, group: str, current: str, wanted: str) -> ArmError:
    """409: a resource never moves to another region."""
    return ArmError(
        409,
        "InvalidResourceLocation",
        f"The resource '{name}' already exists in location '{current}' in resource group '{group}'. A "
        "resource with "
        f"the same name cannot be created in location '{wanted}'. Please select a new resource name.",
    )


def dangling_reference(target: str, source: str) -> ArmError:
    """400 for a reference to something that is not there."""
    return bad_request(
        "InvalidResourceReference",
        f"Resource {target} referenced by resource {source} was not found. Please make sure that the "
        "referenced "
        "resource exists, and that both resources are in the same region.",
    )


def locked(operation: str, operation_id: str, resource_id: str, seconds: int) -> ArmError:
    """429 that is a lock, not throttling: another operation holds the resource.

    There is no Retry-After; the text names the wait.
    """
    return _retryable(
        "RetryableErrorDueToAnotherOperation",
        f"Operation {operation} ({operation_id}) is updating resource {resource_id}. "
        f"The call can be retried in {seconds} seconds.",
    )


def not_provisioned(target: str, source: str, state: str, operation: str) -> ArmError:
    """429: a resource that the written one uses is being changed, or its last change failed."""
    return _retryable(
        "ReferencedResourceNotProvisioned",
        f"Cannot proceed with operation because resource {target} used by resource {source} is not in "
        f"Succeeded state. Resource is in {state} state and the last operation that updated/is updating the "
        f"resource is {operation}.",
    )


def _retryable(code: str, message: str) -> ArmError:
    return ArmError(429, "RetryableError", "A retryable error occurred.", details=[(code, message)])


def operation_in_progress(status_url: str) -> ArmError:
    """409: virtual networks take one write at a time."""
    return ArmError(
        409,
        "AnotherOperationInProgress",
        "Another operation on this or dependent resource is in progress. To retrieve status of the operation "
        "use "
        f"uri: {status_url}.",
        details=(),
    )


def superseded(operation: str, loser: str, winner_operation: str, winner: str) -> ArmError:
    """The error in the status of an operation that a second PUT replaced."""
    return ArmError(
        200,
        "CanceledAndSupersededDueToAnotherOperation",
        f"Operation {operation} ({loser}) was canceled and superseded by operation {winner_operation} "
        f"({winner}).",
        details=(),
    )


def throttled(seconds: int, *, code: str, message: str) -> ArmError:
    """429 of a token bucket, with the time to wait."""
    return ArmError(429, code, message, headers={"Retry-After": str(seconds)})
