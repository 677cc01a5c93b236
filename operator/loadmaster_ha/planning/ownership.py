"""Whose a resource or rule is, and what the adoption policy allows.

A name (`names`) claims an entry for a pair; the uid here says *which* pair of that name, so that a pair of
another namespace, cluster or life is never mistaken for this one.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from loadmaster_ha.planning.observation import Resource
from loadmaster_ha.planning.target import PairIdentity
from loadmaster_ha.resources.loadmasterpair import Adoption

OWNER_TAG: Final = "loadmaster.dev-owner"
PAIR_TAG: Final = "loadmaster.dev-pair"
ORIGIN_TAG: Final = "loadmaster.dev-origin"
LONGEST_DESCRIPTION: Final = 140
"""Longest description Azure takes on a security rule."""

_MANAGED: Final = re.compile(r"^Managed by loadmaster-operator for .*, uid (?P<uid>\S+)$")


class Owner(StrEnum):
    """Who a resource or rule belongs to."""

    OURS = "Ours"
    NOBODY = "Nobody"
    OTHER = "Other"


class Origin(StrEnum):
    """How a whole resource came to be ours; only what was created is ever deleted whole."""

    CREATED = "Created"
    ADOPTED = "Adopted"


def tag(tags: Mapping[str, str], name: str) -> str | None:
    """The value of a tag; Azure compares tag names without case."""
    return next((value for key, value in tags.items() if key.lower() == name.lower()), None)


def owner_of(resource: Resource, identity: PairIdentity) -> Owner:
    """Whose a whole resource is, by its tag."""
    uid = tag(resource.tags, OWNER_TAG)
    if not uid:
        return Owner.NOBODY
    return Owner.OURS if uid == identity.uid else Owner.OTHER


def origin_of(resource: Resource) -> Origin:
    """How the resource came to be ours; without the tag it counts as adopted, which deletes less."""
    return Origin.CREATED if tag(resource.tags, ORIGIN_TAG) == Origin.CREATED else Origin.ADOPTED


def ownership_tags(identity: PairIdentity, origin: Origin) -> dict[str, str]:
    """The three tags that make a whole resource ours."""
    return {
        OWNER_TAG: identity.uid,
        PAIR_TAG: f"{identity.namespace}/{identity.name}",
        ORIGIN_TAG: origin.value,
    }


def without_ownership(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags without ours."""
    ours = {OWNER_TAG.lower(), PAIR_TAG.lower(), ORIGIN_TAG.lower()}
    return {key: value for key, value in tags.items() if key.lower() not in ours}


def may_write(owner: Owner, adoption: Adoption) -> bool:
    """Whether the adoption policy lets us write into an existing resource of this owner."""
    if owner is Owner.OURS:
        return True
    if owner is Owner.NOBODY:
        return adoption is not Adoption.NEVER
    return adoption is Adoption.ALWAYS


def rule_description(identity: PairIdentity) -> str:
    """What stands in `description` of our security rules; the uid is whole however long the names are."""
    start, end = "Managed by loadmaster-operator for ", f", uid {identity.uid}"
    pair = f"{identity.namespace}/{identity.name}"
    room = LONGEST_DESCRIPTION - len(start) - len(end)
    return f"{start}{pair if len(pair) <= room else pair[: room - 3] + '...'}{end}"


def rule_owner(description: object, identity: PairIdentity) -> Owner:
    """Whose a security rule is, by its description."""
    match = _MANAGED.match(str(description or ""))
    if match is None:
        return Owner.NOBODY
    return Owner.OURS if match["uid"] == identity.uid else Owner.OTHER


def manager_of(resource: Resource) -> str:
    """The pair that the tags name, for messages."""
    return tag(resource.tags, PAIR_TAG) or f"uid {tag(resource.tags, OWNER_TAG)}"
