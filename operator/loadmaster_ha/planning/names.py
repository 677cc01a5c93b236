"""Names of what is ours inside Azure resources: `lm_<pair>_<thing>`.

An underscore cannot occur in a Kubernetes name, so the prefixes of two pairs never overlap (`lm_web_` is no
prefix of anything of the pair `web-2`). The name alone says *whose pair's* an entry is; whose uid it is
stands in tags and descriptions (`ownership`).
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from loadmaster_ha.domain.ha import Role

LONGEST: Final = 80
"""Longest name Azure takes for children of balancers and security groups."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one pair's entries."""

    pair: str

    @property
    def prefix(self) -> str:
        """What every name of this pair begins with."""
        return f"lm_{self.pair}_"

    def owns(self, name: str) -> bool:
        """Whether an entry of this name is this pair's; Azure compares names without case."""
        return name.lower().startswith(self.prefix.lower())

    @property
    def frontend(self) -> str:
        """The frontend IP configuration."""
        return self._named("frontend")

    @property
    def probe(self) -> str:
        """The health probe, shared by all rules."""
        return self._named("health")

    @property
    def check_rule(self) -> str:
        """The guide's rule of the check port (5.4)."""
        return self._named("check")

    @property
    def kemp_360_rule(self) -> str:
        """The balancing rule of the management port that Kemp 360 Central needs (guide, 5.2)."""
        return self._named("kemp360")

    def pool(self, arm: str | None) -> str:
        """The backend pool of an arm; None is the primary one, which may be renamed freely."""
        return self._named("pool" if arm is None else f"pool_{arm}")

    def service(self, name: str) -> str:
        """The balancing rule, and the security rule, of a published service."""
        return self._named(f"service_{name}")

    def web_interface(self, role: Role) -> str:
        """The inbound NAT rule to a unit's web user interface (guide, 5.2)."""
        return self._named(f"web_{role.lower()}")

    def ssh(self, role: Role) -> str:
        """The inbound NAT rule to a unit's SSH (guide, 5.2)."""
        return self._named(f"ssh_{role.lower()}")

    def security_rule(self, thing: str, tag: str | None = None) -> str:
        """A security rule; `tag` where its source is a service tag, which stands alone in a rule."""
        return self._named(thing if tag is None else f"{thing}_{'Any' if tag == '*' else tag}")

    def _named(self, thing: str) -> str:
        name = self.prefix + thing
        if len(name) <= LONGEST:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[: LONGEST - 9]}_{digest}"
