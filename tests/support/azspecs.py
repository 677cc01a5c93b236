"""Where Microsoft's API descriptions are on this machine, and how to read them.

They are megabytes of other people's files, so they are not part of this repository. Tests that need them
look in `LOADMASTER_AZURE_SPECS`, then beside the checkout, and skip themselves with the reason when they
are in neither. `docs/fidelity.md` says where to get them.
"""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPOSITORY = Path(__file__).resolve().parents[2]
VARIABLE = "LOADMASTER_AZURE_SPECS"
EXAMPLES = REPOSITORY / "tests" / "contract" / "data" / "examples.txt"
NETWORK = "specification/network/resource-manager/Microsoft.Network/stable/2024-01-01"
COMPUTE = "specification/compute/resource-manager/Microsoft.Compute/ComputeRP/stable/2024-07-01"
RESOURCES = "specification/resources/resource-manager/Microsoft.Resources/stable/2024-07-01"
SUBSCRIPTIONS = "specification/resources/resource-manager/Microsoft.Resources/stable/2022-12-01"
DESCRIPTIONS = (
    *(
        f"{NETWORK}/{name}.json"
        for name in (
            "loadBalancer",
            "networkSecurityGroup",
            "networkInterface",
            "publicIpAddress",
            "virtualNetwork",
            "natGateway",
            "serviceTags",
            "usage",
            "network",
        )
    ),
    f"{COMPUTE}/virtualMachine.json",
    f"{COMPUTE}/availabilitySet.json",
    f"{COMPUTE}/computeRPCommon.json",
    f"{RESOURCES}/resources.json",
    f"{SUBSCRIPTIONS}/subscriptions.json",
)
"""Files that describe what the operator, the SDKs and `az` ask for."""


@dataclass(frozen=True, slots=True)
class Example:
    """One of Microsoft's `x-ms-examples`: a request, and the answers that it may have."""

    title: str
    file: str
    operation_id: str
    method: str
    path: str
    """The path template with the example's own parameters filled in."""
    query: Mapping[str, str]
    body: Any
    responses: Mapping[int, Mapping[str, Any]]


def find() -> Path | None:
    """Give the folder that holds `specification/`, or `None`."""
    named = os.environ.get(VARIABLE)
    candidates = [Path(named)] if named else [REPOSITORY.parent / "shared" / "azure-specs"]
    return next((folder for folder in candidates if (folder / NETWORK / "loadBalancer.json").is_file()), None)


def require() -> Path:
    """Give the folder that holds `specification/`; skips the test that asks when there is none."""
    folder = find()
    if folder is None:
        pytest.skip(
            f"Microsoft's API descriptions are not here: set {VARIABLE} to a folder with "
            f"{NETWORK}/loadBalancer.json and its neighbours (docs/fidelity.md)"
        )
    return folder


@functools.cache
def load(path: Path) -> Any:
    """Parse a JSON file once; callers do not change what they get."""
    return json.loads(path.read_text(encoding="utf-8-sig"))


def examples(folder: Path) -> Iterator[Example]:
    """The examples that `EXAMPLES` lists, in the order of the descriptions.

    A whole copy of Microsoft's repository holds many more, of things that are no concern of ours.
    """
    ours = frozenset(EXAMPLES.read_text(encoding="utf-8").split())
    for description in DESCRIPTIONS:
        source = folder / description
        for template, verbs in load(source).get("paths", {}).items():
            for verb, described in verbs.items():
                if verb == "parameters":
                    continue
                for title, reference in described.get("x-ms-examples", {}).items():
                    file = source.parent / reference["$ref"]
                    if file.stem in ours and file.is_file():
                        yield _example(title, file, verb, template, described)


def _example(title: str, file: Path, verb: str, template: str, described: Mapping[str, Any]) -> Example:
    content = load(file)
    given = content["parameters"]
    names_in_path = set(re.findall(r"{([^}]*)}", template))
    body_name = next((each["name"] for each in described["parameters"] if each.get("in") == "body"), None)
    # Common parameters (api-version, $expand) are references: what is neither in the path nor the body is
    # in the query.
    query = {key: str(value) for key, value in given.items() if key not in names_in_path and key != body_name}
    return Example(
        title=title,
        file=file.stem,
        operation_id=described["operationId"],
        method=verb.upper(),
        path=re.sub(r"{([^}]*)}", lambda found: str(given.get(found[1], "unnamed")), template),
        query=query,
        body=given.get(body_name) if body_name else None,
        responses={
            int(status): answer for status, answer in content["responses"].items() if status.isdigit()
        },
    )
