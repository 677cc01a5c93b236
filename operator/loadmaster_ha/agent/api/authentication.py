"""Who calls: Basic header, user and password in the body, or API key, against the users in the settings.

The order in which things are done is the point ("RESTful API Interface Description", 2.3): form first, then
the lock-out, then a short memory of what was verified before, and the expensive hash last, one at a time and
off the event loop. The parsing of credentials is where CVE-2024-1212 and CVE-2026-8037 sat in the appliance:
here it is base64, UTF-8 and one split, within bounds, and nothing of it reaches a shell, a format or a path.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from loadmaster_ha.agent.api import passwords
from loadmaster_ha.agent.api.dispatch import ADMINISTRATOR, User
from loadmaster_ha.agent.api.rate_limit import LockOut
from loadmaster_ha.agent.api.unit import Settings
from loadmaster_ha.agent.settings.model import Fields, Kind, Put
from loadmaster_ha.loadmaster.requests import Credentials
from loadmaster_ha.loadmaster.shapes import Permission

_LOG: Final = logging.getLogger(__name__)
LONGEST_HEADER: Final = 1024
LONGEST_CREDENTIAL: Final = 256
_BASIC: Final = re.compile(r"basic +([A-Za-z0-9+/=]+) *", re.IGNORECASE | re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_REMEMBERED: Final = 256
_REMEMBERED_SECONDS: Final = 60.0
_MOST_WAITING: Final = 16
_HASH_THREAD: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="password")

T = TypeVar("T")


class Unauthenticated(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """The credentials are missing or wrong. The message tells a stranger nothing about users."""


class Overloaded(Exception):  # noqa: N818 - as above
    """Too many logins are being checked at the moment."""


def parse_basic(header: str) -> Credentials:
    """Read the value of an `Authorization` header.

    Raises:
        Unauthenticated: it is not Basic, too long, no base64, no UTF-8, has no colon or control characters.
    """
    if len(header) > LONGEST_HEADER:
        raise Unauthenticated("The Authorization header is too long.")
    match = _BASIC.fullmatch(header)
    if match is None:
        raise Unauthenticated("The Authorization header is not of the form Basic.")
    try:
        text = base64.b64decode(match.group(1), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Unauthenticated("The Authorization header is not base64 of UTF-8.") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise Unauthenticated("The Authorization header has no colon between user and password.")
    return checked(Credentials(user=user, password=password))


def checked(credentials: Credentials) -> Credentials:
    """The credentials if they could be any at all.

    Raises:
        Unauthenticated: one of them is too long or has control characters.
    """
    for each in (credentials.user, credentials.password, credentials.apikey):
        if len(each) > LONGEST_CREDENTIAL or _CONTROL.search(each):
            raise Unauthenticated("The credentials are too long or have control characters in them.")
    return credentials


async def in_hash_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run an expensive hash off the event loop, one at a time in the process: each takes 16 MiB."""
    return await asyncio.get_running_loop().run_in_executor(_HASH_THREAD, function, *arguments)


class Authenticator:
    """Checks credentials against the users and API keys in the settings, as they are at that moment."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._lockout = LockOut(clock)
        self._waiting = 0
        # What was verified is remembered by a digest under a key that dies with the process: memory holds no
        # password, and a changed password (another stored hash) is another entry.
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._nobody = passwords.hash_of_nobody()

    async def authenticate(self, credentials: Credentials, client: str) -> User:
        """Who it is. An API key wins over a user and password.

        Raises:
            Unauthenticated: nobody, or not with this password, or too many failures before.
            Overloaded: too many wait for their passwords to be checked.
        """
        checked(credentials)
        if credentials.apikey:
            return self._by_key(credentials.apikey, client)
        if not credentials.user:
            raise Unauthenticated("Credentials are missing: a Basic header, apiuser and apipass, or apikey.")
        return await self._by_password(credentials.user, credentials.password, client)

    def _by_key(self, key: str, client: str) -> User:
        # No lock-out here: nobody guesses 256 bits, and a client whose key was put right need not wait.
        digest = passwords.key_digest(key)
        fields = self._settings.snapshot.get(Kind.API_KEY, digest)
        owner = fields.get("user") if fields else None
        user = self._user(owner) if isinstance(owner, str) else None
        if user is None:
            _LOG.warning("Login from %s refused: an unknown API key.", client)
            raise Unauthenticated("The credentials are wrong.")
        return user

    async def _by_password(self, name: str, password: str, client: str) -> User:
        self._may_try(client, name)
        user = self._user(name)
        stored = self._stored_hash(name) if user else self._nobody
        token = self._token(name, password, stored)
        if user and self._remembers(token):
            return user
        # An unknown user costs as much as a wrong password, so that the time tells nothing.
        if not await self._verify(password, stored) or user is None:
            self._count_failure(client, name, "a wrong user or password")
            raise Unauthenticated("The credentials are wrong.")
        self._lockout.succeeded(client, name)
        self._remember(token)
        return user

    def _may_try(self, client: str, name: str) -> None:
        seconds = self._lockout.remaining(client, name)
        if seconds > 0:
            raise Unauthenticated(f"Too many failed logins from {client}: try again in {seconds:.0f} s.")

    def _count_failure(self, client: str, name: str, what: str) -> None:
        count = self._lockout.failed(client, name)
        _LOG.warning("Login from %s refused: %s (%d in a row).", client, what, count)

    def _user(self, name: str) -> User | None:
        fields = self._settings.snapshot.get(Kind.USER, name)
        return None if fields is None else User(name, permissions_of(fields))

    def _stored_hash(self, name: str) -> str:
        fields = self._settings.snapshot.get(Kind.USER, name)
        stored = fields.get("hash") if fields else None
        return stored if isinstance(stored, str) else self._nobody

    async def _verify(self, password: str, stored: str) -> bool:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded("Too many logins are being checked at the moment: try again in a few seconds.")
        self._waiting += 1
        try:
            return await in_hash_thread(passwords.verify_password, password, stored)
        except passwords.HashError as error:
            _LOG.error("A login was refused: %s Set the user's password anew.", error)
            return False
        finally:
            self._waiting -= 1

    def _token(self, name: str, password: str, stored: str) -> bytes:
        parts = (name, password, stored)
        message = b"".join(
            len(raw).to_bytes(4, "big") + raw
            for raw in (part.encode("utf-8", "surrogatepass") for part in parts)
        )
        return hmac.new(self._key, message, hashlib.sha256).digest()

    def _remembers(self, token: bytes) -> bool:
        until = self._remembered.get(token)
        if until is None:
            return False
        if self._clock() >= until:
            del self._remembered[token]
            return False
        return True

    def _remember(self, token: bytes) -> None:
        self._remembered[token] = self._clock() + _REMEMBERED_SECONDS
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)


def permissions_of(fields: Fields) -> frozenset[Permission]:
    """The permissions of a stored user; words that this version does not know are passed over."""
    stored = fields.get("permissions")
    words = stored if isinstance(stored, list) else []
    return frozenset(each for each in Permission if each.value in words)


def first_user(settings: Settings, password: str | None) -> str | None:
    """See to it that `bal` exists, and say which password it was given if that had to be made up.

    It is a default: when two fresh units pair, both end with the same one of the two, and a password that a
    person has set on either unit wins over it.

    Args:
        settings: the unit's.
        password: from the configuration; used only while there is no `bal`. None: make one up.

    Raises:
        ValueError: the password cannot be one; the message says why.
    """
    if settings.snapshot.get(Kind.USER, ADMINISTRATOR) is not None:
        return None
    chosen = password if password is not None else secrets.token_urlsafe(12)
    refusal = passwords.password_refusal(chosen)
    if refusal:
        raise ValueError(refusal)
    fields: Fields = {"hash": passwords.hash_password(chosen), "permissions": []}
    settings.commit([Put(Kind.USER, ADMINISTRATOR, fields)], seed=True)
    return chosen if password is None else None
