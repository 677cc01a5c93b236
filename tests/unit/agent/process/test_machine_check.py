"""What `loadmaster-agent check` finds on the machine, and what it only remarks."""

import pytest

from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.configuration_sources import from_yaml
from loadmaster_ha.agent.dataplane import command
from loadmaster_ha.agent.process.machine_check import findings, remarks

ELSEWHERE = "192.0.2.77/24"
"""Of RFC 5737: on no machine."""


def test_an_address_that_the_machine_has_not_is_found(tmp_path):
    given = Configuration.from_json(
        {"interfaces": [ELSEWHERE], "state_directory": str(tmp_path), "run_directory": str(tmp_path)}
    )
    assert "interfaces: this machine has no address 192.0.2.77" in findings(given)


def test_an_account_that_is_not_there_is_found(tmp_path):
    given = Configuration.from_json(
        {
            "interfaces": ["127.0.0.1/8"],
            "haproxy_user": "nobody-at-all",
            "state_directory": str(tmp_path),
            "run_directory": str(tmp_path),
        }
    )
    assert "haproxy.user: there is no account nobody-at-all on this machine" in findings(given)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, ["mode"]),
        ({"mode": "Single"}, []),
        ({"mode": "Slave"}, ["partner.address", "partner.secretFile", "balancer.frontend"]),
        ({"mode": "Master", "partner_address": "10.0.2.5", "frontend": "10.0.2.9"}, ["partner.secretFile"]),
    ],
)
def test_what_a_pair_would_miss_is_remarked(given, named):
    assert [line.partition(" ")[0] for line in remarks(Configuration.from_json(given))] == named


def test_a_setting_that_is_given_twice_is_refused_with_its_line(tmp_path):
    file = tmp_path / "agent.yaml"
    file.write_text("mode: Master\npartner:\n  port: 7000\n  port: 7001\n", encoding="ascii")
    with pytest.raises(InvalidConfiguration, match=r"port is given twice(?s:.*)line 4"):
        from_yaml(file)


def test_haproxy_is_found_among_the_administrators_programs(tmp_path, monkeypatch):
    program = tmp_path / "haproxy"
    program.write_text("#!/bin/sh\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(command, "_ADMINISTRATORS", (str(tmp_path),))
    assert command.program("haproxy") == str(program)
    assert command.program("no-such-program") == "no-such-program"
