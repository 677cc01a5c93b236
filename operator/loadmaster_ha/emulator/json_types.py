"""The JSON shapes that ARM bodies are made of, and the few safe ways in which the emulator reads them."""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


def obj(value: object) -> JsonObject:
    """Return `value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """Return the JSON objects of the list `value`; an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def reference_id(value: object) -> str | None:
    """Return the `id` of a sub-resource reference `{"id": ...}`; `None` when there is none."""
    found = obj(value).get("id")
    return found if isinstance(found, str) and found else None


def named(items: list[JsonObject], name: str) -> JsonObject | None:
    """Return the item called `name` (case-insensitive, as ARM compares names)."""
    wanted = name.lower()
    return next((item for item in items if str(item.get("name", "")).lower() == wanted), None)


def deep(value: JsonObject) -> JsonObject:
    """Copy a JSON object with everything in it."""
    return copy.deepcopy(value)


def ordered(body: JsonObject, first: tuple[str, ...]) -> JsonObject:
    """Return `body` with the keys of `first` in that order in front; the others follow as they came."""
    front = {key: body[key] for key in first if key in body}
    return front | {key: value for key, value in body.items() if key not in front}
