"""API v2: `POST /accessv2` with a JSON object, answered in flat JSON; both directions.

"RESTful API Interface Description", 2.2, and the v2 collection: only `cmd` is mandatory, credentials are in
the body, files are base64 in `data`, the fields of an answer stand beside `code` and `status`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from loadmaster_ha.loadmaster import values
from loadmaster_ha.loadmaster.answers import (
    DONE,
    MAXIMUM_ANSWER,
    MAXIMUM_DEPTH,
    Answer,
    Body,
    WireError,
    is_list,
    kind_for,
    stated_code,
)
from loadmaster_ha.loadmaster.requests import Credentials
from loadmaster_ha.loadmaster.shapes import (
    Binary,
    Command,
    Data,
    Field,
    Many,
    Record,
    Reply,
    Rows,
    Text,
    Texts,
)
from loadmaster_ha.loadmaster.values import Json, Version

CONTENT_TYPE: Final = "text/json"
PATH: Final = "/accessv2"
_NOT_PARAMETERS: Final = frozenset({"cmd", "apikey", "apiuser", "apipass", "data"})
_NOT_FIELDS: Final = frozenset({"code", "status", "message"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a server gets."""

    command: str
    parameters: Mapping[str, Json]
    credentials: Credentials
    data: bytes | None = None


# Requests


def encode_request(
    command: Command,
    parameters: Mapping[str, Json],
    credentials: Credentials | None = None,
    data: bytes | None = None,
) -> bytes:
    """The body of a request."""
    body: dict[str, Json] = {"cmd": command.name}
    if credentials and credentials.apikey:
        body["apikey"] = credentials.apikey
    elif credentials and credentials.user:
        body |= {"apiuser": credentials.user, "apipass": credentials.password}
    for name, value in parameters.items():
        parameter = command.by_name.get(name.lower())
        kind = parameter.kind if parameter else kind_for(name, value)
        body[name] = values.encode(kind, value, Version.V2)
    if data is not None:
        body["data"] = base64.b64encode(data).decode("ascii")
    return json.dumps(body).encode("ascii")


def decode_request(content: bytes) -> Request:
    """What a client asks.

    Raises:
        WireError: not a JSON object with a `cmd`, or with a name given twice.
    """
    body = _parse(content)
    command = body.get("cmd")
    if not isinstance(command, str) or not command:
        raise WireError("cmd: String Value missing")
    credentials = Credentials(
        _credential(body, "apiuser"),
        _credential(body, "apipass"),
        _credential(body, "apikey"),
    )
    parameters = {name: value for name, value in body.items() if name not in _NOT_PARAMETERS}
    return Request(command, parameters, credentials, _base64(body["data"]) if "data" in body else None)


def _credential(body: Mapping[str, Json], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise WireError(f"{name}: is not a text")
    return value


def _base64(value: Json) -> bytes:
    if not isinstance(value, str):
        raise WireError("data: is not a text")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise WireError("data: is not base64") from None


def _parse(content: bytes) -> dict[str, Json]:
    if len(content) > MAXIMUM_ANSWER:
        raise WireError(f"There are {len(content)} bytes; {MAXIMUM_ANSWER} are read at most.")
    try:
        body: Json = json.loads(content.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_refuse)
    except WireError:
        raise
    except (ValueError, RecursionError):
        raise WireError("It is not JSON.") from None
    if not isinstance(body, dict):
        raise WireError("It is not a JSON object.")
    if _deeper(body, MAXIMUM_DEPTH):
        raise WireError(f"It is nested more than {MAXIMUM_DEPTH} deep.")
    return body


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WireError("A name is given twice.")
    return found


def _refuse(word: str) -> NoReturn:
    raise WireError(f"{word} is not JSON.")


def _deeper(value: Json, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(child, levels - 1) for child in children)


# Writing answers


def encode_answer(shape: Reply, answer: Answer) -> Body:
    """The answer as the server sends it."""
    body: dict[str, Json] = {"code": answer.code}
    if answer.data is not None:
        body["data"] = base64.b64encode(answer.data).decode("ascii")
    elif answer.fields is not None:
        body |= _object(shape.record if isinstance(shape, Data) else Record(open=True), answer.fields)
    else:
        name = shape.field if isinstance(shape, Text) and shape.field and answer.ok else "message"
        body[name] = values.printable(answer.text if answer.text is not None else DONE)
    body["status"] = "ok" if answer.ok else "fail"
    return Body(answer.code, json.dumps(body, ensure_ascii=False).encode("utf-8"), CONTENT_TYPE)


def _object(record: Record, fields: Mapping[str, Json]) -> dict[str, Json]:
    members = record.by_name
    unknown = [name for name in fields if name not in members]
    if unknown and not record.open:
        raise WireError(f"The record has no {', '.join(unknown)}.")
    return {
        name: _wire(members.get(name), name, value)
        for name in (*members, *unknown)
        if (value := fields.get(name)) is not None
    }


def _wire(member: Field | Texts | Rows | None, name: str, value: Json) -> Json:
    if isinstance(member, Field):
        return values.encode(member.kind, value, Version.V2)
    if isinstance(member, Texts):
        return [str(each) for each in value] if isinstance(value, list) else [str(value)]
    rows = value if isinstance(value, list) else [value]
    if isinstance(member, Rows) or (rows and all(isinstance(each, dict) for each in rows)):
        record = member.record if isinstance(member, Rows) else Record(open=True)
        objects: list[Json] = [_object(record, each) for each in rows if isinstance(each, dict)]
        bare = len(objects) == 1 and (not isinstance(member, Rows) or member.many is not Many.ARRAY)
        return objects[0] if bare else objects
    return values.encode(kind_for(name, value), value, Version.V2)


# Reading answers


def decode_answer(shape: Reply, status: int, content_type: str, content: bytes) -> Answer:
    """What a unit answered.

    Raises:
        WireError: it is not of this API.
    """
    if "json" not in content_type.lower():
        raise WireError(f"The answer ({status}) is {content_type or 'of no stated type'} and not JSON.")
    body = _parse(content)
    code = stated_code(body.get("code"), status, failed=str(body.get("status", "")).lower() == "fail")
    if code != 200:
        return Answer(code, text=str(body.get("message", "")).strip() or f"status {code}")
    if isinstance(shape, Binary) and "data" in body:
        return Answer(code, data=_base64(body["data"]))
    rest = {name: value for name, value in body.items() if name not in _NOT_FIELDS}
    if isinstance(shape, Text) and shape.field in rest:
        return Answer(code, text=str(rest[shape.field]).strip())
    if not isinstance(shape, Data) and not rest:
        return Answer(code, text=str(body.get("message", "")).strip())
    return Answer(code, fields=_fields(shape.record if isinstance(shape, Data) else Record(open=True), rest))


def _fields(record: Record, body: Mapping[str, Json]) -> dict[str, Json]:
    members = record.by_name
    lists: dict[str, Json] = {name: [] for name, member in members.items() if is_list(member)}
    return lists | {name: _canonical(members.get(name), name, value) for name, value in body.items()}


def _canonical(member: Field | Texts | Rows | None, name: str, value: Json) -> Json:
    rows = value if isinstance(value, list) else [value]
    if isinstance(member, Texts):
        return [str(each) for each in rows]
    if isinstance(member, Rows):
        objects: list[Json] = [_fields(member.record, each) for each in rows if isinstance(each, dict)]
        return objects if member.many is not None else (objects[0] if objects else None)
    if member is None and any(isinstance(each, dict) for each in rows):
        found: list[Json] = [_fields(Record(open=True), each) for each in rows if isinstance(each, dict)]
        return found if isinstance(value, list) else found[0]
    kind = member.kind if member else kind_for(name, None)
    return values.decode(kind, value)
