"""The child that reads certificates: what it is asked, its limits, and a unit whose child cannot start."""

import asyncio
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.support.management import served

from loadmaster_ha.agent.certificate_work import child
from loadmaster_ha.agent.certificate_work.messages import (
    CertificateUnusable,
    TooMuchWork,
    WorkFailed,
    encoded,
)
from loadmaster_ha.agent.certificate_work.open_issuer import (
    make_link_certificate,
    open_issuer,
    open_issuer_key,
)
from loadmaster_ha.agent.certificate_work.pairs import make_self_signed
from loadmaster_ha.agent.certificates import management_identity
from loadmaster_ha.agent.link.tls import OPEN_ISSUER
from loadmaster_ha.agent.service_certificates import Chains, Reader, leaf, without_key
from loadmaster_ha.agent.settings.model import Kind

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PAIR, OTHER = make_self_signed(["www.example.com"]), make_self_signed(["other.example.com"])


def text(pair):
    return pair.certificate.public_bytes(PEM).decode()


class Snapshot:
    def __init__(self, certificates, intermediates=()):
        self._kinds = {Kind.CERTIFICATE: certificates, Kind.INTERMEDIATE: dict(enumerate(intermediates))}

    def entities(self, kind):
        return {name: {"pem": pem} for name, pem in self._kinds[kind].items()}


@pytest.fixture
def program(monkeypatch):
    """Give a way to put another program in the child's place."""

    def replace(code):
        monkeypatch.setattr(child, "_COMMAND", (sys.executable, "-c", code))

    return replace


async def test_a_refusal_says_why_and_a_result_comes_as_it_is():
    request = {"do": "read_pair", "pem": encoded(PAIR.to_pem())}

    assert (await child.done(request))["pem"] == PAIR.to_pem().decode()
    with pytest.raises(CertificateUnusable, match="no private key"):
        await child.done({"do": "read_pair", "pem": encoded(b"hello")})


def test_one_child_does_several_things_and_refusals_are_among_the_results():
    good, bad = child.done_now(
        [{"do": "make_self_signed", "hosts": ["lm-0"]}, {"do": "read_pair", "pem": encoded(b"hello")}]
    )

    assert good["pem"].startswith("-----BEGIN PRIVATE KEY-----")
    assert isinstance(bad, CertificateUnusable)


async def test_keys_are_in_no_argument_and_no_environment_of_the_child(program):
    program(
        "import json, sys; given = sys.stdin.read()\n"
        "seen = open('/proc/self/cmdline').read() + open('/proc/self/environ').read()\n"
        "print(json.dumps([{'result': json.loads(given)[0]['pem'] in seen}]))"
    )

    assert await child.done({"do": "read_pair", "pem": encoded(PAIR.to_pem())}) is False


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("raise SystemExit('out of order')", WorkFailed, "status 1: out of order"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", TooMuchWork, "more than 10 s"),
        ("raise SystemExit(4)", TooMuchWork, "512 MiB"),
    ],
)
async def test_a_child_that_does_not_get_to_the_end_is_told_of(program, tmp_path, code, kind, words):
    program(code)

    with pytest.raises(kind, match=words):
        await child.done({"do": "facts", "pems": []})
    with pytest.raises(kind, match=words):
        management_identity(tmp_path, ["lm-0"])
    assert not list(tmp_path.iterdir())


async def test_a_unit_whose_child_does_not_start_says_so_and_changes_nothing(monkeypatch, tmp_path):
    async with served(tmp_path) as api:
        await api.v1("addcert", data=PAIR.to_pem(), cert="www")
        before = dict(api.unit.settings.snapshot.entities(Kind.CERTIFICATE))
        monkeypatch.setattr(child, "_COMMAND", (str(tmp_path / "missing"),))

        for command, more in [
            ("addcert", {"cert": "new", "data": PAIR.to_pem()}),
            ("backupcert", {"password": "letters123"}),
        ]:
            reply = await api.v1(command, **more)
            assert reply.status == 503, reply.text
            assert "nothing was changed: the process that reads certificates cannot be started" in reply.text
        assert (await api.v2("readcert", cert="www")).json["certificate"] == text(PAIR)
        assert dict(api.unit.settings.snapshot.entities(Kind.CERTIFICATE)) == before


async def test_children_are_few_at_a_time_however_much_is_asked(program, tmp_path):
    program(
        "import json, os, pathlib, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r}); mine = folder / str(os.getpid()); mine.touch()\n"
        "time.sleep(0.3); there = len(list(folder.iterdir())); mine.unlink()\n"
        "print(json.dumps([{'result': there}]))"
    )

    there = await asyncio.gather(*(child.done({"do": "facts", "pems": []}) for _ in range(6)))

    assert max(there) == 2


async def test_what_is_known_is_not_asked_again(program):
    reader, chains = Reader(), Chains()
    snapshot = Snapshot({"www": text(PAIR)}, [text(OTHER)])
    facts, completed = await reader.facts([text(PAIR), "odd", text(PAIR)]), await chains.completed(snapshot)
    program("raise SystemExit('it was asked')")

    assert await reader.facts([text(PAIR), "odd", text(PAIR)]) == facts
    assert facts[0] is facts[2] is not None
    assert facts[1] is None
    assert await chains.completed(snapshot) == completed
    with pytest.raises(WorkFailed, match="it was asked"):
        await reader.facts([text(OTHER)])
    with pytest.raises(WorkFailed, match="it was asked"):
        await chains.completed(Snapshot({"www": text(PAIR), "more": text(OTHER)}, [text(OTHER)]))


async def test_a_chain_that_was_found_is_served_while_new_ones_cannot_be_looked_for(program):
    chains, own = Chains(), {"www": "of a later release"}
    await chains.completed(Snapshot(own, [text(OTHER)]))
    program("raise SystemExit(1)")
    more = Snapshot({**own, "more": text(PAIR)}, [text(OTHER)])

    with pytest.raises(WorkFailed):
        await chains.completed(more)
    assert chains.so_far(more) == {**own, "more": text(PAIR)}


async def test_without_intermediate_certificates_no_child_is_needed(program):
    program("raise SystemExit(1)")

    assert await Chains().completed(Snapshot({"www": text(PAIR)})) == {"www": text(PAIR)}


def test_the_standard_library_takes_a_stored_text_apart_as_the_library_does():
    stored = text(PAIR) + text(OTHER) + PAIR.to_pem().decode()

    assert leaf(stored) == PAIR.certificate.public_bytes(DER)
    assert without_key(stored) == text(PAIR) + text(OTHER) + text(PAIR)
    for bad in ("", "of a later release", "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match=r"certificate|base64"):
            leaf(bad)


def test_the_trust_anchor_of_the_link_is_the_open_issuer_and_signs_link_certificates():
    anchor, made = x509.load_pem_x509_certificate(OPEN_ISSUER.encode()), open_issuer()

    anchor.verify_directly_issued_by(anchor)
    make_link_certificate().certificate.verify_directly_issued_by(anchor)
    assert anchor.public_key() == open_issuer_key().public_key()
    assert (anchor.subject, anchor.not_valid_before_utc, anchor.not_valid_after_utc) == (
        made.subject,
        made.not_valid_before_utc,
        made.not_valid_after_utc,
    )
    assert [each.value for each in anchor.extensions] == [each.value for each in made.extensions]
    assert anchor.signature_hash_algorithm.name == hashes.SHA256().name
