"""Many texts that are alike, kept small: each is compressed by what it shares with one of them.

A thousand pairs have statuses, and Azure resources, that differ in names and addresses; compressed alone each
takes a kibibyte or two, most of which says the same. `azure.snapshot` and `controller.kept_pair` keep theirs
this way.
"""

import zlib
from typing import Final

WINDOW: Final = 32 * 1024
"""Bytes that zlib can look back."""

MOST_MODELS: Final = 8


class Packing:
    """Packs texts of one kind, and unpacks what it packed.

    The first text is the model for those that come after it, until one comes that is more than twice as
    long: statuses begin short.
    """

    __slots__ = ("_models",)

    def __init__(self) -> None:
        self._models: list[bytes] = []

    def pack(self, text: str) -> bytes:
        """The text, small."""
        plain = text.encode()
        models = self._models
        if not models or (len(plain) > 2 * len(models[-1]) and len(models) < MOST_MODELS):
            models.append(plain[:WINDOW])
        packer = zlib.compressobj(level=1, zdict=models[-1])
        return bytes([len(models) - 1]) + packer.compress(plain) + packer.flush()

    def unpack(self, data: bytes) -> str:
        """The text that was packed."""
        unpacker = zlib.decompressobj(zdict=self._models[data[0]])
        return unpacker.decompress(memoryview(data)[1:]).decode()
