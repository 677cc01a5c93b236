"""The agent's configuration: three sources, one table; refusals that name the setting and what to give."""

import contextlib
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.configuration import (
    OPTIONS,
    Configuration,
    InvalidConfiguration,
    environment_name,
    flag_name,
)
from loadmaster_ha.agent.configuration_checks import check, read_secret
from loadmaster_ha.agent.configuration_sources import load

SAMPLES = {
    "_address": "10.9.8.7",
    "_path": "/some/where",
    "_port": "7000",
    "_whole": "7",
    "_number": "7.5",
    "_flag": "true",
    "_interfaces": "ens3,10.0.3.4/24",
    "_text": "x",
}


def sample(option):
    return option.choices[-1] if option.choices else SAMPLES[option.parse.__name__]


def in_file(tmp_path, text):
    file = tmp_path / "agent.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def nested(path, value):
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_can_be_given_in_three_ways_that_mean_the_same(name, tmp_path):
    option = OPTIONS[name]
    text = sample(option)
    native = yaml.safe_load(text) if option.parse.__name__ != "_interfaces" else text.split(",")
    native = text if option.choices else native
    by_file = load(in_file(tmp_path, yaml.safe_dump(nested(option.path, native))), {}, {})
    by_flag = load(None, {name: text}, {})
    by_environment = load(None, {}, {environment_name(option): text})
    assert by_file == by_flag == by_environment != Configuration()


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = in_file(tmp_path, "management: {port: 1001}\nmetrics: {port: 1001}\npartner: {port: 1001}")
    environment = {"LOADMASTER_AGENT_MANAGEMENT_PORT": "1002", "LOADMASTER_AGENT_METRICS_PORT": "1002"}
    found = load(file, {"management_port": "1003"}, environment)
    assert (found.management_port, found.metrics_port, found.partner_port) == (1003, 1002, 1001)


def test_names_follow_from_the_path():
    option = OPTIONS["partner_secret_file"]
    assert (flag_name(option), environment_name(option)) == (
        "--partner-secret-file",
        "LOADMASTER_AGENT_PARTNER_SECRET_FILE",
    )
    assert len({flag_name(each) for each in OPTIONS.values()}) == len(OPTIONS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("patner: {address: 10.0.0.5}", "patner in .* is no setting; the nearest one is partner"),
        ("partner: {adress: 10.0.0.5}", "partner.adress .* nearest one is partner.address"),
        ("partner: {timeout: 3}", "partner.timeout .* nearest one is partner.timeoutSeconds"),
        ("checkPort: 8444", "checkPort in .* is no setting"),
        ("partner: 10.0.0.5", "partner in .* is a group of settings and takes no value"),
        ("mode: Primary", "mode in .* is 'Primary', but must be one of Single, Master, Slave"),
        ("partner: {address: lm-1.example}", "partner.address .* names are not looked up"),
        ("healthCheck: {port: 84444}", "healthCheck.port .* 84444, but a port is wanted"),
        ("healthCheck: {port: yes}", "healthCheck.port .* True, but"),
        ("partner: {timeoutSeconds: -1}", "partner.timeoutSeconds .* a number of seconds is wanted"),
        ("partner: {timeoutSeconds: .nan}", "a number of seconds is wanted"),
        ("partner: {secretFile: secret}", "partner.secretFile .* an absolute path is wanted"),
        ("interfaces: [10.0.2.4/24, 10.0.2.4/24]", "an interface is in it twice"),
        ("interfaces: [10.0.2.400/24]", "interfaces .*10.0.2.400"),
        ("- a\n- b", "holds no settings"),
        ("a: [", "is no YAML"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(text, says, tmp_path):
    with pytest.raises(InvalidConfiguration, match=says):
        load(in_file(tmp_path, text), {}, {})


def test_flag_and_variable_are_named_where_they_are_wrong():
    with pytest.raises(InvalidConfiguration, match="--partner-port is 'x'"):
        load(None, {"partner_port": "x"}, {})
    with pytest.raises(InvalidConfiguration, match="LOADMASTER_AGENT_PARTNER_PORT is 'x'"):
        load(None, {}, {"LOADMASTER_AGENT_PARTNER_PORT": "x"})


def test_a_missing_file_says_which(tmp_path):
    with pytest.raises(InvalidConfiguration, match=r"nothing\.yaml cannot be read: No such file"):
        load(tmp_path / "nothing.yaml", {}, {})


def test_an_empty_file_and_empty_groups_say_nothing(tmp_path):
    assert load(in_file(tmp_path, ""), {}, {}) == load(in_file(tmp_path, "partner:\nmode:\n"), {}, {})


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"heartbeat_interval": 1.1}, "partner.timeoutSeconds is 3, .*three times.* Give 3.3 or more"),
        ({"heartbeat_interval": 0.05}, "partner.heartbeatSeconds is 0.05, but must be at least 0.1"),
        (
            {"partner_timeout": 1.4, "heartbeat_interval": 0.2},
            "partner.timeoutSeconds is 1.4, .*at least 1.5",
        ),
        ({"witness_timeout": 4.0}, "failover.witnessTimeoutSeconds is 4"),
        ({"failback_delay": 400.0}, "failover.failbackDelaySeconds is 400"),
        ({"probe_interval": 0}, "balancer.probeIntervalSeconds is 0"),
        ({"probe_threshold": 101}, "balancer.probeThreshold is 101"),
        ({"drain_time": 5.0}, "failover.drainSeconds is 5, .*interval .5.* Give 6 or more"),
        ({"check_port": 21}, "healthCheck.port is 21, but Azure does not probe"),
        ({"check_port": 8443}, "healthCheck.port is 8443, but the unit itself"),
        ({"metrics_port": 8443}, "management.port and metrics.port are both 8443"),
        ({"check_port": 9000, "metrics_port": 9000}, "healthCheck.port and metrics.port are both 9000"),
        ({"interfaces": ("10.0.2.4/24",), "partner_address": "10.0.2.4"}, "this unit's own address"),
        ({"partner_address": "0.0.0.0"}, "partner.address is 0.0.0.0, but no host has"),
        ({"frontend": "224.0.0.1"}, "balancer.frontend is 224.0.0.1, but no host has"),
        ({"probe_source": "255.255.255.255"}, "balancer.probeSource is 255.255.255.255, but no host has"),
        ({"partner_address": "10.0.2.5", "frontend": "10.0.2.5"}, "balancer.frontend is 10.0.2.5"),
        ({"partner_secret_file": "/nonexistent"}, "partner.secretFile: /nonexistent cannot be read"),
        ({"initial_password_file": "/nonexistent"}, "management.initialPasswordFile: /nonexistent"),
        ({"haproxy_mode": "External"}, "haproxy.masterSocket is not given"),
        ({"run_directory": "/" + "x" * 80}, "haproxy.socketDirectory .* more than 90 bytes"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given_, says):
    with pytest.raises(InvalidConfiguration, match=says):
        check(Configuration(**given_))


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(InvalidConfiguration) as told:
        check(Configuration(probe_threshold=0, metrics_port=8443))
    assert len(str(told.value).splitlines()) == 2


def test_the_defaults_are_good():
    check(Configuration())


@pytest.mark.parametrize("secret", ["short", "x" * 128, "with a space", "it's-quoted", "smörgås-bord"])
def test_a_secret_that_an_appliance_would_not_take_is_refused_and_not_shown(secret, tmp_path):
    (tmp_path / "secret").write_text(secret, encoding="utf-8")
    with pytest.raises(InvalidConfiguration, match=r"partner\.secretFile") as told:
        read_secret(str(tmp_path / "secret"))
    assert secret not in str(told.value)


def test_a_line_break_at_its_end_does_not_belong_to_the_secret(tmp_path):
    (tmp_path / "secret").write_text("pair-of-web-1\n", encoding="utf-8")
    assert read_secret(str(tmp_path / "secret")) == "pair-of-web-1"


def test_a_configuration_survives_the_way_to_the_node_process():
    original = Configuration(interfaces=("ens3", "10.0.3.4/24"), partner_timeout=4.5, mode="Master")
    assert Configuration.from_json(json.loads(json.dumps(original.to_json()))) == original


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    document=st.dictionaries(
        st.sampled_from([o.path for o in OPTIONS.values()]) | st.text(max_size=9), DOCUMENTS
    )
)
def test_no_document_makes_anything_but_a_configuration_or_a_refusal(document, tmp_path_factory):
    file = in_file(tmp_path_factory.mktemp("any"), yaml.safe_dump(document))
    with contextlib.suppress(InvalidConfiguration):
        assert isinstance(load(file, {}, {}), Configuration)
