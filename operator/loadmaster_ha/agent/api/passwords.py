"""Passwords and API keys at rest: how they are made, stored and checked. No I/O and no clock.

A password is hashed by scrypt with 16 MiB (N=2**14, r=8) and five rounds, what OWASP's Password Storage
Cheat Sheet gives as equal to its first choice at that memory. An API key is 256 random bits, for which one
SHA-256 suffices: there is nothing to guess.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

SHORTEST_PASSWORD: Final = 8
LONGEST_PASSWORD: Final = 127
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_MEMORY: Final = 16 * 1024 * 1024
_SLACK: Final = 64 * 1024
"""What OpenSSL counts beside the large table."""
_MOST_ROUNDS: Final = 16
_FINGERPRINT: Final = "sha256:"
_FINGERPRINT_LENGTH: Final = 16


class HashError(ValueError):
    """What is stored is no password hash of ours."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one verification: 128 * n * r bytes, p times over."""

    n: int = 2**14
    r: int = 8
    p: int = 5


def hash_password(password: str, cost: Cost = Cost()) -> str:
    """`scrypt$n$r$p$salt$hash`, salt and hash in base64. Takes a fraction of a second."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return "$".join(
        (
            "scrypt",
            str(cost.n),
            str(cost.r),
            str(cost.p),
            _encode(salt),
            _encode(_scrypt(password, salt, cost)),
        ),
    )


def hash_of_nobody() -> str:
    """A hash that no password has, and that costs as much to verify as any."""
    cost = Cost()
    salt, digest = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_HASH_BYTES)
    return "$".join(("scrypt", str(cost.n), str(cost.r), str(cost.p), _encode(salt), _encode(digest)))


def verify_password(password: str, stored: str) -> bool:
    """Whether it is the password. Takes a fraction of a second.

    Raises:
        HashError: `stored` is not what `hash_password` gives, or would take more memory than that.
    """
    try:
        scheme, n, r, p, salt, expected = stored.split("$")
        cost = Cost(int(n), int(r), int(p))
        if scheme != "scrypt" or 128 * cost.n * cost.r > _MEMORY or not 0 < cost.p <= _MOST_ROUNDS:
            raise HashError("It is no scrypt hash of at most 16 MiB.")
        computed = _scrypt(password, base64.b64decode(salt, validate=True), cost)
        return hmac.compare_digest(computed, base64.b64decode(expected, validate=True))
    except (ValueError, binascii.Error) as error:
        raise HashError(f"The stored hash of a password cannot be read ({type(error).__name__}).") from None


def password_refusal(password: str) -> str | None:
    """Why this cannot be a password; None when it can."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return f"The password has to have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
    return None


def new_api_key() -> str:
    """A key that is safe in URLs, headers and JSON."""
    return secrets.token_urlsafe(32)


def key_digest(key: str) -> str:
    """What is stored of a key, and found by it."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(digest: str) -> str:
    """What a listing shows of a key: enough to tell it from the user's others, not to use it."""
    return _FINGERPRINT + digest[:_FINGERPRINT_LENGTH]


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        maxmem=_MEMORY + _SLACK,
        dklen=_HASH_BYTES,
    )


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
