"""Every reason that a condition can show is provoked by a test with real parts, which asserts it by name.

That the planner gives a reason for made-up facts does not say that anybody ever reads it: a real operator on
a real API server, or a real client and a real unit's HTTPS, must have shown it. This module holds the table
of those tests to the code: nothing is missing, nothing is too much, the test exists and names the reason in
its own source (or in the table of cases that it runs). Reasons are told apart by whose they are, since the
same word can mean two things (`VersionSkew`). Meanings and remedies: docs/{azure,units,services}.md,
docs/reference/diagnosis.md.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from loadmaster_ha.controller.conditions import Reason as ControllerReason
from loadmaster_ha.loadmaster.faults import FaultReason
from loadmaster_ha.planning.diagnosis.model import PairHealth
from loadmaster_ha.planning.reasons import Reason as AzureReason
from loadmaster_ha.planning.units.reasons import Reason as UnitsReason
from loadmaster_ha.planning.units.service_reasons import ServiceReason

TESTS = Path(__file__).parents[2]
KINDS = {
    "controller": ControllerReason,
    "azure": AzureReason,
    "units": UnitsReason,
    "services": ServiceReason,
    "calls": FaultReason,
    "health": PairHealth,
}


def of(kind, words):
    """Reasons of one kind."""
    return tuple((kind, word) for word in words.split())


PROVOKED_BY = {
    ("contract/loadmaster/test_client_conduct.py", "test_a_missing_permission_does_not_end_everything"): (
        *of("calls", "Forbidden"),
    ),
    (
        "contract/loadmaster/test_client_conduct.py",
        "test_a_unit_that_drops_everything_is_asked_twice_and_named",
    ): (*of("calls", "RateLimited"),),
    ("e2e/pair/test_pair_guide.py", "test_two_fresh_units_become_a_served_pair_and_single_units_again"): (
        *of("health", "Unconnected"),
    ),
    (
        "e2e/pair/test_pair_refusals.py",
        "test_to_a_unit_with_another_certificate_nothing_is_sent_and_the_one_seen_is_shown",
    ): (*of("health", "Unknown"),),
    (
        "e2e/pair/test_pair_refusals.py",
        "test_units_with_different_shared_secrets_are_told_apart_and_healed_by_a_new_secret",
    ): (*of("health", "SecretMismatch"),),
    ("e2e/pair/test_pair_repair.py", "test_observing_reports_what_was_changed_by_hand_and_leaves_it"): (
        *of("health", "BalancerMisconfigured"),
    ),
    (
        "e2e/pair/test_pair_repair.py",
        "test_synchronisation_cut_by_somebody_elses_security_rule_is_told_with_the_rules_name",
    ): (*of("health", "PartnerUnreachable"),),
    (
        "integration/test_bad_input_conflicts.py",
        "test_a_pair_of_the_same_name_in_another_namespace_does_not_take_the_balancer",
    ): (*of("azure", "OwnedByOther"),),
    ("integration/test_bad_input_conflicts.py", "test_a_second_pair_on_the_same_interfaces_is_refused"): (
        *of("azure", "ConflictingPair"),
    ),
    ("integration/test_bad_input_credentials.py", "test_a_refused_client_secret_is_told_and_not_hammered"): (
        *of("controller", "SignInRefused"),
    ),
    (
        "integration/test_bad_input_credentials.py",
        "test_an_unusable_secret_is_named_and_its_correction_is_noticed",
    ): (*of("controller", "SecretNotFound SecretInvalid"),),
    (
        "integration/test_bad_input_prerequisites.py",
        "test_an_unmet_prerequisite_is_told_before_the_first_write",
    ): (
        *of(
            "azure",
            "ResourceGroupNotFound VirtualNetworkNotFound SubnetNotFound InterfaceNotFound "
            "IpConfigurationNotFound InterfaceNotInVirtualNetwork VirtualMachineNotFound "
            "InterfaceNotAttachedToVirtualMachine VirtualMachinesInDifferentResourceGroups "
            "NoAvailability GuestDiagnosticsEnabled AnotherBalancerOfSameKind "
            "FrontendAddressNotInSubnet FrontendAddressReserved FrontendAddressTaken "
            "PublicAddressNotFound PublicAddressInUse BasicPublicAddress PublicAddressNotIPv4 "
            "BasicLoadBalancer LoadBalancerTypeMismatch LocationMismatch PortTriangle "
            "FrontendPortTaken HighAvailabilityPortsRule RulesLimit NotOwned SecurityGroupNotFound "
            "NoFreePriority ProbeBlocked SynchronisationBlocked ProvisioningFailed",
        ),
    ),
    (
        "integration/test_bad_input_refusals.py",
        "test_reading_without_rights_is_told_and_nothing_is_written",
    ): (*of("azure", "AuthorizationFailed"),),
    (
        "integration/test_faults_fights.py",
        "test_a_fight_over_a_field_is_told_and_not_fought_with_all_might",
    ): (*of("controller", "NotConverging"),),
    ("integration/test_operator_lifecycle.py", "test_force_lets_a_pair_go_whose_azure_is_out_of_reach"): (
        *of("controller", "AzureUnreachable"),
    ),
    ("integration/test_operator_lifecycle.py", "test_observing_reports_field_by_field_and_writes_nothing"): (
        *of("controller", "ObserveMode"),
    ),
    (
        "integration/test_operator_lifecycle.py",
        "test_suspended_nothing_is_written_and_differences_are_told",
    ): (*of("controller", "Drift Suspended"),),
    ("integration/test_operator_process.py", "test_a_running_operation_is_gone_on_with_after_a_restart"): (
        *of("controller", "OperationRunning"),
    ),
    ("integration/test_reasons_of_azure.py", "test_a_risk_in_azure_is_told_with_its_place_and_remedy"): (
        *of(
            "azure",
            "DynamicUnitAddress UnitAddressMismatch NoExplicitOutbound SecurityGroupNotAttached "
            "ForeignDenyRule NoSecurityGroup NotLetInBySecurityGroup PrerequisiteNotChecked "
            "EntryInUseByOthers CouldNotRead ReferencedResourceUpdating SubnetMismatch",
        ),
        *of("controller", "ChangedMeanwhile"),
    ),
    (
        "integration/test_reasons_of_azure.py",
        "test_an_answer_that_azures_own_description_forbids_is_told_stops_writing_and_passes",
    ): (*of("controller", "InternalError"),),
    ("integration/test_reasons_of_azure.py", "test_an_admin_state_that_overrides_the_probe_is_told"): (
        *of("azure", "AdminStateOverride"),
    ),
    ("integration/test_reasons_of_health.py", "test_a_sick_pair_is_told_by_word_cause_and_remedy"): (
        *of(
            "health",
            "BothActive NoneActive NotConfigured PortMismatch PartnerMismatch VersionSkew "
            "ServiceUnreachable LicensingFailed Booting Unlicensed MixedUnits ModeConflict SyncStale",
        ),
        *of("controller", "FrontendNotServed"),
        *of("units", "MixedUnits"),
    ),
    ("integration/test_reasons_of_health.py", "test_a_sound_pair_says_so_in_every_condition"): (
        *of(
            "controller",
            "Synced Idle ProgressPossible NotSuspended NotDeleting FrontendServed SameVersion NoRebootOwed",
        ),
        *of("health", "ActiveStandby"),
    ),
    (
        "integration/test_reasons_of_services.py",
        "test_a_trouble_of_the_services_is_told_by_name_place_and_remedy",
    ): (
        *of("controller", "Applying"),
        *of(
            "services",
            "RealServerIsService VirtualServiceClash VirtualServiceOwnedByOther ServicePortsExchanged "
            "CertificateNotFound NoRealServers NoUnitTakesWrites ServicesUnknown "
            "VirtualServiceLeftAlone CertificateUnknown CertificateNotComparable RealServersUnknown "
            "ServiceAddressUnknown StillPublished ServicePortStillInUse Draining ServiceNotPossible "
            "ServicePortReserved",
        ),
        *of("azure", "RealServerBlocked"),
        *of("calls", "StandbyRefuses"),
    ),
    (
        "integration/test_reasons_of_units.py",
        "test_a_switch_over_is_told_while_it_lasts_and_then_why_it_was_aborted",
    ): (*of("controller", "SwitchingOver"),),
    (
        "integration/test_reasons_of_units.py",
        "test_a_trouble_of_the_units_is_told_by_name_place_and_remedy",
    ): (
        *of("controller", "CleaningUp RebootOwed DifferentVersions NotObserved"),
        *of(
            "units",
            "SameUnit UnitAddressUnknown RolesExchanged ServingUnitNotMaster BothUnitsServing "
            "ServicesNotRead SharedSecretRequired SharedSecretNotSupported SharedSecretWaits VersionSkew "
            "AffectedFirmware CheckPortWaits UnitRebooting RebootWaits SharedSecretRotation "
            "CheckPortChanges",
        ),
        *of(
            "calls",
            "TimedOut ApiDisabled Booting Unlicensed EulaNotAccepted LicensingFailed UnknownCommand "
            "InvalidRequest Unavailable Malformed TooLarge Unreachable Refused AnswerLost",
        ),
    ),
    (
        "integration/test_reasons_of_units.py",
        "test_units_wait_with_the_deletion_while_azure_leads_to_them_again",
    ): (*of("units", "StillPublished"),),
    (
        "integration/test_reasons_of_units.py",
        "test_what_a_deletion_leaves_on_the_units_is_told_by_its_last_event",
    ): (*of("units", "RebootLeftToPerson UnitsLeftAsTheyAre"),),
    (
        "integration/test_reasons_without_the_schema.py",
        "test_what_the_schema_would_have_refused_is_told_and_nothing_is_written",
    ): (
        *of("controller", "InvalidSpec"),
        *of("azure", "SameInterface ServiceInterfaceNotFound ManagementPortsDiffer"),
    ),
    ("integration/test_unit_sources.py", "test_a_certificate_near_its_end_is_a_warning"): (
        *of("services", "CertificateExpired CertificateExpiresSoon"),
    ),
    ("integration/test_unit_sources.py", "test_a_wrong_shared_secret_is_told_in_words"): (
        *of("units", "SharedSecretNotFound SharedSecretInvalid"),
    ),
    ("integration/test_unit_sources.py", "test_what_must_not_be_read_is_told_and_found_again_when_it_may"): (
        *of("controller", "SecretUnreadable"),
        *of("units", "SharedSecretNotRead"),
    ),
    (
        "integration/test_units_course.py",
        "test_credentials_that_were_refused_are_not_tried_again_by_the_next_process",
    ): (*of("calls", "Unauthorized"),),
    (
        "integration/test_units_course.py",
        "test_a_unit_that_stays_away_after_its_reboot_is_told_and_gone_on_with_when_it_is_seen_to",
    ): (*of("units", "RebootOverdue"),),
    ("integration/test_units_endpoints.py", "test_endpoints_are_followed_while_another_service_cannot_be"): (
        *of("services", "RealServersNotFound"),
    ),
    (
        "integration/test_units_lane.py",
        "test_a_fingerprint_is_shown_and_nothing_is_sent_before_it_is_pinned",
    ): (*of("calls", "CertificateNotTrusted"),),
}
"""File and test -> the reasons that it brings about and asserts."""

TABLE = {reason: where for where, reasons in PROVOKED_BY.items() for reason in reasons}


@cache
def strings(path):
    """Per test of a module: the texts of its own code and of whatever in the module is no test."""
    own, shared = {}, set()
    for node in ast.parse((TESTS / path).read_text(encoding="utf-8")).body:
        texts = {
            each.value
            for each in ast.walk(node)
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        }
        is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if is_test:
            own[node.name] = texts
        else:
            shared |= texts
    return {name: texts | shared for name, texts in own.items()}


def test_no_reason_is_forgotten():
    known = {(kind, reason.value) for kind, reasons in KINDS.items() for reason in reasons}
    assert set(TABLE) == known
    assert len(TABLE) == sum(len(reasons) for reasons in PROVOKED_BY.values()), "each stands in one place"


@pytest.mark.parametrize(("path", "name"), PROVOKED_BY)
def test_the_test_that_provokes_them_is_there_and_names_them(path, name):
    assert path.startswith(("integration/", "e2e/", "contract/")), "real parts only"
    tests = strings(path)
    assert name in tests, f"{path} has no {name}"
    for _, reason in PROVOKED_BY[path, name]:
        named = any(reason in text.replace(":", " ").split() for text in tests[name])
        assert named, f"{name} of {path} does not name {reason}"
