"""Strict validation of ARM traffic against Microsoft's own API descriptions (OpenAPI 2, "swagger").

`SwaggerValidator(folder).check(exchange)` names everything in an answer that the description does not: a
status code, a property, a type, an enumeration value. OpenAPI 2 says nothing about unknown properties; here
each object is closed, which is what finds a misspelt one. Definitions are flattened (`allOf` merged) into
one JSON Schema bundle so that objects can be closed at all.

The descriptions are of network 2024-01-01, compute 2024-07-01 and resources 2024-07-01. What the newer
version of the SDK adds to the network types comes from its models (`sdkmodels`): such a property is
accepted, and counted in `newer_properties`, so that a report can list it. Neighbours: `traffic` (what is
checked), `azspecs` (where the files are).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
from tests.support import azspecs, sdkmodels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support.traffic import Exchange

# Operations newer than the descriptions, and the status codes that the SDK accepts.
_NEWER_OPERATIONS = {("POST", "/loadbalancingrules/{}/health"): (200, 202)}
_OPERATION_STATUS = (
    "specification/common-types/resource-management/v5/types.json#/definitions/OperationStatusResult"
)
_KEYWORDS = ("readOnly", "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems")
_FORMATS = {
    "uuid": r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    "date-time": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
}
# Polling addresses are opaque by contract and described nowhere; only their form in a URL tells them apart.
# What they give in the end is the result of the operation, and compute has one address for both
# (`monitor=true`).
_STATUS_URL = re.compile(
    r"/providers/[^/]+/locations/[^/]+/operations/[^/]+$|/operationstatuses/[^/]+$", re.IGNORECASE
)
_RESULT_URL = re.compile(r"/operationresults/[^/]+$", re.IGNORECASE)
# Microsoft has stopped to list these; any value goes.
_OPEN_ENUMERATIONS = frozenset({"VirtualMachineSizeTypes"})
# Properties that the real Azure sends and no public description has: of interfaces by the recordings in
# tests/contract/data, of pool members by answers that people show in issues and templates (azurerm #7691).
_UNDESCRIBED = {
    "NetworkInterface": {"kind": {"type": "string"}},
    "NetworkInterfacePropertiesFormat": {"allowPort25Out": {"type": "boolean"}},
    "LoadBalancerBackendAddress": {name: {"type": "string"} for name in ("id", "etag", "type")},
    "LoadBalancerBackendAddressPropertiesFormat": {"provisioningState": {"type": "string"}},
}
# Required of lists of subscriptions and tenants; the real Azure leaves it out of a last page.
_NOT_ALWAYS_SENT = frozenset({"nextLink"})
_ERROR = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {"error": {"$ref": "#/$defs/~error"}},
}
_ERROR_BODY = {
    "type": "object",
    "required": ["code", "message"],
    "additionalProperties": False,
    "properties": {
        "code": {"type": "string", "minLength": 1},
        "message": {"type": "string", "minLength": 1},
        "target": {"type": ["string", "null"]},
        "details": {"type": "array", "items": {"$ref": "#/$defs/~error"}},
        "additionalInfo": {
            "type": "array",
            "items": {"type": "object", "properties": {"type": {"type": "string"}, "info": {}}},
        },
    },
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing in an exchange that Microsoft's description does not allow."""

    method: str
    path: str
    status: int
    where: str
    """JSON pointer into the body, `status`, or `request` and a pointer."""
    what: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}: {self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb on one path of the description."""

    operation_id: str
    method: str
    pattern: re.Pattern[str]
    literals: int
    responses: Mapping[str, Any]
    request: Any
    source: str
    """The file it is described in, relative to the folder of the descriptions."""


class SwaggerValidator:
    """Checks exchanges one by one; keeps what was seen for reports.

    Args:
        folder: holds `specification/` (`azspecs.require()`).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._defs: dict[str, Any] = {"~error": _ERROR_BODY}
        self._added: dict[str, set[str]] = {}
        self._operations = sorted(self._read_operations(), key=lambda found: -found.literals)
        self._status_schema = self._reference(_OPERATION_STATUS)
        self.checked: Counter[str] = Counter()
        """Exchanges by operation id."""
        self.not_described: Counter[str] = Counter()
        """Exchanges that no description covers, by verb and path with names left out."""
        self.newer_properties: Counter[str] = Counter()
        """Properties in answers that only the SDK's newer version knows, as `Definition.property`."""

    # -- checking --------------------------------------------------------------------------------------------

    def check_all(self, exchanges: Iterable[Exchange]) -> list[Violation]:
        """Check answers and request bodies of all exchanges, in order."""
        found: list[Violation] = []
        for exchange in exchanges:
            found += self.check(exchange)
            if exchange.status < 400:  # a refused body may well be wrong: that is why it was refused
                found += self.check_request(exchange)
        return found

    def check(self, exchange: Exchange) -> list[Violation]:
        """Everything in the answer that the description does not allow; empty when all is well."""
        if exchange.status >= 400:
            return self._violations(exchange, _ERROR, exchange.response_body)
        if _STATUS_URL.search(exchange.path) and "monitor=true" not in exchange.url.lower():
            self.checked["(operation status)"] += 1
            return self._violations(exchange, self._status_schema, exchange.response_body)
        operation = self.find(exchange.method, exchange.path)
        if operation is None:
            return self._check_newer(exchange)
        self.checked[operation.operation_id] += 1
        answer = operation.responses.get(str(exchange.status))
        if answer is None:
            known = ", ".join(sorted(operation.responses))
            return [self._violation(exchange, "status", f"{operation.operation_id} answers only {known}")]
        return self._check_body(exchange, operation, answer)

    def check_request(self, exchange: Exchange) -> list[Violation]:
        """Everything in the request's body that the description does not allow."""
        operation = self.find(exchange.method, exchange.path)
        if operation is None or operation.request is None or exchange.request_body is None:
            return []
        schema = self._convert(operation.request, operation.source)
        return [
            Violation(each.method, each.path, each.status, f"request {each.where}", each.what)
            for each in self._violations(exchange, schema, exchange.request_body)
        ]

    def writable(self, method: str, path: str, body: Any) -> Any:
        """A copy of `body` with only what a request of this operation may hold: no read-only properties.

        Raises:
            LookupError: no description covers the request, or it takes no body.
        """
        operation = self.find(method, path)
        if operation is None or operation.request is None:
            raise LookupError(f"{method} {path} takes no body that is described")
        return self._without_read_only(self._convert(operation.request, operation.source), body)

    def _without_read_only(self, schema: Any, body: Any) -> Any:
        while "$ref" in schema:
            schema = self._defs[schema["$ref"].removeprefix("#/$defs/")]
        if isinstance(body, list):
            return [self._without_read_only(schema.get("items", {}), item) for item in body]
        if not isinstance(body, dict) or "properties" not in schema:
            return body
        known = schema["properties"]
        return {
            key: self._without_read_only(known.get(key, {}), value)
            for key, value in body.items()
            if not known.get(key, {}).get("readOnly")
        }

    def find(self, method: str, path: str) -> Operation | None:
        """Find the description of a request; paths compare case-insensitively, as in ARM."""
        wanted = path.rstrip("/").lower()
        return next(
            (
                each
                for each in self._operations
                if each.method == method.upper() and each.pattern.fullmatch(wanted)
            ),
            None,
        )

    def _check_body(
        self, exchange: Exchange, operation: Operation, answer: Mapping[str, Any]
    ) -> list[Violation]:
        schema = answer.get("schema")
        if schema is None:
            empty = exchange.response_body in (None, "", b"")
            return [] if empty else [self._violation(exchange, "/", "a body where the description has none")]
        if exchange.response_body is None:
            # An accepted long-running action has its result later, at the Location address.
            return [] if exchange.status == 202 else [self._violation(exchange, "/", "no body")]
        return self._violations(exchange, self._convert(schema, operation.source), exchange.response_body)

    def _check_newer(self, exchange: Exchange) -> list[Violation]:
        statuses = self._newer_status(exchange)
        if statuses is None:
            if not (_RESULT_URL.search(exchange.path) or _STATUS_URL.search(exchange.path)):
                self.not_described[f"{exchange.method} {shape_of(exchange.path)}"] += 1
            return []
        self.checked[f"{exchange.method} {shape_of(exchange.path)}"] += 1
        if exchange.status in statuses:
            return []
        known = ", ".join(map(str, statuses))
        return [self._violation(exchange, "status", f"the SDK accepts only {known}")]

    def check_result(self, exchange: Exchange, model: str) -> list[Violation]:
        """Check the final answer of a long-running action, from its Location, against a model of the SDK."""
        return self._violations(exchange, self._model(model), exchange.response_body)

    @staticmethod
    def _newer_status(exchange: Exchange) -> tuple[int, ...] | None:
        shape = shape_of(exchange.path.lower())
        for (method, end), statuses in _NEWER_OPERATIONS.items():
            if method == exchange.method.upper() and shape.endswith(end):
                return statuses
        return None

    def _violations(self, exchange: Exchange, schema: Any, body: Any) -> list[Violation]:
        validator = jsonschema.Draft202012Validator({**schema, "$defs": self._defs})
        found = [
            self._violation(exchange, "/" + "/".join(map(str, error.absolute_path)), error.message[:400])
            for error in validator.iter_errors(body)
        ]
        self._count_newer(schema, body)
        return found

    def _count_newer(self, schema: Any, body: Any) -> None:
        """Walk body and schema side by side and note the properties that only the SDK's version has."""
        name = ""
        while "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            schema = self._defs[name]
        if isinstance(body, list) and "items" in schema:
            for item in body:
                self._count_newer(schema["items"], item)
        if isinstance(body, dict):
            for key, value in body.items():
                if key in self._added.get(name, ()):
                    self.newer_properties[f"{name.rpartition('~')[2]}.{key}"] += 1
                if key in schema.get("properties", {}):
                    self._count_newer(schema["properties"][key], value)

    @staticmethod
    def _violation(exchange: Exchange, where: str, what: str) -> Violation:
        return Violation(exchange.method, exchange.path, exchange.status, where, what)

    # -- reading the descriptions ----------------------------------------------------------------------------

    def _read_operations(self) -> Iterator[Operation]:
        for source in azspecs.DESCRIPTIONS:
            for template, verbs in azspecs.load(self._folder / source).get("paths", {}).items():
                for verb, described in verbs.items():
                    if verb == "parameters":
                        continue
                    yield Operation(
                        operation_id=described["operationId"],
                        method=verb.upper(),
                        pattern=_path_pattern(template),
                        literals=len(re.sub(r"\{[^}]*\}", "", template)),
                        responses=described["responses"],
                        request=_request_schema(described),
                        source=source,
                    )

    # -- OpenAPI 2 to closed JSON Schema ---------------------------------------------------------------------

    def _convert(self, schema: Any, source: str) -> dict[str, Any]:
        """Turn a schema of the file `source` into a closed JSON Schema; references go to `$defs`."""
        if "$ref" in schema:
            read_only = {"readOnly": True} if schema.get("readOnly") else {}
            return self._reference(_absolute(schema["$ref"], source)) | read_only
        if "properties" in schema or "allOf" in schema:
            return self._closed_object(schema, source)
        converted = {key: schema[key] for key in ("type", *_KEYWORDS) if key in schema}
        name = schema.get("x-ms-enum", {}).get("name", "")
        if "enum" in schema and name not in _OPEN_ENUMERATIONS:
            newer = sdkmodels.enumeration(name)
            converted["enum"] = [*schema["enum"], *(value for value in newer if value not in schema["enum"])]
        if schema.get("format") in _FORMATS:
            converted["pattern"] = _FORMATS[schema["format"]]
        if "items" in schema:
            converted["items"] = self._convert(schema["items"], source)
        if isinstance(schema.get("additionalProperties"), dict):
            converted["additionalProperties"] = self._convert(schema["additionalProperties"], source)
        if schema.get("x-nullable") and isinstance(converted.get("type"), str):
            converted["type"] = [converted["type"], "null"]
        return converted

    def _reference(self, target: str) -> dict[str, Any]:
        name = target.replace("/", "~").replace("#", "")
        if name not in self._defs:
            self._defs[name] = {}  # definitions refer to each other in circles
            file, _, pointer = target.partition("#")
            schema = azspecs.load(self._folder / file)
            for step in pointer.strip("/").split("/"):
                schema = schema[step]
            self._defs[name] = self._convert(schema, file)
            self._add_newer(name, pointer.rpartition("/")[2], file)
        return {"$ref": f"#/$defs/{name}"}

    def _closed_object(self, schema: Any, source: str) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required: set[str] = set()
        for part, file in self._parts(schema, source):
            properties.update(
                {key: self._convert(value, file) for key, value in part.get("properties", {}).items()}
            )
            required.update(part.get("required", ()))
        return {
            "type": "object",
            "properties": properties,
            "required": sorted(required - _NOT_ALWAYS_SENT),
            "additionalProperties": False,
        }

    def _parts(self, schema: Any, source: str) -> Iterator[tuple[Any, str]]:
        """The schema and everything that it inherits, each with the file it stands in."""
        while "$ref" in schema:
            file, _, pointer = _absolute(schema["$ref"], source).partition("#")
            schema, source = azspecs.load(self._folder / file), file
            for step in pointer.strip("/").split("/"):
                schema = schema[step]
        for inherited in schema.get("allOf", ()):
            yield from self._parts(inherited, source)
        yield schema, source

    def _add_newer(self, name: str, definition: str, file: str) -> None:
        """Accept what the SDK's newer version of a network type adds, and what Azure only shows."""
        properties = self._defs[name].get("properties")
        if properties is None or "Microsoft.Network" not in file:
            return
        newer = {key: self._model_type(each) for key, each in sdkmodels.model(definition).items()}
        for key, schema in (newer | _UNDESCRIBED.get(definition, {})).items():
            if key not in properties:
                properties[key] = schema
                self._added.setdefault(name, set()).add(key)

    def _model(self, model: str) -> dict[str, Any]:
        """Schema of a model that only the SDK's newer version has."""
        name = f"sdk~{model}"
        if name not in self._defs:
            self._defs[name] = {}
            self._defs[name] = {
                "type": "object",
                "properties": {key: self._model_type(each) for key, each in sdkmodels.model(model).items()},
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}

    def _model_type(self, annotation: str) -> dict[str, Any]:
        """Schema of a type annotation of the SDK, such as `Optional[list[SubResource]]`."""
        plain = re.sub(r"^Optional\[(.*)\]$", r"\1", annotation)
        if listed := re.fullmatch(r"list\[(.*)\]", plain):
            return {"type": "array", "items": self._model_type(listed[1])}
        if enumeration := re.fullmatch(r"Union\[str, (\w+)(?:, NoneType)?\]", plain):
            values = sdkmodels.enumeration(enumeration[1])
            return {"type": "string", "enum": [*values]} if values else {"type": "string"}
        if sdkmodels.model(plain):
            return self._model(plain)
        simple = {"str": "string", "int": "integer", "bool": "boolean"}.get(plain)
        return {"type": simple} if simple else {}


def shape_of(path: str) -> str:
    """Leave the names out of an ARM path: `/subscriptions/s/providers` -> `/subscriptions/{}/providers`."""
    segments = path.strip("/").split("/")
    shown = []
    keep_next = False
    for position, segment in enumerate(segments):
        shown.append(segment if keep_next or position % 2 == 0 else "{}")
        keep_next = segment.lower() == "providers"
    return "/" + "/".join(shown)


def _request_schema(described: Mapping[str, Any]) -> Any:
    bodies = (each["schema"] for each in described.get("parameters", ()) if each.get("in") == "body")
    return next(bodies, None)


def _path_pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", template.rstrip("/").lower())
    return re.compile("[^/]+".join(map(re.escape, parts)))


def _absolute(reference: str, source: str) -> str:
    """Make a `$ref` of the file `source` relative to the folder of all descriptions."""
    file, _, pointer = reference.partition("#")
    if not file:
        return f"{source}#{pointer}"
    joined = os.path.normpath(Path(source).parent / file)
    return f"{joined}#{pointer}"
