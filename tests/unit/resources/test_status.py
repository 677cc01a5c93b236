"""What the controller writes into status fits the schema, also at its largest."""

import jsonschema

from loadmaster_ha.azure.outcomes import Operation
from loadmaster_ha.controller.status import Situation
from loadmaster_ha.controller.status_pair import Parts, render
from loadmaster_ha.controller.status_units import UnitRow, UnitsSituation
from loadmaster_ha.controller.watching.model import Failover, UnitSight, WatchSituation
from loadmaster_ha.domain.findings import Finding, Severity
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.unit_changes import DeleteService
from loadmaster_ha.domain.units import Active, ObservedState, Trigger, UnitKind
from loadmaster_ha.domain.virtual_services import ServiceKey, VirtualService
from loadmaster_ha.planning.arm import network
from loadmaster_ha.planning.changes import Delete, Difference, Plan, Put, Section
from loadmaster_ha.planning.diagnosis.model import Diagnosis, PairHealth
from loadmaster_ha.planning.units.observation import UnitRecord
from loadmaster_ha.planning.units.plan import UnitPlan
from loadmaster_ha.resources import crd
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairStatus
from loadmaster_ha.resources.status import SwitchoverOutcome, SwitchoverStatus

STATUS = crd.schema()["properties"]["status"]
BALANCER = network("11111111-2222-3333-4444-555555555555", "g" * 90, "loadBalancers", "b" * 80)
NOW = "2026-11-23T04:00:00Z"


def many_changes():
    differences = tuple(Difference(f"probes[{n}].port", "x" * 500, "y" * 500) for n in range(300))
    put = Put(Section.LOAD_BALANCER, BALANCER, {}, "etag", differences)
    delete = Delete(Section.LOAD_BALANCER, BALANCER, "etag", "z" * 5000)
    return (put, delete) * 100


def largest_units():
    records = UnitRecord("i" * 200, "d" * 32, "b" * 200)
    row = UnitRow("255.255.255.255", UnitKind.APPLIANCE, "7" * 100, "f" * 64, records)
    service = VirtualService(0, ServiceKey("255.255.255.255", 65535), nickname="n" * 127)
    plan = UnitPlan(
        held_back=tuple(DeleteService(role, service, "w" * 2000) for role in Role for _ in range(60)),
        findings=tuple(Finding("Waits", "m" * 2000, severity) for severity in Severity for _ in range(30)),
        reboots_owed=dict.fromkeys(Role, "y" * 2000),
    )
    switchover = SwitchoverStatus(
        requested="slave", outcome=SwitchoverOutcome.ABORTED, reason="r" * 1024, time=NOW, gap_seconds=0.0
    )
    return UnitsSituation(7, plan=plan, rows=dict.fromkeys(Role, row), switchover=switchover)


def largest_watch():
    states = dict.fromkeys(Role, ObservedState.UNCONNECTED)
    diagnosis = Diagnosis(
        PairHealth.BALANCER_MISCONFIGURED,
        Active.UNKNOWN,
        states,
        healthy=False,
        cause="c" * 2000,
        evidence=("e" * 2000,) * 50,
        remedy="r" * 2000,
        serving=False,
    )
    sights = {
        role: UnitSight(role, UnitKind.AGENT, ObservedState.UNCONNECTED, "7" * 100, 1.8e9) for role in Role
    }
    failover = Failover(1.8e9, Role.SLAVE, Role.MASTER, Trigger.PROCESS_DIED, "r" * 2000, 4.25)
    return WatchSituation(diagnosis, sights, failover)


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
        },
    )
    parts = Parts(managed=True, azure=situation, units=largest_units(), watch=largest_watch())
    status = render(parts, {}, now=NOW)
    jsonschema.validate(status, STATUS)
    # Refuses unknown fields, which the server would prune.
    parsed = LoadMasterPairStatus.model_validate(status)
    assert parsed.azure is not None
    assert parsed.azure.operations[0].verb == "PUT"
    assert parsed.pending
    assert parsed.azure.differences
    assert len(parsed.units) == 2
    assert parsed.last_failover is not None
    assert parsed.last_switchover is not None
    assert parsed.to_wire() == status


def test_the_first_status_of_the_controller_fits_the_schema():
    status = render(Parts(azure=Situation(generation=1)), {}, now=NOW)
    jsonschema.validate(status, STATUS)
    assert LoadMasterPairStatus.model_validate(status).observed_generation == 1
