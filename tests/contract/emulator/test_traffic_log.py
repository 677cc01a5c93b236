"""`--traffic-log`: whole exchanges, and no secret of those who sign in."""

from __future__ import annotations

import stat

from tests.support.armclient import ArmClient
from tests.support.emulator import running_emulator
from tests.support.traffic import read_log

GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/edge?api-version=2024-11-01"


async def test_log_holds_what_was_asked_and_answered(tmp_path):
    log = tmp_path / "traffic.jsonl"
    async with (
        running_emulator("--traffic-log", str(log)) as emulator,
        ArmClient(emulator.url, emulator.ca_file) as arm,
    ):
        await arm.send("PUT", GROUP, {"location": "westeurope"})
        await arm.send("GET", GROUP.replace("edge", "none"))
        created, missing = read_log(log)  # while the emulator runs
        assert (created.method, created.path, created.status) == ("PUT", GROUP.partition("?")[0], 201)
        assert created.request_body == {"location": "westeurope"}
        assert created.response_body["properties"] == {"provisioningState": "Succeeded"}
        assert created.api_version == "2024-11-01"
        assert missing.response_body["error"]["code"] == "ResourceGroupNotFound"
        assert missing.response_headers["x-ms-failure-cause"] == "gateway"


async def test_log_holds_neither_tokens_nor_sign_ins(tmp_path):
    log = tmp_path / "traffic.jsonl"
    async with (
        running_emulator("--traffic-log", str(log)) as emulator,
        ArmClient(emulator.url, emulator.ca_file) as arm,
    ):
        await arm.send("PUT", GROUP, {"location": "westeurope"})
    text = log.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1
    assert "bearer" not in text.lower()
    assert "oauth2" not in text
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
