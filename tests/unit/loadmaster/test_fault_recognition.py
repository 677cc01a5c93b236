"""What is wrong with a unit, from literal answers: statuses, pages and words."""

import pytest

from loadmaster_ha.loadmaster import commands, replies
from loadmaster_ha.loadmaster.faults import EXPLANATIONS, FaultReason, UnitFault
from loadmaster_ha.loadmaster.http_messages import HttpReply
from loadmaster_ha.loadmaster.values import Version

WHERE = "10.0.2.4:8443"
LOGIN = b"""<!DOCTYPE html><html><head><title>LoadMaster</title><style>p {color: red}</style></head>
<body><form action="/login"><input name="u"><input type="password" name="p"></form>
<a href="/eula">End User License Agreement</a></body></html>"""
EULA = b"<html><body><h1>End User License Agreement</h1><p>Please read and accept.</p></body></html>"
STARTING = b"<html><head><title>503 Service Unavailable</title></head><body>Try later</body></html>"


def fault_of(version, status, content_type, content, command="getazurehaparams"):
    reply = HttpReply(status, content_type, content)
    with pytest.raises(UnitFault) as raised:
        replies.read(version, commands.find(command), reply, WHERE, lambda text: text)
    return raised.value


def refused_in_v1(stat, text, command="addvs"):
    body = f'<Response stat="{stat}" code="fail"><Error>{text}</Error></Response>'
    return fault_of(Version.V1, stat, "text/xml", body.encode(), command)


def refused_in_v2(code, text, command="addvs"):
    body = f'{{"code":{code},"message":"{text}","status":"fail"}}'
    return fault_of(Version.V2, code, "text/json", body.encode(), command)


@pytest.mark.parametrize("refused", [refused_in_v1, refused_in_v2])
@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (400, "param: String Value missing", FaultReason.INVALID_REQUEST),
        (422, "param: String Value missing", FaultReason.INVALID_REQUEST),
        (422, "vs: Address 1.2.3.4 already in use", FaultReason.INVALID_REQUEST),
        (401, "Unauthorized", FaultReason.UNAUTHORIZED),
        (403, "Permission denied", FaultReason.FORBIDDEN),
        (404, "Not found", FaultReason.API_DISABLED),
        (405, "Unknown command", FaultReason.UNKNOWN_COMMAND),
        (405, "no", FaultReason.UNKNOWN_COMMAND),
        (422, "Unknown command killaslinstance", FaultReason.UNKNOWN_COMMAND),
        (422, "unit is standby, configure the active unit 10.0.2.5", FaultReason.STANDBY_REFUSES),
        (422, "This machine is in stand-by", FaultReason.STANDBY_REFUSES),
        (422, "StandbyAddr: is not an IP address", FaultReason.INVALID_REQUEST),
        (422, "Connection to default gateway failed", FaultReason.LICENSING_FAILED),
        (400, "EULA not accepted", FaultReason.EULA_NOT_ACCEPTED),
        (422, "The End-User Licence Agreement has to be accepted", FaultReason.EULA_NOT_ACCEPTED),
        (503, "LoadMaster is not licensed", FaultReason.UNLICENSED),
        (503, "Unlicensed", FaultReason.UNLICENSED),
        (422, "License has expired", FaultReason.UNLICENSED),
        (422, "Refused: the node agent needs no licence.", FaultReason.INVALID_REQUEST),
        (503, "still booting", FaultReason.BOOTING),
        (503, "addvs took longer than 30 s.", FaultReason.UNAVAILABLE),
        (500, "oops", FaultReason.UNAVAILABLE),
        (429, "Too many requests", FaultReason.RATE_LIMITED),
    ],
)
def test_a_refusal_of_the_api_has_its_reason(refused, code, text, reason):
    fault = refused(code, text)

    assert fault.reason is reason
    assert fault.sent is (reason is FaultReason.UNAVAILABLE)
    assert WHERE in str(fault)
    assert text.rstrip(".") in fault.message
    assert str(code) in fault.message


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize(
    ("status", "content_type", "content", "reason"),
    [
        (404, "text/html", b"<html>404 Not Found</html>", FaultReason.API_DISABLED),
        (404, "", b"", FaultReason.API_DISABLED),
        (200, "text/html", LOGIN, FaultReason.API_DISABLED),
        (200, "", b"\n <!DOCTYPE HTML><title>x</title>", FaultReason.API_DISABLED),
        (302, "", b"", FaultReason.API_DISABLED),
        (301, "text/html", b"<html>moved</html>", FaultReason.API_DISABLED),
        (401, "text/html", b"<html>401 Unauthorized</html>", FaultReason.UNAUTHORIZED),
        (403, "text/html", b"<html>Forbidden</html>", FaultReason.FORBIDDEN),
        (200, "text/html", EULA, FaultReason.EULA_NOT_ACCEPTED),
        (503, "text/html", EULA, FaultReason.EULA_NOT_ACCEPTED),
        (503, "text/html", STARTING, FaultReason.BOOTING),
        (503, "", b"", FaultReason.BOOTING),
        (503, "text/html", b"<html>This unit is unlicensed</html>", FaultReason.UNLICENSED),
        (502, "text/html", b"<html>Bad gateway</html>", FaultReason.UNAVAILABLE),
        (500, "text/plain", b"oops", FaultReason.UNAVAILABLE),
        (200, "text/plain", b"Master is active", FaultReason.MALFORMED),
        (200, "application/octet-stream", b"\x00", FaultReason.MALFORMED),
    ],
)
def test_a_page_that_is_not_of_the_api_has_its_reason(version, status, content_type, content, reason):
    fault = fault_of(version, status, content_type, content)

    assert fault.reason is reason
    assert fault.remedy


def test_html_instead_of_a_file_is_no_file():
    assert fault_of(Version.V1, 200, "text/html", LOGIN, "backup").reason is FaultReason.API_DISABLED


def test_an_answer_of_the_other_version_is_malformed():
    assert fault_of(Version.V1, 200, "text/json", b"{}").reason is FaultReason.MALFORMED
    assert fault_of(Version.V2, 200, "text/xml", b"<Response/>").reason is FaultReason.MALFORMED


@pytest.mark.parametrize(
    ("version", "content_type", "content"),
    [
        (Version.V1, "text/xml", b"<Response"),
        (Version.V1, "text/xml", b""),
        (Version.V1, "text/xml", b"<html><body/></html>"),
        (Version.V1, "text/xml", b'<!DOCTYPE r [<!ENTITY a "b">]><Response stat="200">&a;</Response>'),
        (Version.V1, "text/xml", b'<!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd"><Response stat="200"/>'),
        (Version.V2, "text/json", b"{"),
        (Version.V2, "text/json", b"[]"),
        (Version.V2, "text/json", b'{"code":200,"code":200}'),
        (Version.V2, "text/json", b"[" * 100_000),
    ],
)
def test_broken_answers_are_malformed_and_may_have_been_acted_on(version, content_type, content):
    fault = fault_of(version, 200, content_type, content)

    assert fault.reason is FaultReason.MALFORMED
    assert fault.sent


def test_a_missing_permission_is_named():
    fault = refused_in_v2(403, "Forbidden", "addvs")

    assert "permission addvs or vs" in fault.message
    assert "addvs" in fault.message
    assert "User Management" in fault.remedy


def test_the_gateway_message_is_explained_as_the_red_herring_that_it_is():
    fault = refused_in_v1(422, "Connection to default gateway failed", "set")

    assert "Kemp ID" in fault.remedy
    assert "nothing about the gateway" in EXPLANATIONS[fault.reason].meaning


def test_texts_of_a_unit_become_one_line_of_bounded_length():
    fault = refused_in_v1(422, "a\n\tb\x7f " + "x" * 5000)

    assert '"a b x' in fault.message
    assert "\n" not in str(fault)
    assert len(fault.message) < 500


def test_every_reason_is_explained():
    assert set(EXPLANATIONS) == set(FaultReason)
    assert all(each.meaning.endswith(".") and each.remedy.endswith(".") for each in EXPLANATIONS.values())
