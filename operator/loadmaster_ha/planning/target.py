"""What the planner is asked to bring about: one pair's specification and who it belongs to."""

from dataclasses import dataclass

from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec


@dataclass(frozen=True, slots=True)
class PairIdentity:
    """Who owns what we create: written as tags (and into the description of security rules)."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class PairTarget:
    """One pair as its manifest wants it."""

    identity: PairIdentity
    spec: LoadMasterPairSpec
