"""The Secrets that pairs refer to for their units: read by name, never listed, looked at again in time.

One reading serves all who need it and is believed for `SECRET_SECONDS`. `Secrets.run` reads what is in use
again before that, so that a renewed certificate or a corrected password is noticed within a minute without
the right to watch Secrets. Neighbours: `references` says what is in use, `unit_sessions` and `unit_inputs`
make something of the contents.
"""

import asyncio
import base64
import binascii
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.kubernetes import JSON, KubernetesError

SECRET_SECONDS: Final = 50.0
"""How long what was read is believed: a renewed certificate, a new authority, a rotated shared secret and a
Secret that was missing are noticed within a minute."""

CALM_SECONDS: Final = 300.0
"""How long a login is believed. There are two for each pair, they rarely change, and when a unit refuses one,
or somebody touches the pair, it is read anew."""

LOGIN_KEYS: Final = frozenset({"apikey", "username", "password"})
"""A Secret with nothing but these is a login."""

SPREAD: Final = (0.7, 0.9)
"""After which share of that a Secret in use is read again: at random, so that not all come at once."""

RETRY_SECONDS: Final = 5.0
"""After which a Secret is read again that the API server did not tell."""

FORBIDDEN: Final = 403

READERS: Final = 8
"""Secrets that are read again at the same time."""

_TICK: Final = 1.0


class SecretName(NamedTuple):
    """Namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class SecretProblem(Exception):  # noqa: N818 - reads as what is the case
    """A Secret cannot be used: `reason` and `message` (with the field that names it) are for conditions.

    Args:
        reason: the word for it.
        problem: what is wrong, a sentence with the field; for who has a remedy of their own.
        remedy: what helps, a sentence.
    """

    def __init__(self, reason: Reason, problem: str, remedy: str = "") -> None:
        self.reason = reason
        self.problem = problem
        self.message = f"{problem} {remedy}" if remedy else problem
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class SecretContent:
    """What is in a Secret. Equal contents are equal, whatever else changed about the object."""

    type: str
    data: Mapping[str, bytes] = field(repr=False)
    version: str = field(default="", compare=False)
    """`resourceVersion`: another one after any write to the object, also one that leaves the content."""

    def text(self, key: str, where: str) -> str:
        """The value of a key as text.

        Raises:
            SecretProblem: there is no such key, it is empty, or it is not UTF-8.
        """
        if not self.data.get(key):
            known = ", ".join(sorted(self.data)) or "none"
            raise SecretProblem(Reason.SECRET_INVALID, f"{where} has no key {key} (its keys: {known}).")
        try:
            return self.data[key].decode()
        except UnicodeDecodeError:
            raise SecretProblem(
                Reason.SECRET_INVALID,
                f"{where}: the value of {key} is not UTF-8 text.",
                "`data` of a Secret is base64 of UTF-8 text: it may have been encoded otherwise.",
            ) from None


class SecretAPI(Protocol):
    """The call of `kubernetes.Kubernetes` that is needed."""

    async def get_secret(self, namespace: str, name: str) -> JSON | None:
        """The Secret, None when there is none."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """`found`: the content, None (no such Secret), what is wrong with it, or the refusal to show it."""

    at: float
    again: float
    found: SecretContent | KubernetesError | str | None

    def same_as(self, other: "_Reading") -> bool:
        if isinstance(self.found, KubernetesError) or isinstance(other.found, KubernetesError):
            return isinstance(self.found, KubernetesError) and isinstance(other.found, KubernetesError)
        return self.found == other.found


class Secrets:
    """Secrets in use.

    Args:
        api: where they are read.
        changed: told the name of a Secret whose content is another than at the last look, also when it was
            created or deleted.
        in_use: which Secrets are looked at again.
    """

    def __init__(
        self,
        api: SecretAPI,
        *,
        changed: Callable[[SecretName], None],
        in_use: Callable[[], Iterable[SecretName]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._changed = changed
        self._in_use = in_use
        self._clock = clock
        self._readings: dict[SecretName, _Reading] = {}
        self._under_way: dict[SecretName, asyncio.Task[_Reading]] = {}

    async def read(self, name: SecretName, field_path: str, *, fresh: bool = False) -> SecretContent:
        """The content of a Secret that `field_path` of a manifest names; `fresh` reads it anew.

        Raises:
            SecretProblem: it does not exist, must not be read, or is none.
            KubernetesError: the API server does not tell now.
        """
        reading = self._readings.get(name)
        if fresh or reading is None or self._clock() - reading.at >= _believed(reading.found):
            reading = await self._look(name)
        found = reading.found
        if isinstance(found, SecretContent):
            return found
        if found is None:
            problem = f"{about(name, field_path)} does not exist."
            raise SecretProblem(Reason.SECRET_NOT_FOUND, problem, "Create it or correct the name.")
        raise _in_words(found, about(name, field_path))

    def doubt(self, name: SecretName) -> None:
        """A unit refuses what is in it: read it again as often as one that is missing."""
        known = self._readings.get(name)
        if known is not None:
            self._readings[name] = replace(
                known, again=min(known.again, known.at + SECRET_SECONDS * SPREAD[0])
            )

    async def run(self) -> None:
        """Look at what is in use again in time; until cancelled."""
        while True:
            await self.look_again()
            await asyncio.sleep(_TICK)

    async def look_again(self) -> None:
        """Read anew what is due, and drop what is no longer in use."""
        in_use = frozenset(self._in_use())
        for name in self._readings.keys() - in_use:
            del self._readings[name]
        now = self._clock()
        due = [name for name in in_use if (known := self._readings.get(name)) and now >= known.again]
        gate = asyncio.Semaphore(READERS)

        async def one(name: SecretName) -> None:
            with contextlib.suppress(KubernetesError):  # who needs it meets the problem when it reads
                async with gate:
                    await self._look(name)

        await asyncio.gather(*(one(name) for name in due))

    async def _look(self, name: SecretName) -> _Reading:
        """Read; those who want the same at the same time share one request."""
        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.create_task(self._request(name))
            task.add_done_callback(lambda _: self._under_way.pop(name, None))
        return await asyncio.shield(task)

    async def _request(self, name: SecretName) -> _Reading:
        """Read, and remember.

        Raises:
            KubernetesError: no answer. What was read before is believed for as long as it would have been.
        """
        before = self._readings.get(name)
        found: SecretContent | KubernetesError | str | None
        try:
            found = _found(await self._api.get_secret(*name))
        except KubernetesError as problem:
            if problem.status != FORBIDDEN:
                if before is not None:
                    self._readings[name] = replace(before, again=self._clock() + RETRY_SECONDS)
                raise
            found = problem
        now = self._clock()
        again = now + _believed(found) * random.uniform(*SPREAD)  # noqa: S311 - no secret
        reading = _Reading(now, again, found)
        self._readings[name] = reading
        if before is not None and not reading.same_as(before):
            self._changed(name)
        return reading


def _believed(found: SecretContent | KubernetesError | str | None) -> float:
    """Seconds."""
    calm = isinstance(found, SecretContent) and bool(found.data) and found.data.keys() <= LOGIN_KEYS
    return CALM_SECONDS if calm else SECRET_SECONDS


def about(name: SecretName, field_path: str) -> str:
    """The beginning of a sentence about a Secret."""
    return f"{field_path}: the Secret {name}"


def _in_words(found: KubernetesError | str, where: str) -> SecretProblem:
    if isinstance(found, str):
        return SecretProblem(Reason.SECRET_INVALID, f"{where}: {found}.")
    message = f"{where} must not be read by the operator: grant it `get` on Secrets there ({found})."
    return SecretProblem(Reason.SECRET_UNREADABLE, message)


def _found(secret: JSON | None) -> SecretContent | str | None:
    if secret is None:
        return None
    try:
        data = {
            key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()
        }
    except (binascii.Error, TypeError):  # the API server refuses such Secrets; an aggregated one may not
        return "its data is not base64"
    version = str((secret.get("metadata") or {}).get("resourceVersion", ""))
    return SecretContent(str(secret.get("type", "")), MappingProxyType(data), version)
