"""The security groups: there, on the units, our rules ours, and nothing in front of them."""

from collections.abc import Iterator
from typing import Final

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.planning import simulate
from loadmaster_ha.planning.bodies import children, name_of, named, properties
from loadmaster_ha.planning.observation import Observation
from loadmaster_ha.planning.ownership import Owner, may_write, rule_owner
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.reachability import Passage, Purpose, Ways, requirements
from loadmaster_ha.planning.real_server_paths import by_service
from loadmaster_ha.planning.reasons import Reason, finding
from loadmaster_ha.planning.security_groups import RULES, NoFreePriority, attached_groups, plan_openings
from loadmaster_ha.planning.security_rules import openings

_REASONS: Final = {
    Purpose.PROBE: Reason.PROBE_BLOCKED,
    Purpose.PARTNER: Reason.SYNCHRONISATION_BLOCKED,
    Purpose.SYNCHRONISATION: Reason.SYNCHRONISATION_BLOCKED,
}
_SHOWN: Final = 3


def groups_exist(context: Context) -> Iterator[Finding]:
    """Each named group is there."""
    for index, group in enumerate(context.layout.security_groups):
        if context.observation.is_absent(group):
            subject = f"spec.networkSecurity.securityGroups[{index}]"
            yield finding(
                Reason.SECURITY_GROUP_NOT_FOUND, subject, f"Network security group {group} does not exist"
            )


def groups_are_attached(context: Context) -> Iterator[Finding]:
    """Each named group is on the way to a unit; behind a public frontend there is one at all."""
    on_the_way: set[object] = set()
    for attachment, _ in context.attachments():
        subnet = attachment.subnet(context.observation)
        if subnet is None or context.observation.get(subnet.top) is None:
            return
        groups = attached_groups(context.observation, subnet, attachment.interface)
        on_the_way.update(groups)
        if context.layout.is_public and not groups:
            what = f"Neither interface {attachment.interface} nor subnet {subnet} has a security group"
            yield finding(Reason.NO_SECURITY_GROUP, attachment.path, what)
    for index, group in enumerate(context.layout.security_groups):
        if on_the_way and group not in on_the_way and context.observation.get(group) is not None:
            what = f"{group} is not on the way to the units"
            yield finding(
                Reason.SECURITY_GROUP_NOT_ATTACHED, f"spec.networkSecurity.securityGroups[{index}]", what
            )


def rules_are_ours(context: Context) -> Iterator[Finding]:
    """No rule of another pair has a name that we need."""
    layout = context.layout
    for group in layout.security_groups:
        existing = children(context.observation.get(group), RULES)
        for opening in openings(layout, context.observation):
            rule = named(existing, opening.name)
            if rule is None:
                continue
            description = properties(rule).get("description")
            owner = rule_owner(description, layout.identity)
            if may_write(owner, layout.spec.policy.adoption):
                continue
            reason = Reason.OWNED_BY_OTHER if owner is Owner.OTHER else Reason.NOT_OWNED
            what = (
                f"Security rule {name_of(rule)} in {group} is not this pair's: {description or 'undescribed'}"
            )
            yield finding(reason, "metadata.name", what)


def real_servers_can_be_reached(context: Context) -> Iterator[Finding]:
    """No rule that we see keeps the units from the real servers of the manifest."""
    for found in by_service(context.layout, context.observation).values():
        yield from found


def nothing_is_in_front(context: Context) -> Iterator[Finding]:
    """With our rules in place, the probe, the units, management and services come through."""
    try:
        expected = _expected(context)
    except NoFreePriority:
        return  # told by the plan itself
    blocked: dict[tuple[Reason, str, str], list[Passage]] = {}
    ways = Ways(expected)
    for requirement in requirements(context.layout, expected):
        for passage in ways.passages(requirement):
            reason = _reason(context, passage)
            if reason is not None:
                blocked.setdefault((reason, str(passage.group), passage.verdict.rule), []).append(passage)
    for (reason, group, rule), found in blocked.items():
        shown = ", ".join(dict.fromkeys(str(passage.requirement.flow) for passage in found[:_SHOWN]))
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        what = f"Rule {rule!r} (priority {found[0].verdict.priority}) of {group} denies {shown}{more}"
        yield finding(reason, found[0].requirement.subject, what)


def _reason(context: Context, passage: Passage) -> Reason | None:
    verdict = passage.verdict
    if verdict.allowed or not verdict.certain:
        return None
    purpose = passage.requirement.purpose
    if verdict.is_default:
        return None if passage.group in context.layout.security_groups else Reason.NOT_LET_IN
    return _REASONS.get(purpose, Reason.FOREIGN_DENY_RULE)


def _expected(context: Context) -> Observation:
    """What Azure will look like once our rules are written."""
    expected = context.observation
    for change in plan_openings(context.layout, context.observation, in_use=False):
        expected = simulate.after(expected, change)
    return expected
