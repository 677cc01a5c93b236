"""What every check is given, and the shape of a check."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.layout import Attachment, Layout
from loadmaster_ha.planning.needs import has_joined, machines
from loadmaster_ha.planning.observation import Observation, Resource


@dataclass(frozen=True)
class Context:
    """One pair and what is known of Azure."""

    layout: Layout
    observation: Observation

    @cached_property
    def balancer(self) -> Resource | None:
        """The balancer, None when absent or unknown."""
        return self.observation.get(self.layout.balancer)

    @cached_property
    def machines(self) -> dict[Role, ResourceID]:
        """The units' virtual machines."""
        return machines(self.layout, self.observation)

    @cached_property
    def has_joined(self) -> bool:
        """Whether both units are in our pool already."""
        return has_joined(self.layout, self.observation)

    def attachments(self) -> Iterator[tuple[Attachment, Resource]]:
        """The units' interfaces that are there."""
        for attachment in self.layout.attachments:
            interface = self.observation.get(attachment.interface)
            if interface is not None:
                yield attachment, interface


Check: TypeAlias = Callable[[Context], Iterable[Finding]]
"""A small check: looks at one thing and yields what is wrong with it."""
