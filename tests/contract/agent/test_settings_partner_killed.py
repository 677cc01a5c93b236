"""What the partner acknowledged is on the partner's disk, whenever its process is killed."""

import json
import signal
import subprocess
import sys
import textwrap

import pytest

from loadmaster_ha.agent.settings.model import Kind, Put
from loadmaster_ha.agent.settings.replication import Replicator
from loadmaster_ha.agent.settings.store import Store

PARTNER = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    from loadmaster_ha.agent.settings.replication import Replicator
    from loadmaster_ha.agent.settings.store import Store

    replicator = Replicator(Store.open(Path(sys.argv[1])))
    say = lambda messages: [print(json.dumps(message), flush=True) for message in messages]
    say(replicator.connected(0.0))
    for line in sys.stdin:
        say(replicator.received(json.loads(line), 0.0))
""")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("changes", [1, 3, 10])
def test_what_a_partner_acknowledged_before_it_was_killed_is_there_when_it_returns(tmp_path, changes):
    store = Store.open(tmp_path / "own.db")
    replicator = Replicator(store)
    with subprocess.Popen(
        [sys.executable, "-c", PARTNER, str(tmp_path / "partner.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as partner:

        def say(messages):
            partner.stdin.writelines(json.dumps(message) + "\n" for message in messages)
            partner.stdin.flush()

        say(replicator.connected(0.0))
        committed = 0
        while committed < changes or store.pending:
            say(replicator.received(json.loads(partner.stdout.readline()), 0.0))
            in_sync = replicator.status(0.0).connected and not store.identity.gives_way and not store.pending
            if in_sync and committed < changes:
                store.commit([Put(Kind.PARAMETER, f"name{committed}", {"value": committed})])
                say(replicator.changed(0.0))
                committed += 1
        partner.send_signal(signal.SIGKILL)
    assert partner.returncode == -signal.SIGKILL
    store.close()

    again = Store.open(tmp_path / "partner.db")
    found = again.snapshot.entities(Kind.PARAMETER)
    assert {key: fields["value"] for key, fields in found.items()} == {
        f"name{number}": number for number in range(changes)
    }
    again.close()
