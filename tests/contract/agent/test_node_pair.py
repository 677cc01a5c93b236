"""Two whole nodes on loopback with a scripted prober: the life of a pair, seen from outside."""

import base64
import contextlib
import os
import signal
import ssl
import time
from pathlib import Path

import pytest
from tests.support.agent_pair import PASSWORD, SECRET, AgentPair, agent
from tests.support.pem import name_in, self_signed
from tests.support.supervised import ask, free_port

from loadmaster_ha.agent.configuration import InvalidConfiguration
from loadmaster_ha.agent.process.interfaces import own_addresses


@pytest.fixture
def pair(tmp_path):
    with AgentPair(tmp_path) as made:
        yield made


def unserved(prober, since=0.0):
    """Rounds in which nobody answered 200; one alone with a silence in it counts as little as with Azure."""
    rounds = [answers for at, answers in prober.answers if at >= since]
    assert rounds
    missed = [number for number, answers in enumerate(rounds) if 200 not in answers]
    return [
        (number, rounds[number])
        for number in missed
        if 0 not in rounds[number] or number - 1 in missed or number + 1 in missed
    ]


def test_unprobed_both_units_are_unconnected_and_say_so_to_people(pair):
    pair.start(probe=False)
    pair.until("Unconnected", "Unconnected")
    assert pair.master.page(pair.person) == (503, "Master is unconnected")
    assert pair.slave.page(pair.person) == (503, "Slave is unconnected")


def test_the_first_probes_find_exactly_one_active_unit(pair):
    pair.start()
    pair.until("Active", "Standby")
    assert pair.master.page(pair.person) == (200, "Master is active")
    assert pair.slave.page(pair.person) == (503, "Slave is standby")
    assert not any(answers == (200, 200) for _, answers in pair.prober.answers)


def test_when_the_active_node_process_dies_the_partner_serves_until_it_is_back(pair):
    pair.start()
    pair.until("Active", "Standby")
    os.kill(pair.master.node, signal.SIGKILL)
    pair.wait(lambda: pair.prober.serving()[1] == 200, "the slave serves")
    pair.until("Active", "Standby")  # Prefer Master: it takes over again
    assert pair.master.status()["reason"]


def test_a_frozen_node_is_replaced_by_its_partner(pair):
    pair.start()
    pair.until("Active", "Standby")
    frozen = pair.master.node
    os.kill(frozen, signal.SIGSTOP)
    pair.wait(lambda: pair.prober.serving() == (503, 200), "the slave serves, the master says 503")
    os.kill(frozen, signal.SIGCONT)
    pair.until("Active", "Standby")


def test_a_killed_haproxy_is_started_again_and_serves(pair):
    pair.start()
    pair.until("Active", "Standby")
    [haproxy] = children_called(pair.master.process.pid, b"haproxy")
    os.kill(haproxy, signal.SIGKILL)
    pair.wait(
        lambda: children_called(pair.master.process.pid, b"haproxy") not in ([], [haproxy]), "a new one"
    )
    pair.until("Active", "Standby")
    assert pair.master.logged("HAProxy has ended by SIGKILL")


def test_a_stuck_haproxy_is_a_503_within_two_seconds(pair):
    pair.start()
    pair.until("Active", "Standby")
    [master] = children_called(pair.master.process.pid, b"haproxy")
    frozen = [master, *children_called(master, b"haproxy")]
    assert len(frozen) > 1
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        pair.wait(lambda: pair.master.page(pair.person) == (503, "Master is failed"), "503")
        assert time.monotonic() - began < 10.0  # 2 s, and much for a busy machine
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    pair.until("Active", "Standby")


def test_the_health_port_is_on_all_interfaces_only_when_that_is_set(tmp_path):
    with AgentPair(tmp_path, units=1) as alone:
        other = f"{alone.net}.77"
        alone.master.configuration["interfaces"].append(f"{other}/24")
        alone.start()
        alone.wait(lambda: alone.master.page(alone.person)[0] == 200, "it serves alone")

        def answers_elsewhere():
            with contextlib.suppress(OSError):
                return ask(8444, source=alone.person, address=other) == (200, "Master is active\n")
            return False

        assert not answers_elsewhere()
        assert alone.master.api("azurehaparam", hcai="1")["code"] == 200
        alone.wait(answers_elsewhere, "the other interface too")
        assert alone.master.page(alone.person)[0] == 200
        assert alone.master.api("azurehaparam", hcai="0")["code"] == 200
        alone.wait(lambda: not answers_elsewhere(), "the main interface only")
        assert alone.master.page(alone.person)[0] == 200


def test_a_unit_that_names_no_interface_has_the_health_port_on_every_address(tmp_path):
    try:
        main = own_addresses(())["eth0"]
    except InvalidConfiguration:
        pytest.skip("this machine has no interface but loopback")
    groups = (
        "healthCheck",
        "management",
        "partner",
        "metrics",
    )  # the machine's own addresses: any may be taken
    ports = {group: {"port": free_port(main)} for group in groups}
    with AgentPair(tmp_path, units=1, **ports) as alone:
        del alone.master.configuration["interfaces"]
        alone.master.configuration["healthCheck"]["allInterfaces"] = True
        alone.start()
        for address in (main, "127.0.0.1", f"{alone.net}.200"):
            port = ports["healthCheck"]["port"]
            alone.wait(lambda address=address, port=port: answers(port, address), f"it answers on {address}")


def answers(port, address):
    try:
        return ask(port, address=address)[0] in {200, 503}
    except OSError:
        return False


def test_a_service_may_use_a_certificate_at_once_on_both_units(pair):
    pair.start()
    pair.until("Active", "Standby")
    name = "www.example.com"
    certificate = base64.b64encode(self_signed(name).encode()).decode()
    replies = [
        pair.master.api("addcert", cert="site", data=certificate),
        pair.master.api(
            "addvs", vs=pair.master.address, port="4433", prot="tcp", SSLAcceleration=True, CertFile="site"
        ),
    ]
    assert [each["code"] for each in replies] == [200, 200], replies

    def shown(address):
        try:
            return name_in(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((address, 4433), timeout=5.0)))
        except OSError:
            return ""

    for each in pair.agents:
        pair.wait(lambda each=each: shown(each.address) == name, "the certificate is shown")


def test_a_planned_switch_over_leaves_no_gap_holds_and_can_be_undone(pair):
    pair.start()
    pair.until("Active", "Standby")
    began = time.monotonic()
    done = agent("switchover", "--hold", "30m", "--config", pair.master.file)
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "Done"), done
    pair.until("Standby", "Active")
    time.sleep(3.0)  # longer than the fail-back's delay
    assert pair.slave.status()["held"]
    shown = agent("status", "--config", pair.slave.file).stdout
    assert "Hold:     the master does not take over for 29 min" in shown
    assert agent("switchover", "--undo", "--config", pair.slave.file).returncode == 0
    pair.until("Active", "Standby")
    assert unserved(pair.prober, began) == []


def test_without_a_prober_a_switch_over_aborts_and_nothing_has_changed(pair):
    pair.start()
    pair.until("Active", "Standby")
    pair.prober.stop()
    done = agent("switchover", "--config", pair.master.file)
    assert done.returncode == 1
    assert "switch-over aborted" in done.stderr
    assert pair.master.page(pair.person)[0] == 200
    assert pair.slave.page(pair.person)[0] == 503


def test_a_drained_unit_hands_over_until_it_is_undrained(pair):
    pair.start()
    pair.until("Active", "Standby")
    began = time.monotonic()
    assert agent("drain", "--config", pair.master.file).returncode == 0
    pair.until("Standby", "Active")
    assert pair.master.status()["draining"]
    assert agent("undrain", "--config", pair.master.file).returncode == 0
    pair.until("Active", "Standby")
    assert unserved(pair.prober, began) == []


def test_a_clean_stop_of_the_active_unit_leaves_no_gap(pair):
    pair.start()
    pair.until("Active", "Standby")
    began = time.monotonic()
    assert pair.master.stop() == 0
    assert unserved(pair.prober, began) == []
    assert pair.slave.state() == "Active"
    pair.master.start()
    pair.until("Active", "Standby")


def test_settings_made_on_the_active_unit_are_on_the_other_which_takes_none(pair):
    pair.start()
    pair.until("Active", "Standby")
    made = pair.master.api("addvs", vs=pair.master.address, port="18080", prot="tcp", NickName="web")
    assert made["code"] == 200, made
    found = pair.wait(lambda: pair.slave.api("listvs").get("VS"), "the service on the slave")
    assert [(each["NickName"], each["VSAddress"]) for each in found] == [("web", pair.slave.address)]
    refused = pair.slave.api("addvs", vs=pair.slave.address, port="18081", prot="tcp")
    assert (refused["code"], refused["status"]) == (422, "fail")
    assert pair.master.address in refused["message"]


def test_a_new_check_port_is_answered_beside_the_old_one_until_the_balancer_uses_it(pair):
    pair.start()
    pair.until("Active", "Standby")
    began = time.monotonic()
    for unit in pair.agents:
        assert unit.api("azurehaparam", hcp="8555")["code"] == 200
    for unit in pair.agents:
        pair.wait(lambda unit=unit: unit.page(pair.person, 8555)[0] != 0, "the new port")
        assert unit.page(pair.person, 8444)[0] != 0
    for unit in pair.agents:
        unit.configuration["healthCheck"] = {"port": 8555}  # the prober follows
    for unit in pair.agents:
        pair.wait(lambda unit=unit: unit.page(pair.person, 8444)[0] == 0, "the old port is closed")
    pair.until("Active", "Standby")
    assert unserved(pair.prober, began) == []


def test_a_reboot_over_the_api_starts_everything_anew_and_the_partner_serves_meanwhile(pair):
    pair.start()
    pair.until("Active", "Standby")
    began = time.monotonic()
    before = pair.master.api("get", param="boottime")["boottime"]
    [haproxy] = children_called(pair.master.process.pid, b"haproxy")
    assert pair.master.api("reboot")["code"] == 200
    pair.wait(lambda: pair.master.page(pair.person)[0] == 0, "8444 is closed")
    pair.wait(lambda: pair.slave.state() == "Active", "the partner serves")
    pair.until("Active", "Standby")
    assert pair.master.api("get", param="boottime")["boottime"] != before
    assert children_called(pair.master.process.pid, b"haproxy") != [haproxy]
    assert not pair.master.logged("-> Failed")  # that HAProxy was told to end is no failure
    assert unserved(pair.prober, began) == []


def test_no_secret_is_in_a_log_or_a_status(pair):
    pair.start()
    pair.until("Active", "Standby")
    pair.master.api("setlmcommsecret", secret="another-secret-1")
    seen = "".join(each.log.read_text() + str(each.status()) for each in pair.agents)
    assert "Active" in seen
    assert not any(secret in seen for secret in (PASSWORD, SECRET, "another-secret-1"))


def children_called(parent, name):
    """Ids of a process' children whose command line begins with this program."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    programs = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] for pid in children}
    return [int(pid) for pid, program in programs.items() if program.endswith(name)]
