"""A health port that another program has: told once, tried again, taken as soon as it is free."""

import socket
import time

from tests.support.supervised import Supervised, ask, eventually


def test_a_taken_health_port_is_told_once_and_taken_when_it_is_free(tmp_path):
    with Supervised(tmp_path) as supervised:
        with socket.socket() as owner:
            owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            owner.bind(("127.0.0.1", supervised.port))
            owner.listen()
            node = supervised.node()
            node.hold(supervised.port)
            eventually(lambda: "cannot listen on" in supervised.log.read_text(), "the refusal in the log")
            time.sleep(2.5)  # two tries more
            assert supervised.log.read_text().count("cannot listen on") == 1
        eventually(lambda: _answers(supervised.port), "an answer once the port is free")
        assert f"listens on 127.0.0.1:{supervised.port} now" in supervised.log.read_text()


def _answers(port):
    try:
        return ask(port)[0] == 200
    except OSError:
        return False
