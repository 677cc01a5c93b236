"""Certificates of the node: made once, private, checked when loaded, replaced whole or not at all."""

import datetime as dt
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from loadmaster_ha.agent.certificate_work.messages import CertificateUnusable
from loadmaster_ha.agent.certificate_work.pairs import Pair, builder, make_self_signed, read_pem
from loadmaster_ha.agent.certificates import (
    Place,
    colon_form,
    load_or_make,
    management_identity,
    server_context,
    short_form,
    store,
)
from loadmaster_ha.agent.link.tls import link_identity


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_certificate_is_made_at_the_first_start_and_kept(tmp_path):
    first = management_identity(tmp_path / "state", ["10.0.2.4", "lm-0"])
    again = management_identity(tmp_path / "state", ["something-else"])
    assert first == again
    assert mode(first.path) == 0o600
    assert mode(first.path.parent) == 0o700
    assert [each.name for each in first.path.parent.iterdir()] == ["management.pem"]


def test_it_names_the_hosts_and_the_key_is_of_p256(tmp_path):
    identity = management_identity(tmp_path, ["10.0.2.4", "lm-0", "10.0.2.4"])
    pair = read_pem(identity.path.read_bytes())
    names = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.2.4"]
    assert names.get_values_for_type(x509.DNSName) == ["lm-0"]
    assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
    assert pair.key.curve.name == "secp256r1"
    assert identity.not_after > dt.datetime.now(dt.UTC) + dt.timedelta(days=3000)


def test_the_fingerprint_is_the_one_that_openssl_shows(tmp_path):
    identity = management_identity(tmp_path, ["lm-0"])
    command = ["openssl", "x509", "-in", str(identity.path), "-noout", "-fingerprint", "-sha256"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("the program openssl is not installed")
    assert shown.strip().partition("=")[2] == identity.fingerprint_text
    assert colon_form(b"\x0a\xff") == "0A:FF"
    assert short_form(identity.fingerprint) == identity.fingerprint_text.replace(":", "").lower()[:16]


def test_the_two_purposes_and_two_units_have_different_certificates(tmp_path):
    identities = [
        management_identity(tmp_path / "one", ["lm-0"]),
        link_identity(tmp_path / "one"),
        link_identity(tmp_path / "other"),
    ]
    assert len({each.fingerprint for each in identities}) == 3


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path):
    path = management_identity(tmp_path, ["lm-0"]).path
    damaged = path.read_bytes()[:-40]
    path.write_bytes(damaged)
    with pytest.raises(
        CertificateUnusable, match=r"management\.pem: there is no certificate .* delete the file"
    ):
        management_identity(tmp_path, ["lm-0"])
    assert path.read_bytes() == damaged


def test_a_key_that_others_could_read_is_closed_to_them(tmp_path, caplog):
    path = management_identity(tmp_path, ["lm-0"]).path
    path.chmod(0o644)
    management_identity(tmp_path, ["lm-0"])
    assert mode(path) == 0o600
    assert "others could read" in caplog.text


async def test_a_replacement_is_served_and_keeps_its_chain(tmp_path):
    key, issuer_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def signed(public, subject):
        return (
            builder(public, subject=subject, issuer="corp")
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(days=30))
            .sign(issuer_key, hashes.SHA256())
        )

    issuer = signed(issuer_key.public_key(), "corp")
    leaf = signed(key.public_key(), "lm.example")
    in_the_wrong_order = issuer.public_bytes(serialization.Encoding.PEM) + Pair(key, leaf).to_pem()
    old = management_identity(tmp_path, ["lm-0"])
    new = await store(old.path, in_the_wrong_order)
    assert new.fingerprint == leaf.fingerprint(hashes.SHA256())
    assert new == management_identity(tmp_path, ["lm-0"])
    assert x509.load_pem_x509_certificates(old.path.read_bytes()) == [leaf, issuer]
    server_context(new)  # OpenSSL takes it


def bad_replacements():
    pair, other = make_self_signed(["one"]), make_self_signed(["other"])
    certificate = pair.certificate.public_bytes(serialization.Encoding.PEM)
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the weak one
    now = dt.datetime.now(dt.UTC)
    weak = (
        x509.CertificateBuilder()
        .subject_name(pair.certificate.subject)
        .issuer_name(pair.certificate.subject)
        .public_key(short.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(short, hashes.SHA256())
    )
    protected = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    return {
        "nothing": (b"", "no private key"),
        "no key": (certificate, "no private key"),
        "no certificate": (private_pem(pair.key), "no certificate"),
        "another's key": (private_pem(other.key) + certificate, "does not belong"),
        "passphrase": (protected + certificate, "passphrase"),
        "weak": (private_pem(short) + weak.public_bytes(serialization.Encoding.PEM), "2048 bits"),
        "noise": (b"\x00\xff" * 100, "no private key"),
    }


@pytest.mark.parametrize(("pem", "why"), bad_replacements().values(), ids=bad_replacements().keys())
async def test_a_bad_replacement_is_refused_in_words_and_changes_nothing(tmp_path, pem, why):
    identity = management_identity(tmp_path, ["lm-0"])
    before = identity.path.read_bytes()
    with pytest.raises(CertificateUnusable, match=why):
        await store(identity.path, pem)
    assert identity.path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CertificateUnusable, match=r"file/x\.pem cannot be"):
        load_or_make(Place(tmp_path / "file" / "x.pem", {"do": "make_self_signed", "hosts": ["x"]}))
