"""Two stores on real files with their replicators, and a link that a test can cut and listen to."""

import json
from pathlib import Path
from typing import Any

from loadmaster_ha.agent.settings.model import is_local
from loadmaster_ha.agent.settings.replication import COMPARE_EVERY, Replicator
from loadmaster_ha.agent.settings.store import Store


class Side:
    """One unit's store and replicator."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.options = options
        self.store = Store.open(path)
        self.replicator = Replicator(self.store, **options)

    def restart(self) -> None:
        """The process ends and another one starts; call it while the link is cut."""
        self.store.close()
        self.store = Store.open(self.path)
        self.replicator = Replicator(self.store, **self.options)

    def contents(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What is synchronised, as people see it."""
        return {
            (kind, key): dict(entity.visible)
            for kind, entities in self.store.snapshot.kinds.items()
            if not is_local(kind)
            for key, entity in entities.items()
        }


class Pair:
    """Sides `a` and `b`; `said` has every message that was delivered, with who said it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.options = options
        self.a, self.b = Side(folder / "a.db", **options), Side(folder / "b.db", **options)
        self.now = 0.0
        self.linked = False
        self.said: list[tuple[str, dict[str, Any]]] = []
        self._queues: dict[str, list[dict[str, Any]]] = {"a": [], "b": []}

    def close(self) -> None:
        self.a.store.close()
        self.b.store.close()

    def link(self) -> None:
        """The link comes up, and both say what they have to."""
        self.linked = True
        for name in ("a", "b"):
            self.say(name, self.side(name).replicator.connected(self.now))
        self.settle()

    def cut(self) -> None:
        self.linked = False
        self._queues = {"a": [], "b": []}
        self.a.replicator.disconnected()
        self.b.replicator.disconnected()

    def side(self, name: str) -> Side:
        side: Side = getattr(self, name)
        return side

    def replace(self, name: str, file: str) -> Side:
        """Another store takes this side's place; the link has to be cut."""
        self.side(name).store.close()
        setattr(self, name, Side(self.folder / file, **self.options))
        return self.side(name)

    def commit(self, name: str, *changes: Any) -> None:
        """A change on one side, told at once."""
        side = self.side(name)
        side.store.commit(changes)
        self.say(name, side.replicator.changed(self.now))
        self.settle()

    def compare(self) -> None:
        """The time of the next full comparison comes."""
        self.now += COMPARE_EVERY + 1
        for name in ("a", "b"):
            self.say(name, self.side(name).replicator.tick(self.now))
        self.settle()

    def say(self, name: str, messages: list[dict[str, Any]]) -> None:
        if self.linked:
            self._queues["b" if name == "a" else "a"] += messages

    def settle(self) -> None:
        """Deliver until nobody says anything more."""
        for _ in range(2000):
            name = next((each for each in ("a", "b") if self._queues[each]), None)
            if name is None:
                return
            message = json.loads(json.dumps(self._queues[name].pop(0)))
            self.said.append(("b" if name == "a" else "a", message))
            self.say(name, self.side(name).replicator.received(message, self.now))
        raise AssertionError("they do not stop talking")

    def bytes_said(self) -> int:
        """Since `said` was last cleared, as compact JSON."""
        return sum(len(json.dumps(message, separators=(",", ":"))) for _, message in self.said)

    def types_said(self) -> list[str]:
        return [message["t"] for _, message in self.said]
