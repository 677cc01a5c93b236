"""From what a unit sent back to an `Answer`, or to the `UnitFault` that it means. Pure.

The wire is `v1` and `v2`; what refusals and foreign pages mean is `recognition`. Texts of a unit get into
messages redacted, on one line, and of bounded length.
"""

from collections.abc import Callable

from loadmaster_ha.loadmaster import recognition, v1, v2
from loadmaster_ha.loadmaster.answers import Answer, WireError
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.http_messages import HttpReply
from loadmaster_ha.loadmaster.shapes import Binary, Command
from loadmaster_ha.loadmaster.values import Version


def read(
    version: Version, command: Command, reply: HttpReply, where: str, redact: Callable[[str], str]
) -> Answer:
    """The answer in a reply.

    Args:
        version: in which the command was asked.
        command: what was asked.
        reply: what came back.
        where: the unit, for messages.
        redact: takes the secrets out of a text of the unit's.

    Raises:
        UnitFault: a refusal, or not an answer of the API.
    """
    if _is_of_api(version, command, reply):
        decode = v2.decode_answer if version is Version.V2 else v1.decode_answer
        try:
            answer = decode(command.reply, reply.status, reply.content_type, reply.content)
        except WireError as problem:
            raise _malformed(reply, where, redact(str(problem))) from problem
        if answer.ok:
            return answer
        raise _refusal(recognition.of_refusal(answer), answer.code, redact(answer.text or ""), where, command)
    reason = recognition.of_other_page(reply)
    if reason is None:
        wanted = "JSON" if version is Version.V2 else "XML"
        got = redact(reply.content_type) or "of no stated type"
        raise _malformed(reply, where, f"The answer ({reply.status}) is {got} and not {wanted}.")
    raise _refusal(reason, reply.status, redact(recognition.words_of(reply)), where, command)


def _is_of_api(version: Version, command: Command, reply: HttpReply) -> bool:
    if "html" in reply.content_type:
        return False
    if version is Version.V2:
        return "json" in reply.content_type
    return "xml" in reply.content_type or (isinstance(command.reply, Binary) and reply.status == 200)


def _refusal(reason: FaultReason, status: int, text: str, where: str, command: Command) -> UnitFault:
    said = recognition.shortened(text)
    message = recognition.sentence(reason, status, said, where, command)
    # What failed inside of the unit may be half done; what it refused is not done.
    return UnitFault(reason, message, sent=reason is FaultReason.UNAVAILABLE, said=said)


def _malformed(reply: HttpReply, where: str, why: str) -> UnitFault:
    # With a 4xx it is at least clear that nothing was done.
    sent = not 400 <= reply.status < 500
    return UnitFault(FaultReason.MALFORMED, f"{where}: {recognition.shortened(why)}", sent=sent)
