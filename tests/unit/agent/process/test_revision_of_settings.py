"""What `agentwatch` waits for: other words, or other settings."""

import asyncio

from loadmaster_ha.agent.process.revision import Revision


def test_a_change_of_settings_makes_both_numbers_grow_and_other_words_only_one():
    revision = Revision()
    assert revision.note("active")
    assert (revision.number, revision.settings) == (2, 1)
    assert not revision.note("active")
    revision.note_settings()
    assert (revision.number, revision.settings) == (3, 2)


async def test_who_waits_is_told_of_a_change_of_settings():
    revision = Revision()
    waiting = asyncio.create_task(revision.beyond(revision.number))
    await asyncio.sleep(0)
    revision.note_settings()
    assert await asyncio.wait_for(waiting, 10) == 2


async def test_who_waits_is_let_go_at_the_end_and_nobody_waits_after_it():
    revision = Revision()
    waiting = asyncio.create_task(revision.beyond(revision.number))
    await asyncio.sleep(0)
    revision.end()
    number = await asyncio.wait_for(waiting, 10)
    assert await asyncio.wait_for(revision.beyond(number), 10) == number
