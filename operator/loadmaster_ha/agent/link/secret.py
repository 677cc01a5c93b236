"""The key that is derived from the Partner Shared Secret for the holders of two certificates.

The secret is chosen by people, and who pretends to be a listening partner gets a MAC made with it. So the key
is stretched by scrypt (RFC 7914), salted with both certificates: a guess costs what one derivation costs, and
guesses cannot be prepared before the certificates are known. Sixteen MiB for some 50 ms, once for each pair
of certificates and secret; the key is kept after that.
"""

import asyncio
import hashlib

_LABEL = b"loadmaster-ha partner link key 1"
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_MEMORY = 32 * 1024 * 1024
_REMEMBERED = 4


def derive_key(secret: str, one: bytes, other: bytes) -> bytes:
    """The key for MACs between the holders of two certificates (fingerprints, any order); 32 bytes."""
    salt = hashlib.sha256(_LABEL + b"".join(sorted((one, other)))).digest()
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=_MEMORY, dklen=32
    )


class KeyRing:
    """The keys derived lately, so that a reconnection costs nothing; derived in a thread, one at a time."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, bytes, bytes], bytes] = {}
        self._deriving = asyncio.Lock()

    async def key(self, secret: str | None, one: bytes, other: bytes) -> bytes | None:
        """`derive_key`, or None without a secret."""
        if secret is None:
            return None
        wanted = (secret, one, other)
        async with self._deriving:
            if wanted not in self._keys:
                while len(self._keys) >= _REMEMBERED:
                    del self._keys[next(iter(self._keys))]
                self._keys[wanted] = await asyncio.to_thread(derive_key, secret, one, other)
            return self._keys[wanted]

    def forget(self) -> None:
        """The secret is another one now."""
        self._keys.clear()
