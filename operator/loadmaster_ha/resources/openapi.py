"""From pydantic's JSON schema to what a CustomResourceDefinition takes: a structural OpenAPI v3 schema.

Structural means: no `$ref`, no union with null, one type at each level, `additionalProperties` for maps only
(unknown fields are pruned, or refused by a strict client). Kubernetes' own `x-kubernetes-*` entries pass as
they are.
"""

from typing import Any, Final, TypeAlias

from pydantic import BaseModel

Schema: TypeAlias = dict[str, Any]

_COPIED: Final[tuple[str, ...]] = (
    "type",
    "description",
    "format",
    "enum",
    "default",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)
_KNOWN: Final = frozenset(
    {*_COPIED, "title", "properties", "required", "items", "additionalProperties", "anyOf", "$ref"}
)
_INT32: Final = range(-(2**31), 2**31)


class NotStructuralError(ValueError):
    """A model says something that a CustomResourceDefinition cannot express."""


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, by its wire names.

    Raises:
        NotStructuralError: a field's type has no form in a structural schema (a union, say).
    """
    root = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(root, root.get("$defs", {}), model.__name__)


def _convert(node: Schema, definitions: Schema, path: str) -> Schema:
    node = _resolved(node, definitions, path)
    unknown = node.keys() - _KNOWN - {"$defs"}
    if unknown:
        raise NotStructuralError(f"{path}: {', '.join(sorted(unknown))} cannot stand in a structural schema")
    schema = {key: node[key] for key in _COPIED if key in node}
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    match node.get("type"):
        case "object":
            _convert_object(node, schema, definitions, path)
        case "array":
            schema["items"] = _convert(node["items"], definitions, f"{path}[]")
            if schema.get("default") == []:
                del schema["default"]  # absent says the same, and stays out of people's diffs
        case "integer":
            bounds = (node.get("minimum", -(2**63)), node.get("maximum", 2**63))
            schema.setdefault("format", "int32" if all(bound in _INT32 for bound in bounds) else "int64")
        case "number":
            schema.setdefault("format", "double")
        case "string" | "boolean":
            pass
        case other:
            raise NotStructuralError(f"{path}: type {other!r} cannot stand in a structural schema")
    return schema


def _convert_object(node: Schema, schema: Schema, definitions: Schema, path: str) -> None:
    """Fill in what objects and maps have."""
    has_default = schema.pop("default", None) is not None
    if "properties" not in node:
        schema["additionalProperties"] = _convert(node["additionalProperties"], definitions, f"{path}{{}}")
        return
    schema["properties"] = {
        name: _convert(child, definitions, f"{path}.{name}") for name, child in node["properties"].items()
    }
    if "required" in node:
        schema["required"] = node["required"]
    if has_default:
        # Complete, made of the fields' own defaults: the server evaluates CEL rules on it as it stands.
        schema["default"] = {
            name: child["default"] for name, child in schema["properties"].items() if "default" in child
        }


def _resolved(node: Schema, definitions: Schema, path: str) -> Schema:
    """The node itself: references followed, `X or null` as optional X; what stands beside them wins."""
    while "$ref" in node or "anyOf" in node:
        beside = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
        if beside.get("default", ...) is None:
            del beside["default"]
        node = _merged(_target(node, definitions, path), beside)
    return node


def _target(node: Schema, definitions: Schema, path: str) -> Schema:
    if "$ref" in node:
        return dict(definitions[node["$ref"].removeprefix("#/$defs/")])
    branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
    if len(branches) != 1:
        raise NotStructuralError(
            f"{path}: a union of {len(branches)} types cannot stand in a structural schema"
        )
    return dict(branches[0])


def _merged(below: Schema, beside: Schema) -> Schema:
    """A field's own keywords over those of its type; CEL rules of both hold."""
    validations = [
        *below.get("x-kubernetes-validations", ()),
        *beside.get("x-kubernetes-validations", ()),
    ]
    merged = {**below, **beside}
    if validations:
        merged["x-kubernetes-validations"] = validations
    return merged
