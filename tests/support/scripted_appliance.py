"""An appliance of Kemp's, as far as its management API is known: state, answers, and its habits.

Written from Kemp's "RESTful API Interface Description", its two API collections, its clients and recorded
answers; nothing of our wire code takes part (`appliance_words` writes the answers). It stands in for what
nobody has here, and so proves nothing about what is documented nowhere: those things are switches (`Habits`).

    async with ScriptedAppliance() as unit:
        client = UnitClient(Endpoint(unit.address, unit.port), Pinned(unit.fingerprint), unit.credentials)

Many of them run in one process: a listening socket each, one certificate for all unless asked otherwise.
`balancer_polls` and `reboot` are what happens to it; two of them with `synchronise_with` are a pair whose
services follow each other, translated to the own address (guide, 1).
"""

import asyncio
import base64
import contextlib
import copy
import itertools
import json
import ssl
import string
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support import appliance_words as words
from tests.support.appliance_services import ServiceTable
from tests.support.appliance_words import Refused, Request, Result
from tests.support.pem import self_signed

from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials

_SERIALS: Final = itertools.count(1_004_711)
_LONGEST_URL: Final = 1024
_SECRET: Final = frozenset(string.ascii_letters + string.digits + r"""!"#$%&()*+,-./:;<=>?[\~]^_@`{|}""")


@dataclass
class Habits:
    """What differs by firmware, or is documented nowhere."""

    firmware: str = "7.2.54.12.22642.RELEASE"
    azure_commands: bool = True
    cloud_commands: bool = True
    shared_secret: bool = True
    """Whether `setlmcommsecret` is there (7.2.54.10, 7.2.59.4)."""
    takes_first_and_second: bool = True
    all_interfaces_word: str = "yes"
    """What HealthCheckAllInterfaces reads back when it is on."""
    standby_refuses: bool = True
    """Whether a standby refuses to have services changed."""
    serial_number: bool = True
    boot_seconds: float = 0.05
    fewest_checks: int = 1
    """How often a new real server is looked at (`listvs`, `showrs`) before it is Up."""
    rate_limit: bool = False
    """More than 30 calls in 3 s end in a dropped connection."""


@dataclass
class Call:
    """One request as it came."""

    version: str
    command: str
    parameters: dict[str, Any]
    """Without credentials; names as sent."""
    data: bytes | None = None


@cache
def _common_pem() -> str:
    return self_signed("loadmaster.test")


@lru_cache(maxsize=16)
def _context(pem: str) -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unit.pem"
        path.write_text(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
    return context


class ScriptedAppliance:
    """One appliance. Its attributes are the truth, for tests to look at and to change by hand.

    Args:
        own_address: the address of its interface, which its services have.
        habits: what differs by firmware.
        own_certificate: a management certificate of its own (as a fresh unit has), instead of the common one.
    """

    def __init__(
        self, own_address: str = "10.0.2.4", habits: Habits | None = None, *, own_certificate: bool = False
    ) -> None:
        self.habits = habits or Habits()
        self.own_address = own_address
        self.serial = next(_SERIALS)
        self.user, self.password, self.keys = "bal", "correct horse 8", {"key-of-the-operator"}
        self.mode, self.mode_in_force, self.state = "single", "single", "Active"
        self.preferred, self.partner, self.check_port, self.all_interfaces = 1, "", 0, False
        self.secret: str | None = None
        self.secret_writes = 0
        self.services = ServiceTable(self)
        self.certificates: dict[str, str] = {}
        self.booted = datetime(2025, 8, 8, 10, 7, 9, tzinfo=UTC)
        self.boots = 0
        self.switched_on = asyncio.Event()
        """Somebody has seen to the machine: it takes no longer to boot."""
        self.active_since = self.booted
        self.calls: list[Call] = []
        """Those that were let in."""
        self.refused_logins = 0
        """Calls that were not (401): so many of them in a row, and an account is locked."""
        self.loses_answer_of: set[str] = set()
        """Commands that are done once more without an answer: the connection ends."""
        self.forgets: set[str] = set()
        """Parameters (lower case) that are taken and not kept."""
        self.forbidden: set[str] = set()
        """Commands for which the user lacks the permission."""
        self.instead: Result | None = None
        """Status, content type and body of whatever is asked: there is no API, or it is broken."""
        self.hangs = False
        """Takes requests and never answers."""
        self.before: Callable[[Call], None] | None = None
        """Called with each request before it is done; may raise `Refused`."""
        self.peer: ScriptedAppliance | None = None
        self._recent: deque[float] = deque(maxlen=31)
        self._pem = self_signed("loadmaster.test") if own_certificate else _common_pem()
        self._server: asyncio.Server | None = None
        self._http = web.Server(self._serve, access_log=None)
        self._up = True
        self._tasks: set[asyncio.Task[None]] = set()
        self.address, self.port = "127.0.0.1", 0

    # From outside

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its management certificate."""
        return x509.load_pem_x509_certificate(self._pem.encode()).fingerprint(hashes.SHA256()).hex()

    @property
    def credentials(self) -> UnitCredentials:
        """User and password of somebody who may do everything."""
        return UnitCredentials(user=self.user, password=self.password)

    @property
    def hastatus(self) -> str:
        """The word."""
        return "HA not configured" if self.mode_in_force == "single" else self.state

    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        """What was asked for but reads, in order."""
        reads = ("get", "list", "show", "read")
        return [(each.command, each.parameters) for each in self.calls if not each.command.startswith(reads)]

    def is_in(self, state: str) -> None:
        """Be Active, Standby or Passive from now on."""
        if state == "Active" != self.state:
            self.active_since = self._now()
        self.state = state

    def balancer_polls(self) -> None:
        """Probed for the first time: Passive ends."""
        if self.mode_in_force != "single" and self.state == "Passive":
            self.is_in("Standby" if self.peer is not None and self.peer.serves else "Active")

    @property
    def serves(self) -> bool:
        """Whether it is the active one."""
        return self._up and (self.mode_in_force == "single" or self.state == "Active")

    def synchronise_with(self, other: "ScriptedAppliance") -> None:
        """Be a pair: services that are changed on one come to the other."""
        self.peer, other.peer = other, self

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> Self:
        """Listen; `port` 0: any."""
        self.address, self.port = address, port
        await self._listen()
        return self

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._http, self.address, self.port, ssl=_context(self._pem))
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close."""
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            self._server.close()
            await self._http.shutdown(0.1)  # 0: for ever
            self._server = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def reboot(self) -> None:
        """Go down, and come back in the mode that is set; nobody has probed it then."""
        self._up = False
        if self._server is not None:
            self._server.close()
        task = asyncio.get_running_loop().create_task(self._come_back())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _come_back(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.habits.boot_seconds):
                await self.switched_on.wait()
        self.boots += 1
        self.mode_in_force = self.mode
        self.state = "Active" if self.mode == "single" else "Passive"
        await self._listen()
        self._up = True

    def _now(self) -> datetime:
        return self.booted + timedelta(minutes=7 * self.boots)

    # HTTP

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        dropped = not self._up or self._too_many() or len(request.raw_path) > _LONGEST_URL
        if self.hangs:
            await asyncio.Event().wait()
        result = None if dropped else self.instead or await self._answered(request)
        if result is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        status, content_type, body = result
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    def _too_many(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._recent.append(now)
        return self.habits.rate_limit and len(self._recent) == 31 and now - self._recent[0] < 3

    async def _answered(self, request: web.BaseRequest) -> Result | None:
        """The answer; None: the connection ends without one."""
        body = await request.read()
        if request.path.startswith("/accessv2") and self._has_v2:
            try:
                asked = json.loads(body)
            except ValueError:
                return words.refusal("v2", 400, "Invalid JSON")
            if not self._may_v2(asked, request):
                self.refused_logins += 1
                return words.refusal("v2", 401, "Unauthorized")
            data = base64.b64decode(asked["data"]) if "data" in asked else None
            given = {name: value for name, value in asked.items() if name not in _CREDENTIALS}
            return self._done(Call("v2", str(asked.get("cmd", "")).replace("/", "."), given, data))
        if not request.path.startswith("/access/"):
            return 404, "text/html", b"<html><body>404 Not Found</body></html>"
        given = dict(parse_qsl(request.query_string, keep_blank_values=True))
        command = unquote(request.path.removeprefix("/access/")).replace("/", ".")
        if command in _UPLOADS:
            call = Call("v1", command, given, body)
        else:
            form = dict(parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True))
            call = Call("v1", command, given | form)
        if not (call.parameters.pop("apikey", None) in self.keys or self._basic(request)):
            self.refused_logins += 1
            return 401, "text/html", b"<html><body>401 Unauthorized</body></html>"
        return self._done(call)

    @property
    def _has_v2(self) -> bool:
        return [int(each) for each in self.habits.firmware.split(".")[:3]] >= [7, 2, 52]

    def _may_v2(self, asked: Mapping[str, Any], request: web.BaseRequest) -> bool:
        if "apikey" in asked:
            return asked["apikey"] in self.keys
        if "apiuser" in asked:
            return (asked["apiuser"], asked.get("apipass")) == (self.user, self.password)
        return self._basic(request)

    def _basic(self, request: web.BaseRequest) -> bool:
        expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return request.headers.get("Authorization", "") == f"Basic {expected}"

    # Commands

    def _done(self, call: Call) -> Result | None:
        self.calls.append(call)
        command = next((each for each in self.commands if each.lower() == call.command.lower()), "")
        try:
            self._look_at(call, command)
            given = {name.lower(): value for name, value in call.parameters.items()}
            result = self.commands[command](Request(call.version, command, given, call.data))
        except Refused as refused:
            code = 400 if refused.missing and call.version == "v1" else refused.code
            return words.refusal(call.version, code, str(refused))
        if command in _SYNCHRONISED and self.peer is not None:
            self.peer.services.take_over(self.services, self.own_address)
            self.peer.certificates = copy.copy(self.certificates)
        if command in self.loses_answer_of or command in {"reboot", "shutdown"}:
            self.loses_answer_of.discard(command)
            return None
        return result

    def _look_at(self, call: Call, command: str) -> None:
        if self.before is not None:
            self.before(call)
        if not command:
            raise Refused("Unknown command", 405)
        if command in self.forbidden:
            raise Refused("Permission denied", 403)
        if command in _SYNCHRONISED and self.habits.standby_refuses and self.hastatus == "Standby":
            raise Refused("This unit is on standby")

    @property
    def commands(self) -> Mapping[str, Callable[[Request], Result]]:
        """What it has, by name."""
        found: dict[str, Callable[[Request], Result]] = {
            "get": self._get,
            "listapi": self._listapi,
            "reboot": self._reboot,
            "addcert": self._addcert,
            "delcert": self._delcert,
            "listcert": self._listcert,
            "readcert": self._readcert,
            **self.services.commands,
        }
        if self.habits.azure_commands:
            found |= {"azurehamode": self._hamode, "azurehaparam": self._haparam}
            found |= {"getazurehaparams": self._haparams}
        if self.habits.cloud_commands:
            found |= {"setcloudhamode": self._hamode, "setcloudhaparam": self._haparam}
            found |= {"getcloudhaparams": self._haparams, "getcloudhaparameters": self._haparams}
        if self.habits.shared_secret:
            found["setlmcommsecret"] = self._secret
        return found

    def _get(self, request: Request) -> Result:
        name = request.needs("param")
        told: dict[str, Any] = {
            "version": self.habits.firmware,
            "boottime": _date(self._now()),
            "time": _date(self._now() + timedelta(minutes=3)),
            "activetime": _date(self.active_since) if self.serves else "0",
            "hastatus": self.hastatus,
            "hamode": 0 if self.mode == "single" else 3,
        }
        if self.habits.serial_number:
            told["serialnumber"] = self.serial
        if name.lower() not in told:
            raise Refused(f"Unknown parameter {name}")
        return words.record(request.version, {name: told[name.lower()]})

    def _listapi(self, request: Request) -> Result:
        names = sorted(self.commands)
        listed: Any = {"cmd": names} if request.version == "v1" else names
        return words.record(request.version, {"commands": listed, "version": self.habits.firmware})

    def _reboot(self, request: Request) -> Result:
        self.reboot()
        return words.sentence(request.version, "Rebooting")

    def _hamode(self, request: Request) -> Result:
        word = request.needs("hamode").lower()
        taken = {"master": "master", "slave": "slave", "single": "single"}
        if self.habits.takes_first_and_second:
            taken |= {"first": "master", "second": "slave"}
        if word not in taken:
            raise Refused(f"hamode: {word} invalid")
        if "hamode" not in self.forgets:
            self.mode = taken[word]
        return words.sentence(request.version, "Command completed ok")

    def _haparam(self, request: Request) -> Result:
        given = {name: value for name, value in request.given.items() if name not in self.forgets}
        if "hcp" in given:
            self.check_port = request.number("hcp", 1, 65535)
        self.partner = str(given.get("partner", self.partner))
        self.preferred = int(words.truth(given.get("haprefered", self.preferred)))
        self.all_interfaces = words.truth(given.get("hcai", self.all_interfaces))
        return words.sentence(request.version, "Command completed ok")

    def _haparams(self, request: Request) -> Result:
        fields = {
            "HaMode": self.mode,
            "HaPrefered": None if self.mode == "single" else str(self.preferred),
            "Partner": self.partner or "unset",
            "Port": str(self.check_port) if self.check_port else "unset",
            "HealthCheckAllInterfaces": self.habits.all_interfaces_word if self.all_interfaces else "unset",
        }
        return words.record(request.version, fields, "AzureHA")

    def _secret(self, request: Request) -> Result:
        secret = request.needs("secret")
        if not (8 <= len(secret) <= 127 and set(secret) <= _SECRET):
            raise Refused("secret: invalid")
        self.secret = secret
        self.secret_writes += 1
        return words.sentence(request.version, "Command completed ok")

    def _addcert(self, request: Request) -> Result:
        name, pem = request.needs("cert"), (request.data or b"").decode("ascii", "replace")
        if "-----BEGIN CERTIFICATE-----" not in pem or "PRIVATE KEY-----" not in pem:
            raise Refused("Invalid certificate file")
        replaces = words.truth(request.given.get("replace", False))
        if (name in self.certificates) is not replaces:
            raise Refused(f"Certificate {name} {'does not exist' if replaces else 'already exists'}")
        if "cert" not in self.forgets:
            self.certificates[name] = pem
        return words.sentence(request.version, "Certificate successfully installed")

    def _delcert(self, request: Request) -> Result:
        name = request.needs("cert")
        if name not in self.certificates:
            raise Refused("Certificate not found")
        if any(name in str(each["CertFile"] or "").split() for each in self.services.rows):
            raise Refused("Certificate in use")
        del self.certificates[name]
        return words.sentence(request.version, "Command completed ok")

    def _listcert(self, request: Request) -> Result:
        rows = [{"name": name, "type": "ECC", "modulus": ""} for name in sorted(self.certificates)]
        return words.record(request.version, {"cert": rows})

    def _readcert(self, request: Request) -> Result:
        name = request.needs("cert")
        if name not in self.certificates:
            raise Refused("Certificate not found")
        return words.record(
            request.version, {"certificate": self.certificates[name].split("-----BEGIN PRI")[0]}
        )


def _date(moment: datetime) -> str:
    return moment.strftime("%a, %d %b %y %H:%M:%S UTC")


_CREDENTIALS: Final = frozenset({"cmd", "apikey", "apiuser", "apipass", "data"})
_UPLOADS: Final = frozenset({"addcert"})
_SYNCHRONISED: Final = frozenset(
    {"addvs", "modvs", "delvs", "addrs", "modrs", "delrs", "enablers", "disablers", "addcert", "delcert"}
)
