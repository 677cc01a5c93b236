"""Where new resources go: the manifest's location, else the resource group's."""

from loadmaster_ha.planning.layout import Layout
from loadmaster_ha.planning.observation import Observation


def location(layout: Layout, observation: Observation) -> str:
    """The region for what we create, normalised; empty while the resource group is not known."""
    wanted = layout.spec.azure.location
    if wanted is not None:
        return wanted.replace(" ", "").lower()
    group = observation.get(layout.resource_group)
    return "" if group is None else group.location
