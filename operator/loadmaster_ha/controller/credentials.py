"""As whom a pair goes to Azure: its Secret, or the operator's own identity.

A Secret is read (never listed or watched) at most once a minute per pair's wish, and at once when the pair
was touched; a changed one is noticed by what is in it. `azure.sessions` shares one session among all with
the same credentials.
"""

import base64
import binascii
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from loadmaster_ha.azure.credentials import Credentials, CredentialsInvalid, OwnIdentity, read_secret
from loadmaster_ha.azure.session import AzureSession
from loadmaster_ha.azure.sessions import Sessions
from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.kubernetes import JSON, KubernetesError
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.resources.loadmasterpair import Azure

log = logging.getLogger(__name__)

SECRET_SECONDS: Final = 50.0
"""How long a Secret that was read is believed; less than the minute after which a refused pair looks
again."""


class CredentialsProblem(Exception):  # noqa: N818 - reads as what is the case
    """There are no usable credentials; `reason` and `message` are for the pair's conditions."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SecretAPI(Protocol):
    """The call of `kubernetes.Kubernetes` that is needed."""

    async def get_secret(self, namespace: str, name: str) -> JSON | None:
        """The Secret, None when there is none."""


@dataclass(frozen=True, slots=True)
class _Read:
    at: float
    found: Credentials | CredentialsProblem


class PairSessions:
    """Which session with Azure each pair uses."""

    def __init__(
        self, api: SecretAPI, sessions: Sessions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._sessions = sessions
        self._clock = clock
        self._secrets: dict[tuple[str, str], _Read] = {}
        self._last: dict[PairKey, Credentials] = {}

    async def get(self, pair: PairKey, azure: Azure, *, woken: bool, deleting: bool) -> AzureSession:
        """The session of a pair; `woken` reads its Secret anew.

        A pair that is being deleted may go on with the credentials it used last: when a namespace is
        deleted its Secrets go first, and the clean-up still has to be done.

        Raises:
            CredentialsProblem: the Secret is missing or unusable, or must not be read.
        """
        try:
            credentials = await self._credentials(pair.namespace, azure, woken=woken)
        except CredentialsProblem:
            last = self._last.get(pair)
            if not deleting or last is None:
                raise
            credentials = last
        before = self._last.get(pair)
        if before is not None and before != credentials:
            log.info("The credentials have changed")
        self._last[pair] = credentials
        try:
            return await self._sessions.lease(pair, azure.subscription_id, credentials)
        except CredentialsInvalid as problem:
            raise CredentialsProblem(
                Reason.SECRET_INVALID, f"{problem.message} ({problem.reason})."
            ) from problem

    async def forget(self, pair: PairKey) -> None:
        """The pair is gone."""
        self._last.pop(pair, None)
        await self._sessions.release(pair)

    async def _credentials(self, namespace: str, azure: Azure, *, woken: bool) -> Credentials:
        reference = azure.credentials_secret_ref
        if reference is None:
            return OwnIdentity()
        name = (namespace, reference.name)
        read = self._secrets.get(name)
        if read is None or woken or self._clock() - read.at >= SECRET_SECONDS:
            read = self._secrets[name] = _Read(self._clock(), await self._read(*name))
            self._drop_old_secrets()
        if isinstance(read.found, CredentialsProblem):
            raise CredentialsProblem(read.found.reason, read.found.message)
        return read.found

    async def _read(self, namespace: str, name: str) -> Credentials | CredentialsProblem:
        where = f"spec.azure.credentialsSecretRef: the Secret {namespace}/{name}"
        try:
            secret = await self._api.get_secret(namespace, name)
        except KubernetesError as problem:
            if problem.status != 403:
                raise
            message = (
                f"{where} must not be read by the operator: grant it `get` on Secrets there ({problem})."
            )
            return CredentialsProblem(Reason.SECRET_UNREADABLE, message)
        if secret is None:
            return CredentialsProblem(
                Reason.SECRET_NOT_FOUND, f"{where} does not exist. Create it or correct the name."
            )
        try:
            return read_secret(_decoded(secret.get("data") or {}))
        except CredentialsInvalid as problem:
            return CredentialsProblem(
                Reason.SECRET_INVALID, f"{where}: {problem.message} ({problem.reason})."
            )

    def _drop_old_secrets(self) -> None:
        now = self._clock()
        for name in [name for name, read in self._secrets.items() if now - read.at >= SECRET_SECONDS]:
            del self._secrets[name]


def _decoded(data: Mapping[str, Any]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in data.items()}
    except (
        binascii.Error,
        TypeError,
    ) as problem:  # the API server refuses such Secrets; an aggregated one may not
        raise CredentialsInvalid("SecretValueInvalid", f"its data is not base64: {problem}") from None
