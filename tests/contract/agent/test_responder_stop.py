"""A stopping unit says 503, whatever its node process still says."""

import signal
from pathlib import Path

from tests.support.supervised import PROBER, Supervised, eventually


def test_a_node_that_goes_on_saying_200_after_its_stop_is_not_believed(tmp_path):
    with Supervised(tmp_path, drain_seconds=3.0) as supervised:
        node, _ = supervised.serving_node()
        eventually(lambda: supervised.status(source=PROBER) == 200, "200")
        supervised.process.send_signal(signal.SIGTERM)
        node.wait_for("terminate")
        node.send("stopped")  # and it neither ends nor falls silent
        eventually(lambda: supervised.status(source=PROBER) == 503, "503")
        assert Path(f"/proc/{node.pid}").exists()
        assert supervised.wait() == 0
