"""What all parts of a custom resource share: the base model, CEL rules and the list types of Kubernetes.

A rule or a list type stands beside the field that it is about; `openapi.py` carries it into the CRD as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.alias_generators import to_camel

SchemaExtra: TypeAlias = dict[str, JsonValue]


class Model(BaseModel):
    """Base of all parts: camelCase on the wire, immutable, unknown fields refused.

    The text below a field is its description in the CRD (`kubectl explain`).
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule that the API server evaluates (`x-kubernetes-validations`).

    `message` tells what is wrong and what to do; `message_expression` is a CEL expression for the same with
    the values filled in (the server falls back to `message`). `field_path` is relative to where the rule
    stands. The reason FieldValueDuplicate is not used: the server leaves the message out with it.
    """

    expression: str
    message: str
    message_expression: str | None = None
    reason: str = "FieldValueInvalid"
    field_path: str | None = None

    def as_schema(self) -> dict[str, JsonValue]:
        """The entry of `x-kubernetes-validations`."""
        entry: dict[str, JsonValue] = {
            "rule": self.expression,
            "message": self.message,
            "reason": self.reason,
        }
        if self.message_expression is not None:
            entry["messageExpression"] = self.message_expression
        if self.field_path is not None:
            entry["fieldPath"] = self.field_path
        return entry


def rules(*entries: Rule) -> SchemaExtra:
    """`json_schema_extra` of a field or a model with CEL rules."""
    return {"x-kubernetes-validations": [entry.as_schema() for entry in entries]}


def immutable(name: str, remedy: str) -> Rule:
    """The rule that a required or defaulted field keeps its value for ever."""
    return Rule(
        "self == oldSelf",
        message=f"{name} cannot be changed; {remedy}",
        message_expression=f"'{name} cannot be changed from ' + oldSelf + ' to ' + self + '; {remedy}'",
        reason="FieldValueForbidden",
    )


def keyed_by(*keys: str) -> SchemaExtra:
    """`json_schema_extra` of a list of named objects: appliers own single entries, a name stands once."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def as_set() -> SchemaExtra:
    """`json_schema_extra` of a list of scalars in which each value stands once."""
    return {"x-kubernetes-list-type": "set"}


def as_whole() -> SchemaExtra:
    """`json_schema_extra` of a list that is always replaced as a whole."""
    return {"x-kubernetes-list-type": "atomic"}


def merged(*extras: Mapping[str, Any]) -> SchemaExtra:
    """Several extras in one."""
    return {key: value for extra in extras for key, value in extra.items()}
