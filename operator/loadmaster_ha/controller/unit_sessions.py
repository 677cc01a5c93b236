"""With which client each unit of a pair is called: made of its Secrets, replaced when they change.

One client per unit serves all lanes, since the pace of calls is the unit's. It stays the same as long as
address, credentials and trust do, and with it what it has learned: also that the unit refused these
credentials (401). Only a write to the Secret lifts that: with other credentials, or with the same for one
try, after they were put right on the unit. Neighbour: `secrets` reads, `loadmaster.client` calls.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from loadmaster_ha.controller.conditions import Reason
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.secrets import SecretContent, SecretName, SecretProblem, Secrets, about
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.loadmaster.background import InBackground
from loadmaster_ha.loadmaster.calling import Caller
from loadmaster_ha.loadmaster.client import CallObserver, UnitClient
from loadmaster_ha.loadmaster.connections import Connections, Endpoint
from loadmaster_ha.loadmaster.trust import Authorities, Pinned, SystemAuthorities, Trust
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.resources.units import ManagementTLS, Unit

log = logging.getLogger(__name__)

KEYS: Final = ("apikey", "username", "password")
"""Keys of the Secret that `management.credentialsSecretRef` names; others in it are nobody's concern."""

_REMEDY: Final = (
    "Give it either apikey, or username and password, of a user of the unit, as text without a line break "
    "(`printf %s`, not `echo`)."
)


class MakeClient(Protocol):
    """`UnitClient`, or what stands in for it."""

    def __call__(
        self,
        endpoint: Endpoint,
        trust: Trust,
        credentials: UnitCredentials,
        *,
        connections: Connections | None = None,
        observer: CallObserver | None = None,
    ) -> UnitClient:
        """Make a client."""


@dataclass(frozen=True, slots=True)
class _Session:
    endpoint: Endpoint
    trust: Trust
    credentials: UnitCredentials
    client: UnitClient
    version: str
    """Of the Secret with the credentials, when they were not refused yet."""
    secret: str
    """Its name."""
    watcher: InBackground
    """The client for those who only watch."""

    def is_for(self, endpoint: Endpoint, trust: Trust, credentials: UnitCredentials) -> bool:
        """Whether it was made of these."""
        return (self.endpoint, self.trust, self.credentials) == (endpoint, trust, credentials)

    @property
    def refusal(self) -> str:
        """Which credentials at which address, for remembering that they were refused.

        It tells nothing of them: from a digest of its own in status a password could be guessed.
        """
        told = f"{self.endpoint} {self.secret} {self.version}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]


class UnitSessions:
    """The clients of all units.

    Args:
        secrets: where credentials and authorities are read.
        connections: shared by all clients; whoever made them closes them.
        observer: told of each request.
        make: makes a client.
        stored_refusal: what status remembers of credentials that an earlier process was refused with.
        replaced: told of a unit that has got another client, and whether that one calls another address or
            trusts another certificate: what the one before has told was then perhaps not of this unit.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        connections: Connections | None = None,
        observer: CallObserver | None = None,
        make: MakeClient | Callable[..., UnitClient] = UnitClient,
        stored_refusal: Callable[[PairKey, Role], str] = lambda *_: "",
        replaced: Callable[[PairKey, Role, bool], None] = lambda *_: None,
    ) -> None:
        self._secrets = secrets
        self._connections = connections
        self._observer = observer
        self._make = make
        self._stored_refusal = stored_refusal
        self._replaced = replaced
        self._sessions: dict[tuple[PairKey, Role], _Session] = {}

    async def get(
        self,
        pair: PairKey,
        role: Role,
        unit: Unit,
        address: str,
        *,
        fresh: bool = False,
        deleting: bool = False,
    ) -> UnitClient:
        """The client of a unit.

        Args:
            pair: whose unit it is; its Secrets are in the pair's namespace.
            role: which of the two.
            unit: the unit in the manifest.
            address: the unit's own address, where `management.address` does not say another one.
            fresh: read the Secrets anew: somebody has touched the pair.
            deleting: the pair is being deleted. It may go on with the client it had last: when a namespace is
                deleted its Secrets go first, and the clean-up still has to be done.

        Raises:
            SecretProblem: a Secret is missing, has something wrong in it, or must not be read.
            KubernetesError: the API server does not tell now.
        """
        management = unit.management
        endpoint = Endpoint(management.address or address, management.port)
        path = f"spec.{role.lower()}.management"
        last = self._sessions.get((pair, role))
        if last is not None and last.client.is_locked_out and unit.management.credentials_secret_ref:
            self._secrets.doubt(SecretName(pair.namespace, unit.management.credentials_secret_ref.name))
        try:
            credentials, version = await self._credentials(pair.namespace, unit, path, fresh=fresh)
            trust = await self._trust(pair.namespace, management.tls, f"{path}.tls", fresh=fresh)
        except SecretProblem:
            if not deleting or last is None:
                raise
            return last.client
        # No await between the look and the replacement: two lanes get the same client.
        last = self._sessions.get((pair, role))
        if last is not None and last.is_for(endpoint, trust, credentials):
            if not last.client.is_locked_out:
                self._sessions[pair, role] = replace(last, version=version)
                return last.client
            if last.version == version:
                return last.client
        client = self._make(
            endpoint, trust, credentials, connections=self._connections, observer=self._observer
        )
        reference = unit.management.credentials_secret_ref
        name = reference.name if reference else ""
        session = _Session(endpoint, trust, credentials, client, version, name, InBackground(client))
        self._sessions[pair, role] = session
        if last is None and self._stored_refusal(pair, role) == session.refusal:
            client.lock_out(f"{endpoint} refused these credentials before the operator was started.")
        if last is not None:
            log.info("%s: address, credentials or trust of the %s have changed", pair, role.lower())
            self._replaced(pair, role, (last.endpoint, last.trust) != (endpoint, trust))
            await last.client.close()
        return client

    def refusal(self, pair: PairKey, role: Role) -> str:
        """What to remember of credentials that the unit has refused; empty when it has not."""
        session = self._sessions.get((pair, role))
        return session.refusal if session is not None and session.client.is_locked_out else ""

    def last(self, pair: PairKey, role: Role) -> UnitClient | None:
        """The client that `get` gave last; None before."""
        session = self._sessions.get((pair, role))
        return None if session is None else session.client

    def watcher(self, pair: PairKey, role: Role) -> InBackground | None:
        """The client that `get` gave last, for those whose calls can be put off; the same one each time."""
        session = self._sessions.get((pair, role))
        return None if session is None else session.watcher

    async def forget(self, pair: PairKey) -> None:
        """The pair is gone, or not managed any more."""
        for role in Role:
            session = self._sessions.pop((pair, role), None)
            if session is not None:
                await session.client.close()

    async def close(self) -> None:
        """Close all clients."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.client.close()

    async def _credentials(
        self, namespace: str, unit: Unit, path: str, *, fresh: bool
    ) -> tuple[UnitCredentials, str]:
        """The credentials, and the version of the Secret that they are from."""
        reference = unit.management.credentials_secret_ref
        path = f"{path}.credentialsSecretRef"
        if reference is None:
            raise SecretProblem(Reason.SECRET_NOT_FOUND, f"{path} is not set.")
        name = SecretName(namespace, reference.name)
        content = await self._secrets.read(name, path, fresh=fresh)
        try:
            return read_credentials(content, about(name, path)), content.version
        except SecretProblem:
            self._secrets.doubt(name)  # corrected, it is noticed as soon as one that was missing
            raise

    async def _trust(self, namespace: str, tls: ManagementTLS, path: str, *, fresh: bool) -> Trust:
        if tls.fingerprint_sha256 is not None:
            return Pinned(tls.fingerprint_sha256)
        if tls.ca_secret_ref is None:
            return SystemAuthorities(tls.server_name)
        path, name = f"{path}.caSecretRef", SecretName(namespace, tls.ca_secret_ref.name)
        where = about(name, path)
        content = await self._secrets.read(name, path, fresh=fresh)
        try:
            return Authorities(content.text(tls.ca_secret_ref.key, where), tls.server_name)
        except ValueError as problem:
            message = f"{where}: the value of {tls.ca_secret_ref.key} cannot be used: {problem}."
            raise SecretProblem(Reason.SECRET_INVALID, message) from None


class WatchSessions:
    """The clients of `sessions` for the watch lane: its calls give way to those that work with a unit."""

    def __init__(self, sessions: UnitSessions) -> None:
        self._sessions = sessions

    async def get(self, pair: PairKey, role: Role, unit: Unit, address: str) -> Caller:
        """The client of a unit; as `UnitSessions.get`."""
        client = await self._sessions.get(pair, role, unit, address)
        return self._sessions.watcher(pair, role) or client

    def last(self, pair: PairKey, role: Role) -> Caller | None:
        """The client that was given last; None before."""
        return self._sessions.watcher(pair, role)


def read_credentials(content: SecretContent, where: str) -> UnitCredentials:
    """The credentials in a Secret; `where` begins the sentence of a problem.

    Raises:
        SecretProblem: they are incomplete or of a form that no request can carry.
    """
    found = {key: content.text(key, where) for key in KEYS if content.data.get(key)}
    try:
        return UnitCredentials(
            apikey=found.get("apikey", ""),
            user=found.get("username", ""),
            password=found.get("password", ""),
        )
    except ValueError as problem:
        has = (
            ", ".join(key if content.data[key] else f"{key}, empty" for key in sorted(content.data)) or "none"
        )
        message = f"{where} {problem} (its keys: {has})."
        raise SecretProblem(Reason.SECRET_INVALID, message, _REMEDY) from None
