"""Certificates over HTTPS: what is taken, what is refused, and that no key is ever read back."""

import asyncio
import base64
import datetime as dt
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from tests.support.management import served

from loadmaster_ha.agent.certificate_work.chains import certificates_in
from loadmaster_ha.agent.service_certificates import Chains
from loadmaster_ha.agent.settings.model import Kind, Put
from loadmaster_ha.domain.ha import UnitState

PEM = serialization.Encoding.PEM
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        yield serving


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issue(subject, *, issuer=None, days=30, key=None):
    """A certificate and its key; `issuer` is such a pair."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    by, by_key = (issuer[0].subject, issuer[1]) if issuer else (name(subject), key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=60))
        .not_valid_after(NOW + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(by_key, hashes.SHA256())
    )
    return certificate, key


def key_pem(key, password=None):
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, protection)


def both(pair, password=None):
    return pair[0].public_bytes(PEM) + key_pem(pair[1], password)


async def refused(api, command, data=None, **parameters):
    reply = await api.v1(command, data=data, **parameters)
    assert reply.status == 422, reply.text
    return reply.text


async def stored(api, cert="site"):
    return api.unit.settings.snapshot.get(Kind.CERTIFICATE, cert)["pem"]


async def test_a_certificate_with_its_key_is_kept_in_one_piece(api):
    pair = issue("www.example.com")

    reply = await api.v1(
        "addcert", data=key_pem(pair[1]) + pair[0].public_bytes(PEM), cert="site", replace="0"
    )

    assert "<Success>Command completed ok</Success>" in reply.text
    assert await stored(api) == both(pair).decode()


async def test_v2_carries_the_file_in_base64(api):
    pair = issue("www.example.com")

    reply = await api.v2("addcert", cert="site", data=base64.b64encode(both(pair)).decode())

    assert reply.json == {"code": 200, "message": "Command completed ok", "status": "ok"}
    assert await stored(api) == both(pair).decode()


@pytest.mark.parametrize("form", ["pem", "pkcs12", "pkcs12 in base64"])
async def test_a_protected_key_needs_its_password(api, form):
    pair = issue("www.example.com")
    data = both(pair, b"s3cret word")
    if form != "pem":
        protection = serialization.BestAvailableEncryption(b"s3cret word")
        data = pkcs12.serialize_key_and_certificates(b"site", pair[1], pair[0], None, protection)
    if form == "pkcs12 in base64":
        data = base64.encodebytes(data)

    assert "password" in await refused(api, "addcert", data, cert="site")
    assert "password" in await refused(api, "addcert", data, cert="site", password="wrong")
    assert (await api.v1("addcert", data=data, cert="site", password="s3cret word")).status == 200
    assert certificates_in(await stored(api)) == (pair[0],)
    assert "BEGIN PRIVATE KEY" in await stored(api)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nothing of the kind", "neither PEM nor PKCS #12"),
        ("a certificate alone", "no private key"),
        ("a key alone", "no certificate"),
        ("another one's key", "does not belong"),
        ("half a file", "no private key in PEM form in it that can be read"),
        ("a weak key", "2048"),
        ("a key that is too large", "8192 are taken"),
        ("a key of parts that do not fit", "damaged"),
        ("a broken certificate", "no certificate"),
    ],
)
async def test_what_is_no_certificate_with_its_key_is_refused(api, what, words):
    pair, other = issue("www.example.com"), issue("other.example.com")
    weak = issue("weak.example.com", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - the point
    damaged = rsa_of(2**2203 - 1, 2**1031 + 1)  # not prime
    broken = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    data = {
        "nothing of the kind": b"hello",
        "a certificate alone": pair[0].public_bytes(PEM),
        "a key alone": key_pem(pair[1]),
        "another one's key": pair[0].public_bytes(PEM) + key_pem(other[1]),
        "half a file": both(pair)[:-40],
        "a weak key": both(weak),
        "a key that is too large": both(issue("a.example", key=rsa_of(2**4423 - 1, 2**4253 - 1))),
        "a key of parts that do not fit": both((issue("a.example", key=damaged)[0], damaged)),
        "a broken certificate": broken + key_pem(pair[1]),
    }[what]

    text = await refused(api, "addcert", data, cert="site")

    assert words in text
    assert "PRIVATE KEY" not in text
    assert not api.unit.settings.snapshot.entities(Kind.CERTIFICATE)


# Mersenne's 20th and 21st primes in use: a large RSA key without the minutes that making one takes.
LARGE_PRIMES = (2**3217 - 1, 2**4423 - 1)


def rsa_of(p, q):
    exponent = 65537
    private = pow(exponent, -1, (p - 1) * (q - 1))
    parts = (rsa.rsa_crt_dmp1(private, p), rsa.rsa_crt_dmq1(private, q), rsa.rsa_crt_iqmp(p, q))
    numbers = rsa.RSAPrivateNumbers(p, q, private, *parts, rsa.RSAPublicNumbers(exponent, p * q))
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


async def longest_pause(doing):
    """Do it, and see for how many seconds nothing else of this process ran."""
    task, worst, before = asyncio.create_task(doing), 0.0, time.monotonic()
    while not task.done():
        await asyncio.sleep(0.01)
        worst, before = max(worst, time.monotonic() - before), time.monotonic()
    return task.result(), worst


async def test_a_certificate_with_a_large_key_stops_nothing(api):
    pair = issue("www.example.com", key=rsa_of(*LARGE_PRIMES))

    reply, pause = await longest_pause(api.v1("addcert", data=both(pair), cert="site"))

    assert reply.status == 200, reply.text
    assert pause < 3.0  # looking for its primes takes five times as long


async def test_a_file_that_takes_hours_to_open_is_given_up_and_stops_nothing(api):
    pair = issue("www.example.com")
    sealed = bytearray(
        pair[1].private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cret word"),
        )
    )
    for length in (2, 4, 17, 19, 32):  # of all that is around the number of rounds, which gets longer
        sealed[length] += 2
    sealed = sealed.replace(bytes.fromhex("02020800"), bytes.fromhex("02047fffffff"))  # two billion
    key = base64.encodebytes(sealed)
    data = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + key + b"-----END ENCRYPTED PRIVATE KEY-----\n"
    data += pair[0].public_bytes(PEM)

    text, pause = await longest_pause(refused(api, "addcert", data, cert="site", password="s3cret word"))

    assert "too long" in text
    assert pause < 3.0
    assert not api.unit.settings.snapshot.entities(Kind.CERTIFICATE)


@pytest.mark.parametrize("command", ["addcert", "addintermediate"])
async def test_a_file_of_thousands_of_certificates_stops_nothing(api, command):
    pair = issue("www.example.com")
    data = pair[0].public_bytes(PEM) * 20_000 + (key_pem(pair[1]) if command == "addcert" else b"")

    text, pause = await longest_pause(refused(api, command, data, cert="site"))

    assert "262144 are taken" in text
    assert pause < 3.0


async def test_a_missing_file_is_said_to_be_missing(api):
    reply = await api.v1("addcert", data=b"", cert="site")

    assert (reply.status, "File missing" in reply.text) == (400, True)


async def test_replacing_has_to_be_said_and_is_one_commit(api):
    old, new = issue("old.example.com"), issue("new.example.com")
    await api.v1("addcert", data=both(old), cert="site")
    seen = []
    api.unit.settings.subscribe(
        lambda _: seen.append(api.unit.settings.snapshot.get(Kind.CERTIFICATE, "site")["pem"])
    )

    text = await refused(api, "addcert", both(new), cert="site", replace="0")
    await api.v1("addcert", data=both(new), cert="site", replace="1")

    assert "already" in text
    assert seen == [both(new).decode()]


async def test_a_bad_replacement_leaves_the_old_one(api):
    old = issue("old.example.com")
    await api.v1("addcert", data=both(old), cert="site")

    await refused(api, "addcert", b"nonsense", cert="site", replace="1")

    assert await stored(api) == both(old).decode()


@pytest.mark.parametrize(("days", "words"), [(-1, "expired on"), (30, None)])
async def test_an_expired_certificate_is_taken_with_a_warning(api, days, words):
    reply = await api.v1("addcert", data=both(issue("www.example.com", days=days)), cert="site")

    assert reply.status == 200
    assert ("Warning" in reply.text) == (words is not None)
    assert words is None or words in reply.text


@pytest.mark.parametrize("cert", ["", "../../etc/passwd", "a b", "<x>", "x" * 65, ".hidden"])
async def test_names_of_certificates_are_plain(api, cert):
    reply = await api.v1("addcert", data=both(issue("a.example")), cert=cert)

    assert reply.status in {400, 422}
    assert "cert" in reply.text


async def test_lists_tell_type_and_modulus_as_an_appliance_does(api):
    numbers = rsa.generate_private_key(65537, 2048)
    small, large = issue("ecc.example.com"), issue("rsa.example.com", key=numbers)
    await api.v1("addcert", data=both(small), cert="ecccert")
    await api.v1("addcert", data=both(large), cert="rsacertificate")
    public = (
        small[1]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    text = (await api.v1("listcert")).text
    rows = (await api.v2("listcert")).json["cert"]

    modulus = f"{numbers.public_key().public_numbers().n:X}"
    assert f"<cert>\n<name>rsacertificate</name>\n<type>RSA</type>\n<modulus>{modulus}</modulus>" in text
    assert "<name>ecccert</name>\n<type>ECC</type>" in text
    assert f"<publickey>{base64.b64encode(public).decode()}</publickey>" in text
    assert [row["subject"] for row in rows] == ["CN=ecc.example.com", "CN=rsa.example.com"]


async def test_no_certificates_are_an_empty_list(api):
    assert (await api.v2("listcert")).json["cert"] == []
    assert "<Success><Data></Data></Success>" in (await api.v1("listintermediate")).text


async def test_reading_gives_the_certificate_and_never_the_key(api):
    pair = issue("www.example.com")
    await api.v1("addcert", data=both(pair), cert="site")
    der = base64.b64encode(pair[0].public_bytes(serialization.Encoding.DER)).decode()

    assert (await api.v2("readcert", cert="site")).json["certificate"] == pair[0].public_bytes(PEM).decode()
    assert (await api.v2("readcert", cert="site", outform="DER")).json["certificate"] == der
    for command in ("readcert", "listcert", "getall", "listvs"):
        assert "PRIVATE" not in (await api.v1(command, cert="site")).text
    assert "there is no certificate" in await refused(api, "readcert", cert="nosuch")


async def test_a_certificate_in_use_stays(api):
    await api.v1("addcert", data=both(issue("www.example.com")), cert="site")
    service = {"vs": "10.0.2.4", "port": "443", "prot": "tcp"}
    await api.v2("addvs", **service, SSLAcceleration=True, CertFile="site")

    shown = (await api.v2("showvs", **service)).json
    text = await refused(api, "delcert", cert="site")
    await api.v2("modvs", **service, CertFile="")

    assert (shown["CertFile"], shown["SSLAcceleration"], shown["TlsType"]) == ("site", True, "7")
    assert "in use by virtual service 1" in text
    assert (await api.v1("delcert", cert="site")).status == 200
    assert "there is no certificate" in await refused(api, "delcert", cert="site")


async def test_intermediate_certificates_come_without_a_key(api):
    root = issue("root")
    middle = issue("middle", issuer=root)

    assert "private key" in await refused(api, "addintermediate", both(middle), cert="middle")
    assert (await api.v1("addintermediate", data=middle[0].public_bytes(PEM), cert="middle")).status == 200
    der = root[0].public_bytes(serialization.Encoding.DER)
    assert (await api.v1("addintermediate", data=der, cert="root")).status == 200
    assert "already" in await refused(api, "addintermediate", der, cert="root")
    assert "no certificate" in await refused(api, "addintermediate", b"hello", cert="x")
    names = [row["name"] for row in (await api.v2("listintermediate")).json["cert"]]
    assert names == ["middle", "root"]
    assert (await api.v1("delintermediate", cert="root")).status == 200
    assert root[0].public_bytes(PEM).decode() not in (await api.v1("listintermediate")).text


async def test_chains_are_completed_by_the_intermediates_that_are_there(api):
    root = issue("root")
    first = issue("first", issuer=root)
    second = issue("second", issuer=first)
    leaf = issue("www.example.com", issuer=second)
    await api.v1("addcert", data=both(leaf), cert="site")
    for each, cert in ((root, "root"), (first, "first"), (second, "second")):
        await api.v1("addintermediate", data=each[0].public_bytes(PEM), cert=cert)

    (text,) = (await Chains().completed(api.unit.settings.snapshot)).values()

    assert certificates_in(text) == (leaf[0], second[0], first[0])
    assert text.count("BEGIN PRIVATE KEY") == 1
    assert await stored(api) == both(leaf).decode()


async def test_a_chain_that_came_along_is_not_doubled(api):
    root = issue("root")
    middle = issue("middle", issuer=root)
    leaf = issue("www.example.com", issuer=middle)
    await api.v1("addcert", data=both(leaf) + middle[0].public_bytes(PEM), cert="site")
    await api.v1("addintermediate", data=middle[0].public_bytes(PEM), cert="middle")

    (text,) = (await Chains().completed(api.unit.settings.snapshot)).values()

    assert certificates_in(text) == (leaf[0], middle[0])


async def test_what_cannot_be_read_is_listed_and_passed_on(api):
    api.unit.settings.commit([Put(Kind.CERTIFICATE, "odd", {"pem": "of a later release"})])

    assert (await api.v2("listcert")).json["cert"] == [{"name": "odd"}]
    assert await Chains().completed(api.unit.settings.snapshot) == {"odd": "of a later release"}
    assert "cannot be read" in await refused(api, "readcert", cert="odd")


async def test_a_standby_takes_no_certificates(api):
    api.unit.is_in(UnitState.STANDBY)

    assert "standby" in await refused(api, "addcert", both(issue("a.example")), cert="site")
    assert (await api.v1("listcert")).status == 200
