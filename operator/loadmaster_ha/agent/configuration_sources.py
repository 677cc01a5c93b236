"""Where a node agent's settings come from: file, environment and flags, and refusals that name the place.

The table of settings is `configuration`.
"""

import difflib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from loadmaster_ha.agent.configuration import (
    OPTIONS,
    Configuration,
    InvalidConfiguration,
    Option,
    environment_name,
    flag_name,
)

_BY_PATH: Final = {option.path: name for name, option in OPTIONS.items()}


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML's readers take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        """Build one mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(file: Path | None, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Configuration:
    """Read all three sources.

    Args:
        file: YAML; None: there is none.
        flags: texts by field name; None where not given.
        environment: of the process.

    Raises:
        InvalidConfiguration: something in one of them cannot be used.
    """
    values = {} if file is None else from_yaml(file)
    for name, option in OPTIONS.items():
        variable = environment_name(option)
        if text := environment.get(variable):
            values[name] = _parsed(option, text, variable)
        if (given := flags.get(name)) is not None:
            values[name] = _parsed(option, given, flag_name(option))
    return Configuration.from_json(values)


def from_yaml(file: Path) -> dict[str, Any]:
    """Settings by field name.

    Raises:
        InvalidConfiguration: the file cannot be read, is no YAML, or says something that cannot be used.
    """
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a safe one
    except OSError as problem:
        raise InvalidConfiguration(f"{file} cannot be read: {problem.strerror}") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise InvalidConfiguration(f"{file} is no YAML: {problem}") from problem
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidConfiguration(f"{file} holds no settings: it has to be a mapping such as `mode: Master`")
    return {
        _BY_PATH[path]: _parsed(OPTIONS[_BY_PATH[path]], value, f"{path} in {file}")
        for path, value in _flattened(document, "", file).items()
        if value is not None
    }


def _flattened(mapping: Mapping[Any, Any], above: str, file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        path = f"{above}{key}"
        if path in _BY_PATH:
            found[path] = value
        elif isinstance(value, dict) and any(known.startswith(f"{path}.") for known in _BY_PATH):
            found.update(_flattened(value, f"{path}.", file))
        elif any(known.startswith(f"{path}.") for known in _BY_PATH):
            if value is not None:
                raise InvalidConfiguration(f"{path} in {file} is a group of settings and takes no value")
        else:
            raise InvalidConfiguration(f"{path} in {file} is no setting{_nearest(path)}")
    return found


def _nearest(path: str) -> str:
    by_lower = {known.lower(): known for known in _BY_PATH}
    close = difflib.get_close_matches(path.lower(), by_lower, n=1, cutoff=0.5)
    if not close:
        leaf = path.rpartition(".")[2].lower()
        leaves = {known.rpartition(".")[2].lower(): known for known in _BY_PATH}
        close = difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.7)
        by_lower = leaves
    return f"; the nearest one is {by_lower[close[0]]}" if close else ""


def _parsed(option: Option, value: Any, where: str) -> Any:
    try:
        parsed = option.parse(value)
    except ValueError as problem:
        raise InvalidConfiguration(f"{where} is {value!r}, but {problem}") from problem
    if option.choices and parsed not in option.choices:
        raise InvalidConfiguration(f"{where} is {value!r}, but must be one of {', '.join(option.choices)}")
    return parsed
