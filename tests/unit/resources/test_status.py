"""What the controller writes into status fits the schema, also at its largest."""

import jsonschema

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller.status import Situation, render
from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.planning.arm import network
from loadmaster_ha.planning.changes import Delete, Difference, Plan, Put, Section
from loadmaster_ha.resources import crd
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairStatus

STATUS = crd.schema()["properties"]["status"]
BALANCER = network("11111111-2222-3333-4444-555555555555", "g" * 90, "loadBalancers", "b" * 80)
NOW = "2026-11-23T04:00:00Z"


def many_changes():
    differences = tuple(Difference(f"probes[{n}].port", "x" * 500, "y" * 500) for n in range(300))
    put = Put(Section.LOAD_BALANCER, BALANCER, {}, "etag", differences)
    delete = Delete(Section.LOAD_BALANCER, BALANCER, "etag", "z" * 5000)
    return (put, delete) * 100


def test_the_largest_status_of_the_controller_fits_the_schema():
    findings = tuple(
        Finding("PortTaken", "m" * 2000, severity, "spec.services")
        for severity in Severity
        for _ in range(30)
    )
    situation = Situation(
        generation=7,
        observing=True,
        plan=Plan(held_back=many_changes(), findings=findings),
        operation=Operation(
            BALANCER, "PUT", "https://management.azure.com/" + "u" * 8000, "AsyncOperation", NOW
        ),
        status_fields={
            "frontend": {"address": "10.0.2.100"},
            "expectedFailover": {
                "processDiedSeconds": {"min": 0, "max": 5},
                "silentSeconds": {"min": 10, "max": 15},
            },
            "active": "Master",
            "units": [
                {
                    "role": role,
                    "kind": "Appliance",
                    "address": "255.255.255.255",
                    "state": "Unconnected",
                    "firmware": "7.2.54.12.22642.RELEASE",
                    "lastSeenTime": NOW,
                    "certificateFingerprint": "f" * 64,
                    "identity": "i" * 128,
                    "secretVersion": "d" * 64,
                    "modeWrittenAtBoot": "b" * 64,
                }
                for role in ("Master", "Slave")
            ],
            "lastFailover": {
                "time": NOW,
                "from": "Slave",
                "to": "Master",
                "trigger": "ProcessDied",
                "reason": "r" * 1024,
                "durationSeconds": 4.25,
            },
            "lastSwitchover": {
                "requested": "slave",
                "outcome": "Aborted",
                "reason": "r" * 1024,
                "time": NOW,
                "gapSeconds": 0,
            },
        },
    )
    status = render(situation, {}, now=NOW)
    jsonschema.validate(status, STATUS)
    # Refuses unknown fields, which the server would prune.
    parsed = LoadMasterPairStatus.model_validate(status)
    assert parsed.azure is not None
    assert parsed.azure.operations[0].verb == "PUT"
    assert parsed.pending
    assert parsed.azure.differences
    assert parsed.to_wire() == status


def test_the_first_status_of_the_controller_fits_the_schema():
    status = render(Situation(generation=1), {}, now=NOW)
    jsonschema.validate(status, STATUS)
    assert LoadMasterPairStatus.model_validate(status).observed_generation == 1
