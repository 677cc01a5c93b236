"""The watch's health: every sign of life counts, and only signs of life do."""

import aiohttp
from aiohttp import web

from loadmaster_ha.controller.watch import WatchHealth, _observed, _settings


async def test_every_piece_of_a_watch_is_a_sign_of_life():
    told = []
    health = WatchHealth(told.append)
    assert health.silent_for is None

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for line in (b'{"type": "ADDED"}\n', b'{"type": "BOOKMARK"}\n'):
            await response.write(line)
        return response

    application = web.Application()
    application.router.add_get("/", stream)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession(response_class=_observed(health)) as session:
            async with session.get(url) as answer:
                heads = len(told)
                body = b"".join([chunk async for chunk in answer.content.iter_chunked(1024)])
            async with session.get(url) as answer:
                assert (await answer.text()).count("\n") == 2, "the response is otherwise as any other"
    finally:
        await runner.cleanup()
    assert body.endswith(b'{"type": "BOOKMARK"}\n')
    assert heads == 1
    assert len(told) > heads
    assert health.silent_for < 60


def test_kopf_keeps_no_state_and_asks_for_no_more_rights():
    settings = _settings()
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.persistence.finalizer.startswith("loadmaster.dev/")
    assert settings.watching.server_timeout < settings.watching.client_timeout
