"""Ended operations taking effect: a resource's state and etag, removals, whole groups, deployments.

`operations` calls `finish` when an operation is due; the operations themselves are started in `lifecycle`,
`groups`, `deployments` and the modules of the types with actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadmaster_ha.emulator.deployments import deployments
from loadmaster_ha.emulator.lifecycle import remove
from loadmaster_ha.emulator.registry import type_of

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.operations import Operation


def finish(cloud: Cloud, operation: Operation) -> None:
    """Let an ended operation take effect on its resource: state, etag, removal."""
    if operation.kind == "group":
        _finish_group(cloud, operation)
        return
    if operation.kind == "deployment":
        again = deployments.advance(cloud, operation)
        if again is not None:
            cloud.operations.postpone(operation, again)
        return
    resource = cloud.store.get(operation.resource)
    if resource is None or resource.running != operation.id:
        return
    kind = type_of(resource)
    resource.running = ""
    if operation.kind == "delete" and operation.outcome == "Succeeded":
        remove(cloud, resource)
        return
    cloud.before[resource.key] = kind.view(cloud, resource)
    resource.state = operation.outcome
    resource.fresh = False
    if operation.kind == "action":
        kind.acted(cloud, resource, operation)
    cloud.touch(resource)


def _finish_group(cloud: Cloud, operation: Operation) -> None:
    subscription, name = operation.resource.split("/")[2], operation.resource.split("/")[4]
    group = cloud.store.group(subscription, name)
    if group is None:
        return
    if operation.outcome != "Succeeded":
        group.state = "Succeeded"
        cloud.store.put_group(group)
        return
    for resource in cloud.store.in_group(subscription, name):
        remove(cloud, resource)
    cloud.store.remove_group(group)
