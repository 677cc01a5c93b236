"""What exists in the emulated Azure, in memory for reading and in SQLite for surviving a kill.

Every request's changes are committed before its answer goes out (`flush`), so that an acknowledged write is
never lost to `kill -9`. Two indices keep reading cheap with thousands of resources: who refers to whom (for
back references and in-use checks) and which address of a subnet belongs to whom. They are derived from the
documents by `links_of`, which `registry` supplies, and are rebuilt at a start.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

from loadmaster_ha.emulator.armid import ArmId, group_key, key_of, parse_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loadmaster_ha.emulator.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class Reference:
    """One resource (or child) naming another. `kind` says as what, for example `pool` or `subnet`."""

    kind: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Claim:
    """An address of a subnet, held by an ipConfiguration or a frontend."""

    subnet: str
    address: str
    holder: str


@dataclass(frozen=True, slots=True)
class Links:
    """What a document refers to and which addresses it holds."""

    references: tuple[Reference, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass(slots=True)
class Resource:
    """A top-level resource.

    `body` holds what was asked for plus what the service filled in for good; etag, provisioning
    state and back references are added when it is read.
    """

    id: ArmId
    body: JsonObject
    etag: str
    state: str
    guid: str
    operation: str = ""
    """The name of the last operation, for example `PutNicOperation`."""
    running: str = ""
    """The id of the operation under way; empty when there is none."""
    fresh: bool = False
    """Whether the first write is still under way."""
    hidden: JsonObject = field(default_factory=dict)
    """Facts that only the emulator knows, such as power states."""

    @property
    def key(self) -> str:
        """The id in comparable form."""
        return key_of(self.id)

    @property
    def properties(self) -> JsonObject:
        """The stored properties."""
        found: JsonObject = self.body.setdefault("properties", {})
        return found

    @property
    def location(self) -> str:
        """The region."""
        return str(self.body.get("location", ""))


@dataclass(slots=True)
class Group:
    """A resource group."""

    subscription: str
    name: str
    body: JsonObject
    state: str = "Succeeded"

    @property
    def key(self) -> str:
        """The id in comparable form."""
        return group_key(self.subscription, self.name)


class StateDirectoryInUseError(Exception):
    """Another emulator works on the same state directory."""


class Store:
    """Resources, groups and whatever else must survive a restart (`facts`).

    Args:
        directory: Where `state.sqlite` lives.
        links_of: Derives references and claims of a resource.

    Raises:
        StateDirectoryInUseError: If another process holds the directory.
    """

    def __init__(self, directory: Path, links_of: Callable[[Resource], Links]) -> None:
        self._links_of = links_of
        self._lock = _hold(directory)
        self._database = sqlite3.connect(directory / "state.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        # A process that is killed loses nothing that was written; only a power cut could. Worth the speed
        # here.
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS documents (kind TEXT, key TEXT, body TEXT, PRIMARY KEY (kind, key))"
        )
        self._resources: dict[str, Resource] = {}
        self._groups: dict[str, Group] = {}
        self._facts: dict[tuple[str, str], JsonObject] = {}
        self._by_group: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._by_type: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._links: dict[str, Links] = {}
        self._referrers: defaultdict[str, dict[Reference, None]] = defaultdict(dict)
        self._addresses: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._pending: dict[tuple[str, str], str | None] = {}
        self.on_commit: Callable[[], None] | None = None
        """Called after each commit that changed a resource."""
        self._load()

    # -- resources

    def get(self, resource_id: str | ArmId) -> Resource | None:
        """Return a top-level resource."""
        return self._resources.get(key_of(resource_id))

    def put(self, resource: Resource) -> None:
        """Store a resource (new or changed) and refresh its links."""
        key = resource.key
        self._resources[key] = resource
        self._by_group[group_key(resource.id.subscription, resource.id.group)][key] = None
        self._by_type[resource.id.subscription.lower(), resource.id.type.lower()][key] = None
        self._unlink(key)
        self._link(key, self._links_of(resource))
        self.save(resource)

    def save(self, resource: Resource) -> None:
        """Note a change that touches neither references nor addresses (an etag, a state)."""
        document = asdict(resource) | {"id": str(resource.id)}
        self._pending["resource", resource.key] = json.dumps(document, separators=(",", ":"))

    def remove(self, resource: Resource) -> None:
        """Forget a resource; its addresses and references are free again."""
        key = resource.key
        self._unlink(key)
        self._resources.pop(key, None)
        self._by_group[group_key(resource.id.subscription, resource.id.group)].pop(key, None)
        self._by_type[resource.id.subscription.lower(), resource.id.type.lower()].pop(key, None)
        self._pending["resource", key] = None

    def in_group(self, subscription: str, group: str) -> list[Resource]:
        """Return everything in a group, in order of creation."""
        return [self._resources[key] for key in self._by_group.get(group_key(subscription, group), ())]

    def of_type(self, subscription: str, kind: str) -> list[Resource]:
        """Return all resources of a type in a subscription, in order of creation."""
        return [self._resources[key] for key in self._by_type.get((subscription.lower(), kind.lower()), ())]

    def in_subscription(self, subscription: str) -> Iterator[Resource]:
        """Yield all resources of a subscription."""
        wanted = subscription.lower()
        return (item for item in list(self._resources.values()) if item.id.subscription.lower() == wanted)

    # -- links

    def referrers(self, target: str | ArmId, *kinds: str) -> list[Reference]:
        """Return who refers to `target`, optionally only as one of `kinds`, by id: alike after a restart."""
        found = self._referrers.get(key_of(target), {})
        wanted = (item for item in found if not kinds or item.kind in kinds)
        return sorted(wanted, key=lambda item: key_of(item.source))

    def references(self, resource: Resource) -> tuple[Reference, ...]:
        """Return what a stored resource refers to."""
        return self._links.get(resource.key, Links()).references

    def holders(self, subnet: str | ArmId) -> dict[str, str]:
        """Return the addresses in use in a subnet, and the id of each one's holder."""
        return self._addresses.get(key_of(subnet), {})

    # -- groups and facts

    def group(self, subscription: str, name: str) -> Group | None:
        """Return a resource group."""
        return self._groups.get(group_key(subscription, name))

    def groups(self, subscription: str) -> list[Group]:
        """Return the groups of a subscription."""
        wanted = subscription.lower()
        return [group for group in self._groups.values() if group.subscription.lower() == wanted]

    def put_group(self, group: Group) -> None:
        """Store a resource group."""
        self._groups[group.key] = group
        self._pending["group", group.key] = json.dumps(asdict(group))

    def remove_group(self, group: Group) -> None:
        """Forget a resource group (not what is in it)."""
        self._groups.pop(group.key, None)
        self._pending["group", group.key] = None

    def fact(self, kind: str, key: str) -> JsonObject | None:
        """Return a stored fact, for example an operation."""
        return self._facts.get((kind, key))

    def facts(self, kind: str) -> dict[str, JsonObject]:
        """Return all facts of a kind by key."""
        return {key: value for (found, key), value in self._facts.items() if found == kind}

    def put_fact(self, kind: str, key: str, value: JsonObject) -> None:
        """Store a fact."""
        self._facts[kind, key] = value
        self._pending[kind, key] = json.dumps(value)

    def remove_fact(self, kind: str, key: str) -> None:
        """Forget a fact."""
        if self._facts.pop((kind, key), None) is not None:
            self._pending[kind, key] = None

    # -- persistence

    def flush(self) -> None:
        """Commit everything that changed since the last call, in one transaction."""
        if not self._pending:
            return
        self._database.execute("BEGIN")
        for (kind, key), body in self._pending.items():
            if body is None:
                self._database.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))
            else:
                # An update keeps the row's place, and with it the order of creation.
                self._database.execute(
                    "INSERT INTO documents VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
                    (kind, key, body),
                )
        self._database.execute("COMMIT")
        resources_changed = any(kind == "resource" for kind, _ in self._pending)
        self._pending.clear()
        if resources_changed and self.on_commit is not None:
            self.on_commit()

    def close(self) -> None:
        """Commit and let the state directory go."""
        self.flush()
        self._database.close()
        self._lock.close()

    def _load(self) -> None:
        rows = self._database.execute("SELECT kind, key, body FROM documents ORDER BY rowid").fetchall()
        for kind, key, text in rows:
            body: dict[str, Any] = json.loads(text)
            if kind == "group":
                self._groups[key] = Group(**body)
            elif kind == "resource":
                parsed = parse_id(body["id"])
                if parsed is not None:
                    self.put(Resource(**(body | {"id": parsed})))
            else:
                self._facts[kind, key] = body
        self._pending.clear()

    def _link(self, key: str, links: Links) -> None:
        self._links[key] = links
        for reference in links.references:
            self._referrers[key_of(reference.target)][reference] = None
        for claim in links.claims:
            self._addresses[key_of(claim.subnet)][claim.address] = claim.holder

    def _unlink(self, key: str) -> None:
        links = self._links.pop(key, Links())
        for reference in links.references:
            self._referrers[key_of(reference.target)].pop(reference, None)
        for claim in links.claims:
            self._addresses[key_of(claim.subnet)].pop(claim.address, None)


def _hold(directory: Path) -> IO[str]:
    """Lock the state directory for this process; the lock goes with the process, however it ends."""
    file = (directory / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StateDirectoryInUseError(f"{directory} is in use by another emulator") from error
    return file
