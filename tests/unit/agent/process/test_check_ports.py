"""A change of the health check port: the old one stays until the balancer has used the new one enough."""

from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.process.check_ports import CheckPorts


def test_the_former_port_stays_until_the_new_one_was_probed_often_enough():
    ports = CheckPorts(8444)
    ports.use(8555)
    assert ports.ports == (8555, 8444)
    assert not ports.probed(8444, 10, 2)
    assert not ports.probed(8555, 1, 2)
    assert ports.ports == (8555, 8444)
    assert ports.probed(8555, 1, 2)
    assert ports.ports == (8555,)


def test_a_change_that_is_taken_back_keeps_the_port_that_is_probed():
    ports = CheckPorts(8444)
    ports.use(8555)
    ports.use(8444)
    assert ports.ports == (8444, 8555)
    assert ports.probed(8444, 2, 2)
    assert ports.ports == (8444,)


def test_two_changes_in_a_row_leave_all_three_open():
    ports = CheckPorts(8444)
    ports.use(8555)
    ports.use(8666)
    assert ports.ports == (8666, 8555, 8444)


PORTS = st.sampled_from([8444, 8555, 8666])


@given(steps=st.lists(st.tuples(st.booleans(), PORTS, st.integers(1, 3)), max_size=30))
def test_the_port_that_the_balancer_used_last_is_open_unless_it_has_moved_on(steps):
    ports, used = CheckPorts(8444), None
    for changes, port, count in steps:
        if changes:
            ports.use(port)
        elif port in ports.ports:
            closes = ports.probed(port, count, 2)
            assert not closes or ports.ports == (port,)
            used = port
        assert len(set(ports.ports)) == len(ports.ports)
        assert used is None or used in ports.ports
