"""Equal parts of manifests as one object: most of what a thousand manifests say is the same.

A manifest of the usual size has some twenty parts of 450 bytes each, of which two thirds say what those of
its neighbours say: the same Secrets, fingerprints, policies and defaults. They are immutable
(`resources.model`), so that pairs can share them. `registry` is the only user.
"""

from typing import Any, Final, TypeVar

from loadmaster_ha.resources.model import Model

M = TypeVar("M", bound=Model)

MOST: Final = 2048
"""Parts that are remembered. When there are more all are forgotten; what is shared by then stays shared."""

_known: dict[Model, Model] = {}
_set_fields: dict[frozenset[str], set[str]] = {}
"""The names that were set. pydantic gives each model a set of its own; nothing changes a frozen one's."""


def shared(model: M) -> M:
    """The same model, of parts that others have too; perhaps it is another one's whole."""
    for name, value in model.__dict__.items():
        better = _shared_value(value)
        if better is not value:
            model.__dict__[name] = better
    given = model.model_fields_set
    object.__setattr__(model, "__pydantic_fields_set__", _set_fields.setdefault(frozenset(given), given))
    try:
        known = _known.get(model)
    except TypeError:  # there is something in it that cannot be compared fast
        return model
    if known is not None and known.model_fields_set == given:
        return known  # type: ignore[return-value] # what is equal is of the same class
    if len(_known) >= MOST:
        _known.clear()
    _known[model] = model
    return model


def _shared_value(value: Any) -> Any:
    if isinstance(value, Model):
        return shared(value)
    if isinstance(value, tuple) and any(isinstance(each, Model) for each in value):
        return tuple(_shared_value(each) for each in value)
    return value
