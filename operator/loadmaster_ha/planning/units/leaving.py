"""Virtual services of ours that are to go: first out of Azure, then drained, then removed.

To go is what the manifest no longer has, and what a service has left behind on another port or interface
once its new place is ready. Only what bears our mark is looked at. Of a pair that is deleted nothing is
drained: all that led to it in Azure is gone, the memberships of the pool too.
"""

from collections.abc import Iterable

from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import DeleteService
from loadmaster_ha.domain.virtual_services import VirtualService
from loadmaster_ha.planning.units.marks import Whose, service_of
from loadmaster_ha.planning.units.real_servers import Pace
from loadmaster_ha.planning.units.service_reasons import ServiceReason, finding
from loadmaster_ha.planning.units.service_view import Part, View
from loadmaster_ha.resources.virtual_services import VirtualService as Wanted

DEFAULT_DRAIN: int = Wanted().drain_seconds
"""Seconds for services whose manifest is gone."""


def plan_leaving(view: View, parts: Iterable[Part], *, deleting: bool = False) -> Part:
    """Plan what becomes of ours that the manifest does not want where they are; all of ours when deleting."""
    leaving = Part()
    settled = {part.name for part in parts if part.settled}
    for have in view.services:
        name = service_of(have.nickname)
        if name is None or view.marks.whose(have.nickname) is not Whose.OURS:
            continue
        service = view.manifest.get(name)
        if deleting:
            # Its balancer is gone with the last flow that it forwarded: there is nobody to wait for.
            _leave(view, name, have, leaving, drain_seconds=0)
        elif service is None:
            _leave(view, name, have, leaving)
        elif service.virtual_service is None:
            what = f"Virtual service {have.nickname} ({have.key}) is not in the manifest any more"
            leaving.findings.append(finding(ServiceReason.LEFT_ALONE, _subject(view, name), what))
        elif have.key != view.key_of(service) and name in settled:
            _leave(view, name, have, leaving)
    return leaving


def _leave(
    view: View, name: str, have: VirtualService, part: Part, *, drain_seconds: int | None = None
) -> None:
    told = f"Virtual service {have.nickname} ({have.key}) is to be removed"
    if view.is_led_to(name, have.key):
        part.findings.append(
            finding(ServiceReason.STILL_PUBLISHED, _subject(view, name), f"{told}: {_why_not(view)}")
        )
        return
    going = f"{have.nickname} {have.key}"
    seconds = _drain_seconds(view, name, have) if drain_seconds is None else drain_seconds
    pace = Pace(seconds, 0, view.observation.draining_since, view.now)
    part.draining.add(going)
    if left := pace.left(going, seconds):
        part.wait(left)
        part.findings.append(
            finding(ServiceReason.DRAINING, _subject(view, name), f"{told} after {seconds} s without clients")
        )
        return
    part.changes.append(
        DeleteService(view.role, have, "it is no longer wanted, and Azure leads no one to it")
    )


def _drain_seconds(view: View, name: str, have: VirtualService) -> int:
    if not have.enabled or not any(each.enabled for each in have.real_servers):
        return 0
    service = view.manifest.get(name)
    wanted = None if service is None else service.virtual_service
    return DEFAULT_DRAIN if wanted is None else wanted.drain_seconds


def _why_not(view: View) -> str:
    if isinstance(view.observation.published, Present):
        return "Azure still leads to it"
    return "whether Azure still leads to it is not known"


def _subject(view: View, name: str) -> str:
    names = [each.name for each in view.spec.services]
    return f"spec.services[{names.index(name)}]" if name in names else "spec.services"
