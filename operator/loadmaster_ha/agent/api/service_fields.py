"""From the parameters of `addvs` and `modvs` to the fields that are stored, with the rules of the LoadMaster.

Types, choices and bounds of single values are the catalogue's; here is what depends on more than one of them.
What HAProxy cannot do is said by the data plane, not here.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Refused
from loadmaster_ha.agent.api.unit import Snapshot
from loadmaster_ha.agent.service_settings import (
    FIXED,
    HIGHEST_PORT,
    LOWEST_PORT,
)
from loadmaster_ha.agent.settings.model import Fields, Json, Kind
from loadmaster_ha.loadmaster.virtual_service_fields import SERVICE_DEFAULTS, extra_ports

_PERSISTENCE: Final = frozenset(
    {
        "none", "ssl", "cookie", "active-cookie", "cookie-src", "active-cook-src", "cookie-hash",
        "cookie-hash-src", "url", "query-hash", "host", "header", "super", "super-src", "src", "rdp",
        "rdp-src", "rdp-sb", "rdp-sb-src", "udpsip",
    }
)  # fmt: skip
_WITH_COOKIE: Final = frozenset({"cookie", "active-cookie", "cookie-src", "active-cook-src"})
_MINUTE: Final = 60
_DEFAULT_PERSISTENCE: Final = 6 * _MINUTE
"""Seconds when persistence is chosen without a time: what the web interface fills in."""
_MOST_EXTRA_PORTS: Final = 256
_FORWARDED_FOR_ALONE: Final = frozenset({0, 2, 5})
_TLS_MASKS: Final = frozenset({0b0000, 0b0001, 0b0011, 0b0111})
"""Of TLS 1.0 to 1.3, lowest bit first: a lowest version and everything above it."""
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


def checked_fields(call: Call, before: Fields, snapshot: Snapshot) -> dict[str, Json]:
    """The fields to store: those of `before` that go on, and those sent; None takes one away.

    Args:
        call: `addvs` or `modvs`.
        before: what is stored; for a new service what its port decides.
        snapshot: the settings, for certificates.

    Raises:
        Refused: a value is not possible, or not together with the others (422).
    """
    _check_fixed(call)
    sent = {name: value for name, value in call.parameters.items() if name in SERVICE_DEFAULTS}
    for name in sent.keys() & _NORMALISED.keys():
        if sent[name] is not None:
            sent[name] = _NORMALISED[name](sent[name])
    fields = {**before, **sent}
    fields |= _persistence(fields, sent)
    for check in _CHECKS:
        check(fields)
    _check_certificates(fields, snapshot)
    return fields


def extra_ports_of(fields: Fields) -> tuple[int, ...]:
    """The further ports that fields name."""
    return extra_ports(str(fields.get("ExtraPorts") or ""))


def _check_fixed(call: Call) -> None:
    if call.sent("createsubvs"):
        raise Refused(422, "createsubvs: this unit does not have SubVSs; add a virtual service of its own.")
    known = {name.lower(): (name, fixed) for name, fixed in FIXED.items()}
    for sent, value in call.parameters.items():
        name, fixed = known.get(sent.lower(), ("", None))
        if fixed is None or not fixed.function or value is None:
            continue
        # As texts: some of them are numbers when they are read and words when they are written.
        if str(value) != str(fixed.value):
            only = "leave it empty" if fixed.value is None else f"only {_shown(fixed.value)} is possible"
            raise Refused(422, f"{name}: this unit does not have {fixed.function}; {only}.")


def _shown(value: Json) -> str:
    return ("Y" if value else "N") if isinstance(value, bool) else str(value)


def _extra_ports(value: Json) -> str:
    ports: set[int] = set()
    for word in re.split(r"[,\s]+", str(value).strip()):
        found = _RANGE.fullmatch(word)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not LOWEST_PORT <= first <= last <= HIGHEST_PORT:
            raise Refused(
                422,
                f"ExtraPorts: {word!r} is not a port or a range of ports ({LOWEST_PORT} to {HIGHEST_PORT}).",
            )
        ports.update(range(first, last + 1))
        if len(ports) > _MOST_EXTRA_PORTS:
            raise Refused(422, f"ExtraPorts: more than {_MOST_EXTRA_PORTS} ports.")
    return ",".join(map(str, sorted(ports)))


def _codes(value: Json) -> Json:
    codes = [str(each) for each in value] if isinstance(value, Iterable) else []
    for code in codes:
        if not (code.isascii() and code.isdigit() and 300 <= int(code) <= 599):
            raise Refused(422, f"CheckCodes: {code!r} is not an HTTP status from 300 to 599.")
    return list[Json](codes)


def _whole_minutes(value: Json) -> Json:
    seconds = value if isinstance(value, int) else 0
    return seconds - seconds % _MINUTE


_NORMALISED: Final[dict[str, Callable[[Json], Json]]] = {
    "ExtraPorts": _extra_ports,
    "CheckCodes": _codes,
    "PersistTimeout": _whole_minutes,
}


def _persistence(fields: Fields, sent: Fields) -> dict[str, Json]:
    """Persistence and its time belong together: less than a minute switches it off (3.6.1.3)."""
    method = fields.get("Persist") or "none"
    timeout = fields.get("PersistTimeout") or 0
    if "PersistTimeout" in sent and not timeout:
        return {"Persist": None, "PersistTimeout": None}
    if method == "none":
        return {"Persist": None}
    return {} if timeout else {"PersistTimeout": _DEFAULT_PERSISTENCE}


def _check_persistence(fields: Fields) -> None:
    method = fields.get("Persist") or "none"
    if method not in _PERSISTENCE:
        raise Refused(422, f"Persist: {method!r} is none of {', '.join(sorted(_PERSISTENCE))}.")
    if method in _WITH_COOKIE and not fields.get("Cookie"):
        raise Refused(422, f"Cookie: missing; persistence {method} needs the name of the cookie.")


def _check_headers(fields: Fields) -> None:
    choice = fields.get("AddVia") or 0
    if choice not in _FORWARDED_FOR_ALONE:
        raise Refused(
            422, f"AddVia: {choice} is not possible; 0 and 5 add X-Forwarded-For, 2 adds nothing. Via and "
            "X-ClientSide are not added by this unit."
        )  # fmt: skip


def _check_tls_versions(fields: Fields) -> None:
    mask = fields.get("TlsType") or 0
    if isinstance(mask, int) and mask >> 1 not in _TLS_MASKS:
        raise Refused(
            422,
            f"TlsType: {mask} is not possible; 1, 3, 7 and 15 are: TLS 1.0, 1.1, 1.2, 1.3 and what is above.",
        )


def _check_sorry_server(fields: Fields) -> None:
    if bool(fields.get("StandbyAddr")) != bool(fields.get("StandbyPort")):
        raise Refused(
            422, "StandbyAddr: the sorry server needs StandbyAddr and StandbyPort, both or neither."
        )


def _check_minimum(fields: Fields) -> None:
    if fields.get("RsMinimum") and not fields.get("EnhancedHealthChecks"):
        raise Refused(422, "RsMinimum: needs EnhancedHealthChecks.")


def _check_error_code(fields: Fields) -> None:
    code = fields.get("ErrorCode") or 0
    if isinstance(code, int) and code and not 200 <= code <= 505:
        raise Refused(422, f"ErrorCode: {code} is not an HTTP status from 200 to 505; 0 switches it off.")


_CHECKS: Final = (
    _check_persistence,
    _check_headers,
    _check_tls_versions,
    _check_sorry_server,
    _check_minimum,
    _check_error_code,
)


def _check_certificates(fields: Fields, snapshot: Snapshot) -> None:
    named = fields.get("CertFile") or []
    for name in named if isinstance(named, list) else []:
        if snapshot.get(Kind.CERTIFICATE, str(name)) is None:
            raise Refused(422, f"CertFile: there is no certificate {name}; add it first (addcert).")
    if fields.get("SSLReencrypt") and not fields.get("SSLAcceleration"):
        raise Refused(422, "SSLReencrypt: needs SSLAcceleration.")
