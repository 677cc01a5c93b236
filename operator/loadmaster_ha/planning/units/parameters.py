"""HA parameters of a unit (guide, 7 steps 4 to 8): partner, check port, preference, interfaces.

Only what differs is in a change. Each unit's partner is the other one: the guide's step 8 slips there.
"""

from collections.abc import Iterator
from typing import Any

from loadmaster_ha.domain.differences import Difference
from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import PreferredHost
from loadmaster_ha.domain.unit_changes import WriteParameters
from loadmaster_ha.planning.units import check_port
from loadmaster_ha.planning.units.reasons import Reason, finding
from loadmaster_ha.planning.units.situation import Member, Situation


def plan_parameters(situation: Situation) -> Iterator[WriteParameters]:
    """One write for each unit that has its mode and differs in a parameter that may be written now."""
    for member in check_port.in_order(situation):
        if not member.mode_is_wanted:
            continue
        different = _different(member)
        if "port" in different and check_port.why_not_now(situation, member):
            del different["port"]
        if different:
            yield _write(member, different)


def findings(situation: Situation) -> Iterator[Finding]:
    """Addresses that are needed and not known."""
    for member in situation.members.values():
        if member.wanted.partner is None:
            role = member.role.partner.lower()
            what = f"The address of the {role} is not known, so the {member.role.lower()} gets no partner yet"
            yield finding(Reason.ADDRESS_UNKNOWN, f"spec.{role}.address", what)


def _different(member: Member) -> dict[str, Any]:
    have, want = member.facts.settings, member.wanted
    found: dict[str, Any] = {}
    if want.partner is not None and have.partner != want.partner:
        found["partner"] = want.partner
    if have.port != want.port:
        found["port"] = want.port
    # What is not told has the documented default, Prefer Master.
    if (have.preferred_host or PreferredHost.MASTER) is not want.preferred_host:
        found["preferred_host"] = want.preferred_host
    if have.all_interfaces is not None and have.all_interfaces != want.all_interfaces:
        found["all_interfaces"] = want.all_interfaces
    return found


def _write(member: Member, different: dict[str, Any]) -> WriteParameters:
    names = {
        "partner": "partner",
        "port": "health check port",
        "preferred_host": "preferred host",
        "all_interfaces": "health check on all interfaces",
    }
    settings = member.facts.settings
    differences = tuple(
        Difference(
            f"spec.{member.role.lower()}: {names[name]}", _plain(getattr(settings, name)), _plain(value)
        )
        for name, value in different.items()
    )
    return WriteParameters(member.role, **different, differences=differences)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, PreferredHost) else value
