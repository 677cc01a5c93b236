"""What `loadmaster-agent` shows people of the running agent's answers; `--output json` shows all of them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

JSON = Mapping[str, Any]

_WITHOUT_A_REPORT: Final = {
    "ActiveByPage": "active, as its health port says",
    "IdleByPage": "not active, as its health port says",
    "Down": "down, as its health port says",
    "Silent": "silent on link and health port",
    "Unknown": "nothing is known yet",
}
"""Of the partner, by what the engine knows of it (`agent.ha.partner.PartnerIs`)."""


def _ago(seconds: float | None) -> str:
    """`3 h 12 min`; empty for None."""
    if seconds is None:
        return ""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.1f} s"


def _status(answer: JSON) -> str:
    partner, haproxy, sync = answer["partner"], answer["haproxy"], answer["synchronisation"]
    active = answer["activeSeconds"]
    lines = [
        f"{answer['mode']}, {answer['state']}" + (f" for {_ago(active)}" if active is not None else ""),
        f"  {answer['message']}",
        f"Probed:   {_probed(answer['probedSecondsAgo'])}",
        f"Partner:  {_partner(partner)}",
        f"HAProxy:  {haproxy['detail']}",
        f"Settings: {_settings(sync)}",
    ]
    if answer["configuredMode"] != answer["mode"]:
        lines.append(f"Reboot:   the mode is set to {answer['configuredMode']}; it takes effect at a reboot")
    if answer["draining"]:
        lines.append("Drain:    takes no new connections (loadmaster-agent undrain ends it)")
    if answer["held"]:
        left = answer["holdSeconds"]
        until = f"for {_ago(left)}" if left is not None else "until loadmaster-agent switchover --undo"
        lines.append(f"Hold:     the master does not take over {until}")
    if haproxy["problem"]:
        lines.append(f"Problem:  {haproxy['problem']}")
    lines += [
        f"Problem:  {service} is not served as it is set: {why}"
        for service, why in haproxy["rejected"].items()
    ]
    lines += [
        f"Problem:  the health port cannot listen on {where}: {why}"
        for where, why in answer["notListening"].items()
    ]
    lines += [f"Notice:   {each['message']} ({each['reason']})" for each in answer["notices"]]
    return "\n".join(lines)


def _probed(seconds: float | None) -> str:
    return "not yet by the balancer" if seconds is None else f"{_ago(seconds)} ago by the balancer"


def _partner(partner: JSON) -> str:
    if not partner["address"]:
        return "none is set"
    if partner["state"]:
        said = f"{partner['mode']}, {partner['state']}"
    else:
        said = _WITHOUT_A_REPORT.get(partner["is"], str(partner["is"]))
    why = (partner["problem"] or "no attempt has ended yet").removeprefix(
        f"no link with {partner['address']}: "
    )
    link = "linked" if partner["linked"] else f"not linked ({why})"
    return f"{partner['address']}: {said}; {link}"


def _settings(sync: JSON) -> str:
    if sync["pending"]:
        return f"{sync['pending']} not acknowledged by the partner"
    return (
        f"as the partner's, compared at {sync['lastSuccess']}"
        if sync["lastSuccess"]
        else "not compared with a partner yet"
    )


def _outcome(answer: JSON) -> str:
    return f"{answer['outcome']}: {answer['message']}"


def _fingerprint(answer: JSON) -> str:
    return f"management API (SHA-256): {answer['management']}\npartner link (SHA-256):   {answer['link']}"


OUTPUTS: Final[Mapping[str, Callable[[JSON], str]]] = {
    "status": _status,
    "switchover": _outcome,
    "drain": _outcome,
    "undrain": _outcome,
    "fingerprint": _fingerprint,
}
"""By command."""
