"""Who is there: the first messages of a connection, as a pure state machine.

TLS has shown each side a certificate and proved that the other holds its key (`tls`). Here both prove that
they know the Partner Shared Secret *and* see the same two certificates, so that nobody sits in between:

    dialler  -> hello {min, max, agent, instance, nonce}
    listener -> hello {min, max, agent, instance, nonce}
    dialler  -> proof {mac}         HMAC-SHA256(key, label, "dialler",  transcript)
    listener -> proof {mac}         HMAC-SHA256(key, label, "listener", transcript)

The transcript is the version chosen, both certificates' fingerprints and the bytes of both hellos, which hold
the nonces. The two MACs differ in the direction's name, so that none can be sent back; a relay shows another
certificate than the partner's; an old MAC fits no new nonce. The dialler proves first: who merely connects
gets nothing that was made with the secret. Either side may say `refused {reason}` instead and close.

`min` and `max` are the versions of the protocol that a side understands; the highest in common is spoken.
Each release of the agent understands the release before it.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from loadmaster_ha.agent.link.framing import FrameType, Message, encode, frame

OLDEST_VERSION: Final = 1
NEWEST_VERSION: Final = 1

_LABEL = b"loadmaster-ha partner link"
_HEX32 = re.compile(r"[0-9a-f]{64}")
_INSTANCE = re.compile(r"[0-9a-f]{32}")
_AGENT = re.compile(r"[ -~]{1,64}")
_HIGHEST = 2**16


class Side(StrEnum):
    """Who made the TCP connection."""

    DIALLER = "dialler"
    LISTENER = "listener"

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side.LISTENER if self is Side.DIALLER else Side.DIALLER


class Refusal(StrEnum):
    """Why there is no link, as the sides tell each other and as the counters name it."""

    NO_SECRET = "no-secret"  # noqa: S105 - the name of a reason
    """The refusing side has no Partner Shared Secret set."""
    SECRET = "secret"  # noqa: S105 - the name of a reason
    """The secrets differ, or somebody sits in between."""
    VERSION = "version"
    """No version of the protocol in common."""
    SAME_CERTIFICATE = "same-certificate"
    """Both sides show the same certificate: a unit talks to itself, or to a copy of its disk."""
    PROTOCOL = "protocol"
    """What came is not this protocol."""


@dataclass(frozen=True, slots=True)
class Own:
    """What this side says of itself."""

    fingerprint: bytes
    agent_version: str
    instance: str
    """32 hexadecimal digits, new with every start of the process."""
    nonce: bytes
    """32 bytes, new with every connection."""
    versions: tuple[int, int] = (OLDEST_VERSION, NEWEST_VERSION)


@dataclass(frozen=True, slots=True)
class Hello:
    """What the other side says of itself; proved only when the handshake is over."""

    oldest: int
    newest: int
    agent_version: str
    instance: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Agreed:
    """The partner has proved itself."""

    version: int
    hello: Hello


class HandshakeFailed(Exception):  # noqa: N818 - reads as what happened
    """No link comes of this connection. `by_partner`: it was the other side that refused."""

    def __init__(self, reason: Refusal, detail: str, *, by_partner: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.by_partner = by_partner

    def farewell(self) -> bytes:
        """What to tell the other side before closing; nothing if it refused itself."""
        return b"" if self.by_partner else refusal(self.reason)


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from a message: bytes to send, and perhaps that all is well."""

    send: bytes = b""
    agreed: Agreed | None = None


def refusal(reason: Refusal) -> bytes:
    """The frame that says why."""
    return _framed("refused", {"reason": reason.value})


class Handshake:
    """One side of one connection's handshake.

    Args:
        side: which side this is.
        own: what it says of itself.
        peer: fingerprint of the certificate that TLS showed.
        key: from `secret.derive_key` for both fingerprints; None: no secret is set.
    """

    def __init__(self, side: Side, own: Own, peer: bytes, key: bytes | None) -> None:
        self._side = side
        self._own = own
        self._peer = peer
        self._key = key
        oldest, newest = own.versions
        self._hello = encode(
            "hello",
            {
                "min": oldest,
                "max": newest,
                "agent": own.agent_version,
                "instance": own.instance,
                "nonce": own.nonce.hex(),
            },
        )
        self._theirs: Agreed | None = None
        self._transcript = b""
        self._over = False

    def start(self) -> bytes:
        """What to send first."""
        return frame(FrameType.WHOLE, self._hello)

    def receive(self, message: Message) -> Step:
        """Go on with a message of the other side.

        Raises:
            HandshakeFailed: this connection will not do; `farewell()` is to be sent.
        """
        if self._over:
            raise HandshakeFailed(Refusal.PROTOCOL, "the handshake was over")
        try:
            return self._go_on(message)
        except HandshakeFailed:
            self._over = True
            raise

    def _go_on(self, message: Message) -> Step:
        if message.kind == "refused":
            raise _refused(message.body)
        if self._theirs is None and message.kind == "hello":
            return self._greeted(message)
        if self._theirs is not None and message.kind == "proof":
            return self._proved(self._theirs, message.body)
        raise HandshakeFailed(Refusal.PROTOCOL, f"a {message.kind[:20]!r} message out of turn")

    def _greeted(self, message: Message) -> Step:
        hello = _hello(message.body)
        if hmac.compare_digest(self._peer, self._own.fingerprint):
            raise HandshakeFailed(
                Refusal.SAME_CERTIFICATE,
                "it shows this unit's own certificate: the partner's address is this unit's own, or its disk "
                "was copied from this one (delete link.pem on one of the two and restart it)",
            )
        version = self._common_version(hello)
        if self._key is None:
            raise HandshakeFailed(Refusal.NO_SECRET, "no Partner Shared Secret is set on this unit")
        self._theirs = Agreed(version, hello)
        ours = self._side is Side.DIALLER
        parts = (
            version.to_bytes(4),
            self._own.fingerprint if ours else self._peer,
            self._peer if ours else self._own.fingerprint,
            self._hello if ours else message.encoded,
            message.encoded if ours else self._hello,
        )
        self._transcript = b"".join(len(part).to_bytes(4) + part for part in parts)
        return Step(self._proof()) if ours else Step()

    def _common_version(self, hello: Hello) -> int:
        oldest, newest = self._own.versions
        version = min(newest, hello.newest)
        if version < max(oldest, hello.oldest):
            raise HandshakeFailed(
                Refusal.VERSION,
                f"agent {hello.agent_version} speaks versions {hello.oldest} to {hello.newest} of the "
                f"link's protocol, and this one {oldest} to {newest}; agents may be one release apart",
            )
        return version

    def _proved(self, theirs: Agreed, body: dict[str, Any]) -> Step:
        mac = body.get("mac")
        if not isinstance(mac, str) or not _HEX32.fullmatch(mac):
            raise HandshakeFailed(Refusal.PROTOCOL, "a proof without a MAC")
        if not hmac.compare_digest(bytes.fromhex(mac), self._mac(self._side.other)):
            raise HandshakeFailed(Refusal.SECRET, "the Partner Shared Secrets of the two units differ")
        self._over = True
        return Step(b"" if self._side is Side.DIALLER else self._proof(), theirs)

    def _proof(self) -> bytes:
        return _framed("proof", {"mac": self._mac(self._side).hex()})

    def _mac(self, side: Side) -> bytes:
        assert self._key is not None  # noqa: S101 - `_greeted` has refused otherwise
        direction = side.value.encode()
        text = b"".join(len(part).to_bytes(4) + part for part in (_LABEL, direction, self._transcript))
        return hmac.digest(self._key, text, hashlib.sha256)


def _hello(body: dict[str, Any]) -> Hello:
    oldest, newest = body.get("min"), body.get("max")
    if type(oldest) is not int or type(newest) is not int or not 1 <= oldest <= newest <= _HIGHEST:
        raise HandshakeFailed(Refusal.PROTOCOL, "a hello without versions")
    return Hello(
        oldest,
        newest,
        _text(body, "agent", _AGENT),
        _text(body, "instance", _INSTANCE),
        _text(body, "nonce", _HEX32),
    )


def _text(body: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise HandshakeFailed(Refusal.PROTOCOL, f"a hello without a proper {name}")
    return value


_SAID = {
    Refusal.NO_SECRET: "the partner has no Partner Shared Secret set",
    Refusal.SECRET: "the partner says that the Partner Shared Secrets differ",
    Refusal.VERSION: "the partner's agent speaks no version of the link's protocol that this one does",
    Refusal.SAME_CERTIFICATE: "the partner shows the same certificate as this unit",
}


def _refused(body: dict[str, Any]) -> HandshakeFailed:
    try:
        reason = Refusal(body.get("reason", ""))
    except ValueError:
        reason = Refusal.PROTOCOL
    said = _SAID.get(reason, "the partner refused the connection and gave no reason that this agent knows")
    return HandshakeFailed(reason, said, by_partner=True)


def _framed(kind: str, body: dict[str, Any]) -> bytes:
    return frame(FrameType.WHOLE, encode(kind, body))
