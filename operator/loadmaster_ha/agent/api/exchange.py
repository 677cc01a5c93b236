"""One request and its answer, from HTTP's parts to the handler and back; refusals become answers here.

The statuses are the appliance's: 400 malformed or (v1) a parameter missing, 401 credentials, 403 permission,
404 API off or another path, 405 unknown command or method, 422 a value, a parameter missing (v2) or the
unit's state, 503 overloaded, out of time, or the store cannot be written.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from loadmaster_ha.agent.api import dispatch
from loadmaster_ha.agent.api.authentication import Authenticator, Overloaded, Unauthenticated, parse_basic
from loadmaster_ha.agent.api.dispatch import Binary, Call, Data, Refused, Reply, User
from loadmaster_ha.agent.api.handlers.parameters import api_is_enabled
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.settings.errors import SettingRefused, StoreError
from loadmaster_ha.loadmaster import commands, redaction, requests, v1, v2
from loadmaster_ha.loadmaster.answers import Answer, Body, WireError
from loadmaster_ha.loadmaster.requests import Credentials, ParameterError
from loadmaster_ha.loadmaster.shapes import TEXT, Access, Command
from loadmaster_ha.loadmaster.values import Json, Version

_LOG: Final = logging.getLogger(__name__)
_SMALL_BODY: Final = 64 * 1024
"""Bytes that strangers may send. More needs a place among the few large bodies that are read at a time."""
_LONGEST_PARAMETERS: Final = 256 * 1024
"""Bytes of parameters in v1."""
_LONGEST_UNKNOWN: Final = 8 * 1024 * 1024
"""Bytes of a v2 request whose credentials are inside, so that nobody knows yet whose it is."""
LONGEST_UPLOAD: Final = 32 * 1024 * 1024
"""Bytes of a file; half as many again in v2, which carries it in base64."""
_MANY_ROWS: Final = 50
_LONGEST_IN_LOG: Final = 400
_V1_PATH: Final = "/access/"
_UNSAFE_SITES: Final = frozenset({"cross-site", "same-site"})


@dataclass(frozen=True, slots=True)
class Resources:
    """What all requests share."""

    unit: Unit
    authenticator: Authenticator
    body_seconds: float
    """For the arrival of a body."""
    large_bodies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))


class Exchange:
    """Does one request; `known` is called as soon as it is clear whose it is."""

    def __init__(self, request: web.BaseRequest, resources: Resources, known: Callable[[], None]) -> None:
        self._request = request
        self._resources = resources
        self._unit = resources.unit
        self._known = known
        self._client = request.remote or ""
        path = request.rel_url.raw_path
        self._path = path
        self._version = Version.V2 if path == v2.PATH or path.startswith(f"{v2.PATH}/") else Version.V1
        self._command: Command | None = None
        self._caller = self._client
        self._told = ""
        self.authenticated = False
        """Whether the caller is known; strangers' connections are not kept."""

    async def answer(self) -> Body:
        """The answer, whatever happens."""
        started = time.monotonic()
        try:
            answer = await self._answer()
        except Refused as refused:
            answer = Answer(refused.status, text=refused.text)
        except Unauthenticated as error:
            answer = Answer(401, text=str(error))
        except Overloaded as error:
            answer = Answer(503, text=str(error))
        except WireError as error:
            answer = Answer(400 if self._version is Version.V1 else 422, text=str(error))
        except StoreError as error:
            _LOG.error("%s by %s failed: %s", self._name(), self._caller, error)
            answer = Answer(503, text=f"The settings cannot be stored, nothing was changed: {error}")
        except SettingRefused as error:
            answer = Answer(422, text=str(error))
        except Exception:  # noqa: BLE001 - the connection has to get an answer, and the log the trace
            answer = self._mistake()
        self._log(answer, time.monotonic() - started)
        try:
            if _rows(answer) > _MANY_ROWS:
                # Half a second of work for 1,000 services: the unit's heartbeat must not wait for it.
                return await asyncio.to_thread(self._encode, answer)
            return self._encode(answer)
        except WireError:
            return self._encode(self._mistake())

    def _mistake(self) -> Answer:
        _LOG.exception("%s by %s failed by a mistake of the agent's", self._name(), self._caller)
        return Answer(500, text="The agent made a mistake; its log has the details.")

    def _encode(self, answer: Answer) -> Body:
        shape = self._command.reply if self._command else TEXT
        return (
            v2.encode_answer(shape, answer)
            if self._version is Version.V2
            else v1.encode_answer(shape, answer)
        )

    async def _answer(self) -> Answer:
        self._refuse_other_sites()
        if self._version is Version.V2:
            return await self._v2()
        if not self._path.startswith(_V1_PATH):
            raise Refused(404, "Not found: the API is under /access/ (v1) and /accessv2 (v2).")
        return await self._v1()

    def _refuse_other_sites(self) -> None:
        """A browser that is logged in here must not be used by other people's pages (v1 changes by GET)."""
        if self._request.headers.get("Sec-Fetch-Site", "").lower() in _UNSAFE_SITES:
            raise Refused(403, "Requests from other sites' pages are not taken.")

    # v1

    async def _v1(self) -> Answer:
        if self._request.method not in {"GET", "POST"}:
            raise Refused(405, "API v1 takes GET and POST.")
        raw = v1.decode_parameters(self._request.rel_url.raw_query_string)
        name = self._path.removeprefix(_V1_PATH)
        self._refuse_while_disabled(name, raw)
        user = await self._authenticate(self._header_credentials() or _key_in(raw))
        command = self._find(name)
        data: bytes | None = None
        if self._request.method == "POST":
            content = await self._read(LONGEST_UPLOAD if command.upload else _LONGEST_PARAMETERS)
            if command.upload:
                data = content
            else:
                raw = _merged(raw, content)
        return await self._do(command, raw, data, user)

    # v2

    async def _v2(self) -> Answer:
        if self._request.method not in {"GET", "POST"}:
            raise Refused(405, "API v2 takes POST (and GET) with a JSON object.")
        credentials = self._header_credentials()
        user: User | None = None
        if credentials:
            user = await self._authenticate(credentials)
        request = v2.decode_request(await self._read(LONGEST_UPLOAD * 3 // 2 if user else _LONGEST_UNKNOWN))
        self._refuse_while_disabled(request.command, request.parameters)
        if user is None or request.credentials.apikey:
            user = await self._authenticate(request.credentials)
        command = self._find(request.command)
        if command.v1_only:
            raise Refused(
                422,
                f"{command.name} works in API v1 only: POST the file to /access/{command.path}.",
            )
        return await self._do(command, request.parameters, request.data, user)

    # Both

    def _header_credentials(self) -> Credentials | None:
        header = self._request.headers.getall("Authorization", [])
        if len(header) > 1:
            raise Unauthenticated("There is more than one Authorization header.")
        return parse_basic(header[0]) if header else None

    async def _authenticate(self, credentials: Credentials) -> User:
        user = await self._resources.authenticator.authenticate(credentials, self._client)
        self._caller = f"{user.name} at {self._client}"
        self.authenticated = True
        self._known()
        return user

    def _refuse_while_disabled(self, command: str, raw: Mapping[str, Json]) -> None:
        if api_is_enabled(self._unit):
            return
        parameters = {name.lower(): value for name, value in raw.items()}
        way_back = command.lower() == "set" and str(parameters.get("param", "")).lower() == "enableapi"
        if not way_back:
            raise Refused(404, "Not found: the API is disabled. set?param=enableapi&value=yes enables it.")

    def _find(self, name: str) -> Command:
        command = commands.find(name)
        if command is None or command.name not in dispatch.registry():
            raise Refused(405, "Unknown command.")
        self._command = command
        return command

    async def _read(self, limit: int) -> bytes:
        length = self._request.content_length
        if length is not None and length > limit:
            raise Refused(422, f"The body has {length} bytes; {limit} are taken at most.")
        if self._request.headers.get("Expect", "").lower() == "100-continue":
            # Some clients (curl, .NET) wait for this before they send a body.
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(self._resources.body_seconds):
                content = await self._read_up_to(b"", min(_SMALL_BODY, limit))
                if self.authenticated:
                    content = await self._read_up_to(content, limit)
                elif _SMALL_BODY < len(content) <= limit:
                    async with self._resources.large_bodies:
                        content = await self._read_up_to(content, limit)
        except TimeoutError:
            raise Refused(
                400, f"The body did not arrive within {self._resources.body_seconds:g} s."
            ) from None
        if len(content) > limit:
            raise Refused(422, f"The body has more than {limit} bytes.")
        return content

    async def _read_up_to(self, before: bytes, limit: int) -> bytes:
        """The body until it ends or is longer than the limit."""
        content = bytearray(before)
        while len(content) <= limit and (chunk := await self._request.content.readany()):
            content += chunk
        return bytes(content)

    async def _do(
        self,
        command: Command,
        raw: Mapping[str, Json],
        data: bytes | None,
        user: User,
    ) -> Answer:
        dispatch.refuse_without_permission(user, command)
        if command.upload and not data:
            raise Refused(400 if self._version is Version.V1 else 422, "data: File missing")
        try:
            parameters = requests.read(command, raw)
        except ParameterError as error:
            missing_in_v1 = error.missing and self._version is Version.V1
            raise Refused(400 if missing_in_v1 else 422, str(error)) from None
        shown = redaction.of_parameters(parameters, command)
        self._told = ", ".join(f"{name}={value!r}" for name, value in shown.items())[:_LONGEST_IN_LOG]
        call = Call(command, parameters, user, data, self._client)
        try:
            async with asyncio.timeout(command.seconds):
                return _answer_of(await dispatch.dispatch(call, self._unit))
        except TimeoutError:
            raise Refused(503, f"{command.name} took longer than {command.seconds:g} s.") from None

    def _name(self) -> str:
        return self._command.name if self._command else "a request"

    def _log(self, answer: Answer, seconds: float) -> None:
        """Changes are told with their parameters, secrets masked; refusals with the reason; reads to debug.

        What was refused is not repeated: a secret may stand where none is expected.
        """
        reads = self._command is not None and self._command.access is Access.READ
        level = logging.DEBUG if answer.ok and reads else logging.INFO
        why = " ".join((answer.text or "").split())
        outcome = f"({self._told}) done" if answer.ok else f"refused ({answer.code}): {why}"
        _LOG.log(level, "%s by %s %s in %.0f ms.", self._name(), self._caller, outcome, seconds * 1000)


def _rows(answer: Answer) -> int:
    return sum(len(value) for value in (answer.fields or {}).values() if isinstance(value, list))


def _key_in(raw: dict[str, Json]) -> Credentials:
    key = raw.get("apikey", "")
    return Credentials(apikey=key if isinstance(key, str) else "")


def _merged(raw: dict[str, Json], content: bytes) -> dict[str, Json]:
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise WireError("The body is not name=value&name=value in UTF-8.") from None
    more = v1.decode_parameters(text)
    twice = raw.keys() & more.keys()
    if twice:
        raise WireError(f"The parameter {min(twice)[:40]!r} is given twice.")
    return raw | more


def _answer_of(reply: Reply) -> Answer:
    if isinstance(reply, Data):
        return Answer(fields=reply.fields)
    if isinstance(reply, Binary):
        return Answer(data=reply.content)
    return Answer(text=reply.text)
