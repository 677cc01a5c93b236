"""A template and its parameters, turned into the resources to make and the order among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadmaster_ha.emulator.armid import ArmId, key_of, parse_id
from loadmaster_ha.emulator.deployments.expressions import Function, Pending, TemplateError, evaluate
from loadmaster_ha.emulator.json_types import JsonObject, obj, objects

_NOT_BODY = frozenset({"type", "apiVersion", "name", "dependsOn", "comments", "condition", "scope"})
_UNSUPPORTED = ("copy", "resources", "existing")
Reader = Callable[[ArmId], JsonObject]


@dataclass(frozen=True, slots=True)
class Step:
    """One resource of a template: `body` still has its expressions; `after` are comparable ids."""

    target: ArmId
    version: str
    body: JsonObject
    after: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a template is deployed."""

    subscription: str
    group: str
    location: str
    tenant: str


class Template:
    """A template with its parameters.

    Raises:
        TemplateError: It is malformed, a parameter is missing, or it uses what the emulator does not support.
    """

    def __init__(self, template: JsonObject, parameters: JsonObject, scope: Scope) -> None:
        self._scope = scope
        self._template = template
        self.parameters = self._read_parameters(parameters)
        self._variables = obj(template.get("variables"))
        self._targets: dict[str, ArmId] = {}
        raw = template.get("resources", [])
        if isinstance(raw, dict):
            raise TemplateError(
                "symbolic resource names (languageVersion 2.0) are not supported by the emulator"
            )
        wanted = [
            item for item in objects(raw) if evaluate(item.get("condition", True), self._functions(_nothing))
        ]
        for item in wanted:
            target = self._target(item)
            self._targets[key_of(target)] = target
        self.steps = [self._step(item) for item in wanted]

    def body(self, step: Step, read: Reader) -> JsonObject:
        """Return a step's body, evaluated; `read` supplies what `reference()` asks for."""
        found = evaluate(step.body, self._functions(read))
        return dict(found)

    def outputs(self, read: Reader) -> JsonObject:
        """Return the outputs, each with type and value."""
        declared = obj(self._template.get("outputs"))
        return {
            name: {
                "type": str(obj(item).get("type", "string")).capitalize(),
                "value": evaluate(obj(item).get("value"), self._functions(read)),
            }
            for name, item in declared.items()
        }

    def _read_parameters(self, given: JsonObject) -> JsonObject:
        declared = obj(self._template.get("parameters"))
        unknown = sorted(set(given) - set(declared))
        if unknown:
            raise TemplateError(
                f"The following parameters were supplied, but do not correspond to any parameters defined in "
                f"the template: '{unknown[0]}'"
            )
        found: JsonObject = {}
        self.parameters = found
        for name, item in declared.items():
            if name in given:
                found[name] = obj(given[name]).get("value")
            elif "defaultValue" in obj(item):
                found[name] = evaluate(item["defaultValue"], self._functions(_nothing))
            else:
                raise TemplateError(f"The value for the template parameter '{name}' is not provided.")
            allowed = obj(item).get("allowedValues")
            if isinstance(allowed, list) and found[name] not in allowed:
                raise TemplateError(f"The value for the template parameter '{name}' is not one of {allowed}.")
        return found

    def _target(self, item: JsonObject) -> ArmId:
        for field in _UNSUPPORTED:
            if item.get(field):
                raise TemplateError(f"'{field}' in a resource of a template is not supported by the emulator")
        namespace, _, types = str(item.get("type", "")).partition("/")
        names = str(evaluate(item.get("name", ""), self._functions(_nothing))).split("/")
        kinds = types.split("/")
        if not types or len(kinds) != len(names) or not all(names):
            raise TemplateError(
                f"type '{item.get('type')}' and name '{'/'.join(names)}' do not have the same number of "
                "segments"
            )
        return ArmId(self._scope.subscription, self._scope.group, namespace, tuple(kinds), tuple(names))

    def _step(self, item: JsonObject) -> Step:
        target = self._target(item)
        after = {
            self._dependency(str(text), target)
            for text in evaluate(item.get("dependsOn") or [], self._functions(_nothing))
        }

        def note(found: ArmId) -> JsonObject:
            if key_of(found) in self._targets:
                after.add(key_of(found))
            return {}

        body = {key: value for key, value in item.items() if key not in _NOT_BODY}
        evaluate(body, self._functions(note, pending=True))
        # A child needs its parent when that is made here too.
        if len(target.names) > 1 and key_of(target.root) in self._targets:
            after.add(key_of(target.root))
        return Step(target, str(item.get("apiVersion", "")), body, frozenset(after - {key_of(target)}))

    def _dependency(self, text: str, source: ArmId) -> str:
        if key_of(text) in self._targets:
            return key_of(text)
        for key, target in self._targets.items():
            plain = f"{target.type}/{'/'.join(target.names)}".lower()
            short = f"{target.namespace}/{target.types[0]}/{target.names[0]}".lower()
            if text.lower().strip("/") in (plain, short, target.name.lower(), "/".join(target.names).lower()):
                return key
        raise TemplateError(
            f"The resource '{text}' is not defined in the template, but '{source.name}' depends on it."
        )

    def _functions(self, read: Reader, *, pending: bool = False) -> dict[str, Function]:
        scope = self._scope
        group_id = f"/subscriptions/{scope.subscription}/resourceGroups/{scope.group}"

        def reference(what: str, _version: str = "", full: str = "") -> Any:
            body = read(self._named(what))
            if pending:
                return Pending()
            return body if full.lower() == "full" else body.get("properties")

        def variable(name: str) -> Any:
            return evaluate(_get(self._variables, name, "variable"), self._functions(read, pending=pending))

        subscription = {
            "id": f"/subscriptions/{scope.subscription}",
            "subscriptionId": scope.subscription,
            "tenantId": scope.tenant,
        }
        return {
            "parameters": lambda name: _get(self.parameters, name, "parameter"),
            "variables": variable,
            "resourceid": self._resource_id,
            "reference": reference,
            "resourcegroup": lambda: {"id": group_id, "name": scope.group, "location": scope.location},
            "subscription": lambda: subscription,
        }

    def _named(self, what: str) -> ArmId:
        parsed = parse_id(what) if what.startswith("/") else None
        if parsed is not None:
            return parsed
        for target in self._targets.values():
            if what.lower() in (target.name.lower(), "/".join(target.names).lower()):
                return target
        raise TemplateError(f"The resource '{what}' that reference() names is not defined in the template.")

    def _resource_id(self, *arguments: str) -> str:
        """`resourceId([subscription], [group], type, name, ...)`; the type is the first with a slash."""
        at = next((index for index, text in enumerate(arguments) if "/" in str(text)), None)
        if at is None or at > 2:
            raise TemplateError("resourceId() has no resource type among its first arguments")
        before, names = arguments[:at], arguments[at + 1 :]
        subscription = before[0] if len(before) == 2 else self._scope.subscription
        group = before[-1] if before else self._scope.group
        namespace, _, types = arguments[at].partition("/")
        kinds = types.split("/")
        if len(kinds) != len(names):
            raise TemplateError(f"resourceId() has {len(names)} names for type '{arguments[at]}'")
        return str(ArmId(subscription, group, namespace, tuple(kinds), tuple(str(name) for name in names)))


def _get(values: JsonObject, name: str, what: str) -> Any:
    for key, value in values.items():
        if key.lower() == str(name).lower():
            return value
    raise TemplateError(f"The template {what} '{name}' is not found.")


def _nothing(target: ArmId) -> JsonObject:
    raise TemplateError(f"reference() to '{target.name}' is not allowed here.")
