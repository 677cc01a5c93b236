"""What the client sends and gets in HTTP: where credentials and parameters of a command go, by version. Pure.

What the bytes mean is `v1` and `v2`; here are the rules of the client around them. `connections` carries it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from loadmaster_ha.loadmaster import v1, v2
from loadmaster_ha.loadmaster.shapes import Access, Command
from loadmaster_ha.loadmaster.unit_credentials import UnitCredentials
from loadmaster_ha.loadmaster.values import Json, Version

_FORM: Final = "application/x-www-form-urlencoded"
_FILE: Final = "application/octet-stream"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What goes over the connection. Nothing of it is for a log: only the command's name is."""

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, whole."""

    status: int
    content_type: str
    """Without parameters, lower case; empty when there is none."""
    content: bytes = field(repr=False)


def build(
    version: Version,
    command: Command,
    parameters: Mapping[str, Json],
    credentials: UnitCredentials,
    data: bytes | None = None,
) -> HttpRequest:
    """The request for a command.

    Raises:
        ValueError: a value cannot be written in a request (half a surrogate pair).
    """
    if version is Version.V2:
        body = v2.encode_request(command, parameters, credentials.on_the_wire(), data)
        return HttpRequest("POST", v2.PATH, {"Content-Type": _JSON}, body)
    return _in_v1(command, parameters, credentials, data)


def _in_v1(
    command: Command, parameters: Mapping[str, Json], credentials: UnitCredentials, data: bytes | None
) -> HttpRequest:
    plain = v1.encode_request(command, parameters, data)
    path, _, query = plain.path.partition("?")
    body = plain.body
    if not command.upload and command.access is not Access.READ and plain.method == "GET":
        # What changes something goes by POST, as Kemp's PowerShell module sends everything: values stay out
        # of URLs, and no layer below repeats it on a lost connection, as HTTP allows for GET.
        body, query = query.encode("ascii"), ""
    target, headers = _sign_in(path, query, credentials)
    if body is None and len(target) > v1.LONGEST_URL:
        body = query.encode("ascii")
        target, headers = _sign_in(path, "", credentials)
    if body is None:
        return HttpRequest("GET", target, headers)
    headers["Content-Type"] = _FILE if command.upload else _FORM
    return HttpRequest("POST", target, headers, body)


def _sign_in(path: str, query: str, credentials: UnitCredentials) -> tuple[str, dict[str, str]]:
    """The target and the headers that say who asks.

    A key is a parameter of the URL in v1 ("RESTful API Interface Description", 2.3.2). Whether the unit would
    take it in the body of a POST is not documented; a file leaves no room for it there in any case.
    """
    headers: dict[str, str] = {}
    if credentials.apikey:
        key = urlencode({"apikey": credentials.apikey})
        query = f"{key}&{query}" if query else key
    else:
        plain = f"{credentials.user}:{credentials.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(plain).decode('ascii')}"
    return (f"{path}?{query}" if query else path), headers
