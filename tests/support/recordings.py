"""Recordings of real Azure traffic (go-vcr files in `tests/contract/data/recordings`), as exchanges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.traffic import Exchange

FOLDER = Path(__file__).resolve().parents[1] / "contract" / "data" / "recordings"
NAMES = ("loadbalancerclient", "securitygroupclient", "interfaceclient")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
"""The recorder put zeros in the place of every GUID."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One recorded request and what the real Azure answered."""

    number: int
    exchange: Exchange


def load(name: str) -> list[Interaction]:
    """Read one recording, in the order of its requests."""
    document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return [
        Interaction(each["id"], _exchange(each["request"], each["response"]))
        for each in document["interactions"]
    ]


def _exchange(request: dict[str, Any], response: dict[str, Any]) -> Exchange:
    return Exchange(
        method=request["method"],
        url=request["url"],
        status=response["code"],
        request_body=json.loads(request["body"]) if request["body"] else None,
        request_headers=_headers(request["headers"]),
        response_body=json.loads(response["body"]) if response["body"] else None,
        response_headers=_headers(response["headers"]),
    )


def _headers(recorded: dict[str, list[str]]) -> dict[str, str]:
    return {name.lower(): ", ".join(values) for name, values in recorded.items()}
