"""Settings: flag before environment before default, and refusals that name the setting."""

from pathlib import Path

import pytest

from loadmaster_ha.cli import operator as command
from loadmaster_ha.controller import settings
from loadmaster_ha.controller.settings import InvalidSettings, Settings, build


def parsed(*arguments, **environment):
    return build(vars(command._parser().parse_args(["run", *arguments])), environment)


def test_nothing_given_means_the_defaults():
    assert parsed() == Settings()


def test_a_flag_wins_over_the_environment_and_that_over_the_default():
    environment = {"LOADMASTER_CONCURRENCY": "3", "LOADMASTER_LOG_FORMAT": "text"}
    found = parsed("--concurrency=5", **environment)
    assert (found.concurrency, found.log_format, found.log_level) == (5, "text", "info")


def test_every_setting_can_be_given_both_ways():
    texts = {
        int: "12",
        float: "99",
        Path: "/some/file",
    }
    for each, flag in settings.flags():
        if each.name.startswith(("lease_", "azure_")):
            continue  # bound to one another: below
        text = flag.choices[-1] if flag.choices else texts.get(flag.parse, "127.0.0.1:1")
        by_flag = parsed(f"{settings.flag_name(each.name)}={text}")
        by_environment = parsed(**{settings.environment_name(each.name): text})
        assert by_flag == by_environment != Settings(), each.name


def test_namespaces_repeat_as_flags_and_are_separated_by_commas_in_the_environment():
    assert parsed("--namespace=a", "--namespace=b").namespace == ("a", "b")
    assert parsed(LOADMASTER_NAMESPACE="a, b,").namespace == ("a", "b")


def test_a_custom_cloud_takes_its_endpoints():
    found = parsed(
        "--azure-cloud=Custom", "--azure-resource-manager-url=https://arm.local", "--azure-ca-file=/ca.pem"
    )
    assert found.azure_ca_file == Path("/ca.pem")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"resync_seconds": 29.9}, "--resync-seconds"),
        ({"reboot_timeout_seconds": 9.9}, "--reboot-timeout-seconds"),
        ({"reboot_timeout_seconds": float("nan")}, "--reboot-timeout-seconds"),
        ({"concurrency": 0}, "--concurrency"),
        ({"concurrency": 65}, "--concurrency"),
        ({"lease_renew_deadline_seconds": 15.0}, "--lease-renew-deadline-seconds"),
        ({"lease_retry_seconds": 9.0}, "--lease-retry-seconds"),
        ({"grace_seconds": -1.0}, "--grace-seconds"),
        ({"azure_cloud": "Custom"}, "--azure-resource-manager-url"),
        ({"azure_ca_file": Path("x")}, "--azure-ca-file"),
        ({"azure_resource_manager_url": "https://x"}, "Custom"),
    ],
)
def test_what_cannot_work_is_refused_by_name(given, says):
    with pytest.raises(InvalidSettings, match=says):
        Settings(**given)


def test_crds_are_printed_as_they_are_generated(capsys):
    from loadmaster_ha.resources import crd  # noqa: PLC0415 - only here

    assert command.main(["crds"]) == 0
    assert capsys.readouterr().out == crd.render()
