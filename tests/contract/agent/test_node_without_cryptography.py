"""The running node process does without the cryptography library, whatever is done with certificates.

The library is a tenth of the memory that the agent may take (docs/decisions/0017).
"""

import base64
from pathlib import Path

import pytest
from tests.support.agent_pair import AgentPair

from loadmaster_ha.agent.certificate_work.pairs import make_self_signed


@pytest.fixture
def unit(tmp_path):
    with AgentPair(tmp_path, units=1) as pair:
        pair.start()
        pair.until("Active")
        yield pair.master


def mapped(pid):
    """Give the files that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text("utf-8").splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}


def has_library(pid):
    return any("cryptography" in path for path in mapped(pid))


def file(data):
    return base64.b64encode(data).decode()


def done(reply):
    assert reply["code"] == 200, reply
    return reply


def test_the_library_is_never_in_the_node_process(unit):
    assert has_library("self")  # of this very process, which has imported it: such a look does find it
    assert any("_ssl" in path for path in mapped(unit.node))
    assert not has_library(unit.node)
    node = unit.node
    issuer, pair = make_self_signed(["issuer.example"]), make_self_signed(["www.example.com"])
    issuer_pem = issuer.to_pem().partition(b"-----END PRIVATE KEY-----\n")[2]

    done(unit.api("addcert", cert="www", data=file(pair.to_pem())))
    done(unit.api("addintermediate", cert="issuer", data=file(issuer_pem)))
    done(unit.api("addvs", vs=unit.address, port="443", prot="tcp", SSLAcceleration=True, CertFile="www"))
    assert done(unit.api("listcert"))["cert"][0]["subject"] == "CN=www.example.com"
    assert "BEGIN CERTIFICATE" in done(unit.api("readcert", cert="www"))["certificate"]
    assert not has_library(node)

    archive = done(unit.api("backupcert", password="letters123"))["data"]
    done(unit.api("restorecert", password="letters123", type="full", data=archive))
    done(unit.api("backup"))
    done(unit.api("agentsetcertificate", data=file(make_self_signed([unit.address]).to_pem())))

    assert unit.node == node
    assert not has_library(node)
