"""Requests that were once sent to the real Azure, sent to the emulator: it has to answer as Azure did.

Compared are the status, the headers that clients act on, and the whole body with every key and value,
except for GUIDs, etags, public addresses and other things that are made anew each time. What the recorder
took out (`Retry-After`, polls answered with `InProgress`) cannot be compared, and since the polls are
missing, the emulator runs without latency: an operation is done when the next request arrives.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests.support import azspecs, recordings
from tests.support.generated import check_block
from tests.support.likeness import Difference, exact
from tests.support.traffic import Exchange

if TYPE_CHECKING:
    from tests.support.armclient import ArmClient

PAGE = azspecs.REPOSITORY / "docs" / "fidelity.md"
# Headers whose presence a client's behaviour depends on, and that the recorder left alone.
PRESENT_OR_NOT = ("azure-asyncoperation", "location", "azure-asyncnotification", "etag")
SAME_VALUE = ("azure-asyncnotification", "content-type", "x-ms-failure-cause")
PATIENCE_SECONDS = 30

# Differences that stay, by recording and number of the request; each with its reason in docs/fidelity.md.
KNOWN: dict[tuple[str, int], set[Difference]] = {}


class Replay:
    """Sends recorded requests one after the other; polling addresses are the emulator's own."""

    def __init__(self, client: ArmClient) -> None:
        self._client = client
        self._operation = ""
        self._result = ""

    async def send(self, recorded: Exchange) -> Exchange:
        if "/operations/" in recorded.path:
            return await self._finished(self._operation)
        if "/operationresults/" in recorded.path.lower():
            return await self._finished(self._result)
        answer = await self._client.send(
            recorded.method, recorded.url, recorded.request_body, _conditions(recorded)
        )
        self._operation = answer.response_headers.get("azure-asyncoperation", self._operation)
        self._result = answer.response_headers.get("location", self._result)
        return answer

    async def _finished(self, address: str) -> Exchange:
        """Poll until the end: the recorder removed the polls before it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = await self._client.send("GET", address)
                if answer.status != 202 and (answer.response_body or {}).get("status") != "InProgress":
                    return answer
                await asyncio.sleep(0.05)


def _conditions(recorded: Exchange) -> dict[str, str]:
    return {name: value for name, value in recorded.request_headers.items() if name.startswith("if-")}


def differences(recorded: Exchange, got: Exchange) -> list[Difference]:
    """Everything a client could notice between the real answer and the emulator's."""
    found = exact(recorded.response_body, got.response_body)
    if recorded.status != got.status:
        found.append(Difference("status", f"{got.status} instead of {recorded.status}"))
    for name in PRESENT_OR_NOT:
        if (name in recorded.response_headers) != (name in got.response_headers):
            what = "additional" if name in got.response_headers else "missing"
            found.append(Difference(f"header {name}", what))
    for name in SAME_VALUE:
        wanted, given = recorded.response_headers.get(name), got.response_headers.get(name)
        if wanted and wanted.lower() != (given or "").lower():
            found.append(Difference(f"header {name}", f"{given!r} instead of {wanted!r}"))
    return found


@pytest.mark.parametrize("name", recordings.NAMES)
async def test_answers_as_the_real_azure_did(azure, name):
    async with azure(recordings.SUBSCRIPTION, latency=0) as client:
        replay = Replay(client)
        found = {}
        for interaction in recordings.load(name):
            recorded = interaction.exchange
            got = await replay.send(recorded)
            unlike = set(differences(recorded, got))
            if unlike != KNOWN.get((name, interaction.number), set()):
                found[f"{interaction.number} {recorded.method} {recorded.path}"] = sorted(map(str, unlike))
    assert not found, json.dumps(found, indent=2)


def test_page_counts_what_is_compared():
    rows = ["| recording | requests | different in a known way |", "| --- | --- | --- |"]
    for name in recordings.NAMES:
        known = sum(len(items) for (recording, _), items in KNOWN.items() if recording == name)
        rows.append(f"| `{name}` | {len(recordings.load(name))} | {known} |")
    check_block(PAGE, "recordings", "\n".join(rows))


def test_a_difference_is_noticed():
    # The comparison itself: one key, one value, one header and the status of a real answer changed.
    recorded = recordings.load("loadbalancerclient")[4].exchange
    body = dict(recorded.response_body, location="westus")
    del body["sku"]
    headers = {
        key: value for key, value in recorded.response_headers.items() if key != "azure-asyncoperation"
    }
    got = Exchange("PUT", recorded.url, 200, response_body=body, response_headers=headers)
    assert {str(each) for each in differences(recorded, got)} == {
        "/location: 'westus' instead of 'eastus'",
        "/sku: missing",
        "header azure-asyncoperation: missing",
        "status: 200 instead of 201",
    }
    assert differences(recorded, recorded) == []
