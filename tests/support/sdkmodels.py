"""What the installed Azure SDK knows of a network type: names on the wire and types, read from its models.

The SDK is of a newer api-version than the descriptions that `swagger` reads; this tells what it has in
addition.
"""

from __future__ import annotations

import enum
import functools
import inspect
import re
from typing import Any

from azure.mgmt.network import models


@functools.cache
def model(name: str) -> dict[str, str]:
    """Types by wire name, such as `{"properties": "Optional[ProbePropertiesFormat]"}`; empty if unknown."""
    found: Any = getattr(models, name, None)
    if not isinstance(found, type) or issubclass(found, enum.Enum):
        return {}
    instance: Any = found()  # the SDK works its fields out when the first instance is made
    annotations: dict[str, Any] = {}
    for base in reversed(found.__mro__):
        annotations |= inspect.get_annotations(base)
    fields = instance._attr_to_rest_field
    return {field._rest_name: _plain(annotations.get(attribute)) for attribute, field in fields.items()}


@functools.cache
def enumeration(name: str) -> tuple[str, ...]:
    """Values of one of the SDK's enumerations; empty if unknown."""
    found: Any = getattr(models, name, None)
    if not isinstance(found, type) or not issubclass(found, enum.Enum):
        return ()
    return tuple(str(member.value) for member in found)


def _plain(annotation: Any) -> str:
    """`typing.Optional[ForwardRef('_models.SubResource')]` -> `Optional[SubResource]`."""
    text = re.sub(r"ForwardRef\('([^']*)'\)|<class '([^']*)'>", r"\1\2", str(annotation))
    return re.sub(r"typing\.|_models\.|'", "", text)
