"""HAProxy's answers, as 2.6.12 gives them: processes, states of servers, statistics."""

import dataclasses
from pathlib import Path

import pytest

from loadmaster_ha.agent.dataplane import server_state, statistics
from loadmaster_ha.agent.dataplane.command import Paths
from loadmaster_ha.agent.dataplane.configuration import render
from loadmaster_ha.agent.dataplane.model import Node
from loadmaster_ha.agent.dataplane.runtime import Processes, Silent
from loadmaster_ha.domain.virtual_services import HealthCheck, RealServer, ServiceKey, VirtualService

NODE = Node(Paths(Path("/run/unit")), {"eth0": "127.77.0.1"})
ONE = RealServer(7, "127.77.0.9", 80)
TWO = RealServer(8, "127.77.0.9", 81, enabled=False)
SERVICE = VirtualService(1, ServiceKey("127.77.0.1", 80), real_servers=(ONE, TWO))
NAME = "vs_eth0_80_tcp"

AFTER_RELOADS = """\
#<PID>          <type>          <reloads>       <uptime>        <version>      
21038           master          3 [failed: 2]   0d00h00m24s     2.6.12-1+deb12u4
# workers
21550           worker          1               0d00h00m00s     2.6.12-1+deb12u4
# old workers
21041           worker          3               0d00h00m24s     2.6.12-1+deb12u4
21040           worker          4               0d00h01m24s     2.6.12-1+deb12u4
# programs
1244            foo             0               0d00h00m00s     -

"""  # noqa: W291 - as HAProxy prints it

NO_WORKER = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
21038           master          3 [failed: 2]   0d00h00m24s     2.6.12-1+deb12u4
# workers
# programs

"""

STATES = f"""\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
srv_agent_state \
bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
srv_agent_addr srv_agent_port
3 lm_health 1 answer - 2 0 1 1 19 1 0 2 0 0 0 0 - 0 - 0 0 - - 0
6 {NAME} 7 rs_7 127.77.0.9 0 0 100 100 19 8 2 0 6 0 0 1 - 80 - 0 0 - - 0
6 {NAME} 8 rs_8 127.77.0.9 0 5 100 100 19 1 0 0 14 0 0 1 - 81 - 0 0 - - 0

"""

STATISTICS = f"""\
# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,status,weight,rate,check_status,last_chk,addr,new_one,
{NAME},FRONTEND,,,3,9,262121,120,10001,20002,OPEN,,4,,,,x,
{NAME},rs_7,0,0,2,5,,100,9001,19002,UP,100,3,L4OK,,127.77.0.9:80,x,
{NAME},rs_8,0,0,0,5,,20,1000,1000,MAINT,100,0,,"a ""quoted"", text",127.77.0.9:81,x,
{NAME},BACKEND,0,0,2,5,26213,120,10001,20002,UP,100,3,,,,x,

"""


def sections(*services):
    return render(services, NODE).sections


def but(service, **more):
    return dataclasses.replace(service, **more)


def test_the_master_and_its_workers():
    assert Processes.parse(AFTER_RELOADS) == Processes(
        master=21038,
        reloads=3,
        failed=2,
        version="2.6.12-1+deb12u4",
        workers=(21550,),
        old_workers=(21041, 21040),
    )


def test_a_master_without_a_worker():
    assert Processes.parse(NO_WORKER).workers == ()


@pytest.mark.parametrize("text", ["", "Unknown command\n", "#<PID> <type>\n"])
def test_what_is_no_list_of_processes(text):
    with pytest.raises(Silent):
        Processes.parse(text)


def test_states_by_server():
    rows = server_state.parse(STATES)
    assert list(rows) == ["lm_health/answer", f"{NAME}/rs_7", f"{NAME}/rs_8"]
    assert rows[f"{NAME}/rs_7"]["srv_op_state"] == "0"


def test_servers_that_are_as_they_should_be():
    assert server_state.deviation(server_state.parse(STATES), sections(SERVICE).values()) == ""


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ((but(ONE, port=81), TWO), f"{NAME}/rs_7 is at 127.77.0.9:80"),
        ((but(ONE, address="127.77.0.8"), TWO), f"{NAME}/rs_7 is at 127.77.0.9:80"),
        ((but(ONE, draining=True), TWO), f"{NAME}/rs_7 is at 127.77.0.9:80, weight 100"),
        ((but(ONE, enabled=False), TWO), f"{NAME}/rs_7 is at"),
        ((ONE, but(TWO, enabled=True)), f"{NAME}/rs_8 is at"),
        ((ONE, TWO, RealServer(9, "127.77.0.9", 82)), f"{NAME}/rs_9 is missing"),
    ],
)
def test_a_server_that_is_not_as_it_should_be_is_named(servers, words):
    wanted = sections(but(SERVICE, real_servers=servers))
    assert words in server_state.deviation(server_state.parse(STATES), wanted.values())


def handed_over(wanted, running=SERVICE):
    text = server_state.handed_over(STATES, sections(wanted), running and sections(running))
    assert text.startswith("1\n")
    return server_state.parse(text)


@pytest.mark.parametrize("running", [SERVICE, None])
def test_the_health_of_a_server_goes_to_the_next_worker(running):
    (row,) = handed_over(but(SERVICE, nickname="new"), running).values()
    assert (row["srv_name"], row["srv_op_state"]) == ("rs_7", "0")


def test_settings_do_not_come_back_with_the_state():
    row = handed_over(but(SERVICE, real_servers=(but(ONE, draining=True), TWO)))[f"{NAME}/rs_7"]
    assert (row["srv_uweight"], row["srv_iweight"], row["srv_admin_state"]) == ("0", "0", "0")


@pytest.mark.parametrize(
    "wanted",
    [
        but(SERVICE, real_servers=(but(ONE, port=81), TWO)),
        but(SERVICE, real_servers=(but(ONE, enabled=False), TWO)),
        but(SERVICE, real_servers=(but(TWO, enabled=True),)),
        but(SERVICE, check=HealthCheck(interval=3)),
        but(SERVICE, key=ServiceKey("127.77.0.1", 81)),
    ],
)
def test_the_health_of_another_server_goes_nowhere(wanted):
    assert handed_over(wanted) == {}


def test_no_states_are_no_states():
    assert server_state.handed_over("", sections(SERVICE), None) == "1\n"


def test_statistics_are_found_by_the_names_of_their_columns():
    (counted,) = statistics.services(STATISTICS, sections(SERVICE).values()).values()
    assert (counted.key, counted.up) == (SERVICE.key, True)
    assert (counted.current_connections, counted.total_connections) == (3, 120)
    assert (counted.connections_per_second, counted.bytes_in, counted.bytes_out) == (4, 10001, 20002)
    first, second = counted.servers
    assert (first.address, first.port, first.up, first.detail) == ("127.77.0.9", 80, True, "UP, L4OK")
    assert (first.current_connections, first.total_connections, first.bytes_in) == (2, 100, 9001)
    assert (second.up, second.detail) == (False, 'MAINT, a "quoted", text')


def test_a_service_that_needs_more_servers_is_down():
    wanted = sections(but(SERVICE, minimum_real_servers=2)).values()
    assert not statistics.services(STATISTICS, wanted)[SERVICE.key].up


@pytest.mark.parametrize("text", ["", "# pxname,svname\n", "nonsense", "# a,b,c\n1,2,3\n"])
def test_statistics_of_nothing(text):
    assert statistics.services(text, sections(SERVICE).values()) == {}


def test_a_column_that_is_missing_counts_nothing():
    short = f"# pxname,svname,scur\n{NAME},FRONTEND,2\n{NAME},rs_7,x\n"
    counted = statistics.services(short, sections(SERVICE).values())[SERVICE.key]
    assert (counted.current_connections, counted.total_connections, counted.up) == (2, 0, False)


@pytest.mark.parametrize(
    ("status", "up"),
    [
        ("UP", True),
        ("UP 1/2", True),
        ("DOWN 1/2", False),
        ("DOWN", False),
        ("no check", True),
        ("MAINT", False),
        ("DRAIN", True),
        ("NOLB", True),
        ("MAINT (via x/y)", False),
        ("", False),
    ],
)
def test_words_for_the_state_of_a_server(status, up):
    assert statistics.is_up(status) is up
