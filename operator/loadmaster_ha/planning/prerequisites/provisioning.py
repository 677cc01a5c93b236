"""Is everything that a write would touch or refer to at rest? Asked only when something is to be written."""

from collections.abc import Iterator

from loadmaster_ha.domain.findings import Finding
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.observation import FAILED_STATES
from loadmaster_ha.planning.prerequisites.context import Context
from loadmaster_ha.planning.public_address import creates_address
from loadmaster_ha.planning.reasons import Reason, finding


def at_rest(context: Context) -> Iterator[Finding]:
    """Nothing is being changed by somebody else, and nothing that we cannot repair has failed."""
    layout = context.layout
    written = {
        layout.balancer,
        *(attachment.interface for attachment in layout.attachments),
        *layout.security_groups,  # a write of one of its rules is the cure for a failed group, too
    }
    if layout.public_address is not None and creates_address(layout):
        written.add(layout.public_address)
    for resource in dict.fromkeys((*written, *_referred(context))):
        known = context.observation.get(resource)
        state = "Succeeded" if known is None else known.provisioning_state
        if state in FAILED_STATES:
            if resource not in written:
                what = f"{resource} is in provisioning state {state}"
                yield finding(Reason.PROVISIONING_FAILED, resource, what)
        elif state != "Succeeded":
            yield finding(Reason.UPDATING, resource, f"{resource} is in provisioning state {state}")


def _referred(context: Context) -> Iterator[ResourceID]:
    """Networks, the public address, and the security groups that are written."""
    layout = context.layout
    yield from layout.security_groups
    if layout.public_address is not None:
        yield layout.public_address
    if layout.virtual_network is not None:
        yield layout.virtual_network
    for attachment, _ in context.attachments():
        subnet = attachment.subnet(context.observation)
        if subnet is not None:
            yield subnet.top
