"""`If-Match` and `If-None-Match`, after the truth table of ARM's contract.

| header | resource missing | etag equal | etag differs |
| --- | --- | --- | --- |
| (none) | create | change | change |
| `If-Match: *` | 412 | change | change |
| `If-Match: x` | 412 | change | 412 |
| `If-None-Match: *` | create | 412 | 412 |

A DELETE of a missing resource is 204 whatever the headers say; `lifecycle` does not ask then. Children share
their parent's etag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.errors import compute_etag_mismatch, etag_mismatch

if TYPE_CHECKING:
    from loadmaster_ha.emulator.armid import ArmId
    from loadmaster_ha.emulator.cloud import Call
    from loadmaster_ha.emulator.errors import ArmError
    from loadmaster_ha.emulator.resource_type import ResourceType


def check_preconditions(call: Call, kind: ResourceType, target: ArmId, current: str | None) -> None:
    """Refuse a write whose precondition does not hold.

    `current` is the etag; `None` when there is no such resource.

    Raises:
        ArmError: 412 `PreconditionFailed`.
    """
    if kind.synchronous:
        return
    match = call.headers.get("if-match")
    if match is not None and (current is None or (match != "*" and not _equal(match, current))):
        raise _mismatch(kind, "if-match", match, current, target)
    none_match = call.headers.get("if-none-match")
    if none_match is not None and current is not None and (none_match == "*" or _equal(none_match, current)):
        raise _mismatch(kind, "if-none-match", none_match, current, target)


def _equal(given: str, current: str) -> bool:
    return any(_value(part) == _value(current) for part in given.split(","))


def _value(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"')


def _mismatch(kind: ResourceType, header: str, given: str, current: str | None, target: ArmId) -> ArmError:
    if kind.namespace == "Microsoft.Compute":
        return compute_etag_mismatch(header, _value(given), _value(current) if current else None)
    # The network provider writes an unquoted value as a weak etag (recorded).
    shown = given if given == "*" else f'W/"{_value(given)}"'
    return etag_mismatch(header, shown, current, str(target))
