"""Following a collection: what is told when watches end, are too old, are refused or break."""

import asyncio

import pytest

from loadmaster_ha.controller import object_watch
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.object_watch import follow


class Script:
    """Answers lists and watches in turn; at the end it waits for ever."""

    def __init__(self, *steps):
        self.steps, self.asked, self.over = [*steps], [], asyncio.Event()

    def _next(self, kind, *about):
        self.asked.append((kind, *about))
        if not self.steps:
            self.over.set()
            return None
        wanted, *rest = self.steps.pop(0)
        assert wanted == kind, self.asked
        return rest

    async def list_objects(self, path, query):
        assert path == "/api/v1/nodes"
        assert query == {"labelSelector": "a=b"}
        step = self._next("list")
        if step is None:
            await asyncio.Event().wait()
        (outcome,) = step
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def watch_objects(self, path, query):
        assert path == "/api/v1/nodes"
        assert query["labelSelector"] == "a=b"
        step = self._next("watch", query["resourceVersion"])
        if step is None:
            await asyncio.Event().wait()
        for outcome in step:
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome


class Told:
    def __init__(self):
        self.words = []

    def replaced(self, objects):
        self.words.append(("replaced", *(obj["metadata"]["name"] for obj in objects)))

    def changed(self, obj):
        self.words.append(("changed", obj["metadata"]["name"]))

    def deleted(self, obj):
        self.words.append(("deleted", obj["metadata"]["name"]))

    def lost(self, problem):
        self.words.append(("lost", problem.reason))


def obj(name, version="1"):
    return {"metadata": {"name": name, "resourceVersion": version}}


def event(kind, name, version):
    return {"type": kind, "object": obj(name, version)}


GONE = KubernetesError(410, "Expired", "too old resource version")
CUT = KubernetesError(0, "Unreachable", "connection reset")
FORBIDDEN = KubernetesError(403, "Forbidden", "no")


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr(object_watch, "_pause", lambda failures: 0)  # noqa: ARG005 - the real one's signature


async def followed(*steps):
    script, told = Script(*steps), Told()
    task = asyncio.create_task(follow(script, "/api/v1/nodes", {"labelSelector": "a=b"}, told))
    waiting = asyncio.create_task(script.over.wait())
    await asyncio.wait({task, waiting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    ended = await asyncio.gather(task, return_exceptions=True)
    assert [type(each) for each in ended] == [asyncio.CancelledError], ended
    return told.words, script.asked


async def test_a_list_and_then_what_changes():
    words, asked = await followed(
        ("list", ([obj("a")], "5")),
        ("watch", event("ADDED", "b", "6"), event("MODIFIED", "a", "7"), event("DELETED", "b", "8")),
    )
    assert words == [("replaced", "a"), ("changed", "b"), ("changed", "a"), ("deleted", "b")]
    assert asked == [("list",), ("watch", "5"), ("watch", "8")]


async def test_a_bookmark_only_moves_on():
    words, asked = await followed(("list", ([], "5")), ("watch", event("BOOKMARK", "", "9")))
    assert words == [("replaced",)]
    assert asked[-1] == ("watch", "9")


async def test_a_watch_that_is_cut_goes_on_where_it_was():
    words, asked = await followed(("list", ([], "5")), ("watch", event("ADDED", "a", "6"), CUT))
    assert words == [("replaced",), ("changed", "a")]
    assert asked == [("list",), ("watch", "5"), ("watch", "6")]


async def test_a_watch_that_is_too_old_begins_with_a_list():
    words, asked = await followed(("list", ([obj("a")], "5")), ("watch", GONE), ("list", ([obj("b")], "9")))
    assert words == [("replaced", "a"), ("replaced", "b")]
    assert asked[-1] == ("watch", "9")


async def test_a_server_that_stays_away_is_told_and_everything_is_listed_when_it_is_back():
    words, asked = await followed(
        ("list", ([], "5")), ("watch", CUT), ("watch", CUT), ("list", CUT), ("list", ([obj("a")], "9"))
    )
    assert words == [("replaced",), ("lost", "Unreachable"), ("lost", "Unreachable"), ("replaced", "a")]
    assert asked[-1] == ("watch", "9")


async def test_a_refusal_is_told_at_once():
    words, _ = await followed(("list", FORBIDDEN), ("list", ([], "5")))
    assert words == [("lost", "Forbidden"), ("replaced",)]


async def test_what_nobody_foresaw_ends_it():
    script = Script(("list", RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        await follow(script, "/api/v1/nodes", {"labelSelector": "a=b"}, Told())
