"""What the operator reports about a pair (`status`).

It is written by server-side apply, as the operator's own field manager. `to_wire()` gives what is sent.
Lists are bounded: whoever fills one shortens it and says so.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.units import Active, ObservedState, Trigger, UnitKind
from loadmaster_ha.resources.model import Model, as_whole, keyed_by
from loadmaster_ha.resources.names import IPv4Address

MAX_PENDING: Final = 50
MAX_DIFFERENCES: Final = 100
MAX_OPERATIONS: Final = 32
MAX_TEXT: Final = 1024

Timestamp = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
ResourceIDText = Annotated[str, Field(max_length=2048)]
Seconds = Annotated[int, Field(ge=0, le=2147483647)]


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Verb(StrEnum):
    """What a long-running operation of Azure does."""

    PUT = "PUT"
    DELETE = "DELETE"


class OperationStyle(StrEnum):
    """Where a long-running operation is looked at: the URL of a header, or the resource itself."""

    ASYNC_OPERATION = "AsyncOperation"
    LOCATION = "Location"
    RESOURCE = "Resource"


class Condition(Model):
    """One aspect of the pair's state."""

    type: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=316)]
    """Name of the condition, e.g. Ready."""

    status: ConditionStatus
    """True, False, or Unknown."""

    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None
    """metadata.generation that the condition was found for."""

    last_transition_time: Timestamp
    """When status last changed."""

    reason: Annotated[
        str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", min_length=1, max_length=1024)
    ]
    """Why, in one word that does not change between releases."""

    message: Annotated[str, Field(max_length=32768)]
    """Why, for people: what is wrong, where, and what to do."""


class FrontendStatus(Model):
    """The frontend as it is in Azure."""

    address: IPv4Address | None = None
    """Address that clients use."""


class SecondsRange(Model):
    """A span of possible durations."""

    min: Seconds
    """At least, in seconds."""

    max: Seconds
    """At most, in seconds."""


class ExpectedFailover(Model):
    """How long a failover takes with the present probe.

    Counted from the failure until new connections reach the partner.
    """

    process_died_seconds: SecondsRange
    """The active unit answers the probe, but not with 200 (or refuses the connection)."""

    silent_seconds: SecondsRange
    """The active unit does not answer at all."""


class AzureOperation(Model):
    """A long-running operation that has been started and is not known to be over."""

    resource: ResourceIDText
    """Id of the resource that is written."""

    verb: Verb
    """PUT or DELETE."""

    url: Annotated[str, Field(max_length=8192)]
    """Where the operation is looked at."""

    style: OperationStyle
    """Where the URL is from: the Azure-AsyncOperation or Location header, or the resource itself."""

    started: Timestamp
    """When the operation was started."""


class AzureDifference(Model):
    """One field in Azure that is not as wanted."""

    resource: ResourceIDText
    """Id of the resource."""

    difference: Text
    """The field's path, what it is, and what it should be."""


class AzureStatus(Model):
    """The Azure side of the pair."""

    operations: Annotated[
        tuple[AzureOperation, ...], Field(max_length=MAX_OPERATIONS, json_schema_extra=keyed_by("resource"))
    ] = ()
    """Long-running operations under way; a restarted operator goes on with them."""

    differences: Annotated[
        tuple[AzureDifference, ...], Field(max_length=MAX_DIFFERENCES, json_schema_extra=as_whole())
    ] = ()
    """What differs and is not repaired now (policy.mode Observe, suspended, or held back by a finding)."""


class UnitStatus(Model):
    """One unit as it was seen, and what has to be remembered of it."""

    role: Role
    """Master or Slave."""

    kind: UnitKind | None = None
    """Appliance or Agent."""

    address: IPv4Address | None = None
    """Private address of the unit."""

    state: ObservedState = ObservedState.UNKNOWN
    """Active, Standby, Unconnected, Failed, or Unknown."""

    firmware: Annotated[str, Field(max_length=64)] | None = None
    """Version of the unit's software."""

    last_seen_time: Timestamp | None = None
    """While the unit does not answer: when it did last."""

    certificate_fingerprint: Annotated[str, Field(max_length=95)] | None = None
    """SHA-256 fingerprint of the certificate that the unit showed last, in the form that `openssl x509
    -fingerprint -sha256` prints."""

    identity: Annotated[str, Field(max_length=128)] | None = None
    """What tells this unit from a fresh one at the same address."""

    secret_version: Annotated[str, Field(max_length=64)] | None = None
    """Digest of the version of the Partner Shared Secret that was written to it."""

    refused_credentials: Annotated[str, Field(max_length=64)] | None = None
    """While the unit refuses the credentials: which version of their Secret, at which address. They are not
    tried again, also not by an operator that was restarted, before the Secret is written to."""

    mode_written_at_boot: Annotated[str, Field(max_length=64)] | None = None
    """Boot time of the unit when its HA mode was written last: a reboot is owed while it is the same."""


class FailoverStatus(Model):
    """One change of who is active."""

    time: Timestamp
    """When it was seen."""

    from_: Active = Field(alias="from")
    """Who was active."""

    to: Active
    """Who is active since."""

    trigger: Trigger
    """Planned, ProcessDied, Silent, Failback, or Unknown."""

    reason: Text
    """What was seen."""

    duration_seconds: Annotated[float, Field(ge=0)] | None = None
    """From the last good answer of the old one to the first of the new one, as the operator saw it; absent
    where it did not see both."""


class SwitchoverOutcome(StrEnum):
    """What came of a planned switch-over."""

    DONE = "Done"
    ABORTED = "Aborted"
    REFUSED = "Refused"


class SwitchoverStatus(Model):
    """The planned switch-over that was asked for last."""

    requested: Annotated[str, Field(max_length=32)]
    """The value of the annotation loadmaster.dev/switchover-to."""

    outcome: SwitchoverOutcome
    """Done, Aborted (it was tried; who was active is active), or Refused."""

    reason: Text
    """Why."""

    time: Timestamp
    """When it was over."""

    gap_seconds: Annotated[float, Field(ge=0)] | None = None
    """For how long the frontend did not answer, as the operator saw it; 0 when every answer was good, absent
    when it has not seen all of it."""


class LoadMasterPairStatus(Model):
    """What the operator found and did."""

    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None
    """metadata.generation that the operator has seen last."""

    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=32, json_schema_extra=keyed_by("type"))
    ] = ()
    """State of the pair, by aspect. Ready is the summary."""

    frontend: FrontendStatus | None = None
    """The frontend as it is in Azure."""

    active: Active | None = None
    """Who is active: Master, Slave, Both, None, or Unknown."""

    units: Annotated[tuple[UnitStatus, ...], Field(max_length=2, json_schema_extra=keyed_by("role"))] = ()
    """The units as they were seen."""

    last_failover: FailoverStatus | None = None
    """The last change of who is active."""

    last_switchover: SwitchoverStatus | None = None
    """The last planned switch-over."""

    expected_failover: ExpectedFailover | None = None
    """How long a failover takes with the present probe."""

    pending: Annotated[tuple[Text, ...], Field(max_length=MAX_PENDING, json_schema_extra=as_whole())] = ()
    """What is still to be done or held back, in words."""

    azure: AzureStatus | None = None
    """The Azure side: operations under way and differences."""

    def to_wire(self) -> dict[str, Any]:
        """The status as it is sent to the API server: camelCase, nothing that is None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
