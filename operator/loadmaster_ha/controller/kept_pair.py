"""What is kept of a pair as the API server has it: metadata and status, as packed text.

Read into objects, the status of a pair takes some 11 KiB, which a thousand pairs would hold all the time to
be looked at once in a while; packed it is less than one, and reading it again takes a tenth of a millisecond.
`board` keeps one for each pair.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from loadmaster_ha.controller.kubernetes import JSON
from loadmaster_ha.domain.packing import Packing

_KEPT: Final = ("namespace", "name", "uid", "generation", "resourceVersion", "deletionTimestamp")
_PACKING: Final = Packing()


class KeptPair:
    """One reading of a pair, without its spec.

    Args:
        body: as the API server returned it.
    """

    __slots__ = ("_text", "uid", "version")

    def __init__(self, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        self.uid: str = metadata["uid"]
        self.version = str(metadata.get("resourceVersion", ""))
        slim = {
            "metadata": {name: metadata[name] for name in _KEPT if name in metadata},
            "status": body.get("status") or {},
        }
        text = json.dumps(slim, separators=(",", ":"), ensure_ascii=False)
        self._text = _PACKING.pack(text)

    def body(self) -> JSON:
        """Metadata and status, made for the caller."""
        found: JSON = json.loads(_PACKING.unpack(self._text))
        return found

    def is_newer_than(self, body: Mapping[str, Any]) -> bool:
        """Whether this reading is of later than another; versions are numbers where they compare."""
        its = str(body["metadata"].get("resourceVersion", ""))
        return self.version.isdigit() and its.isdigit() and int(self.version) > int(its)
