"""API v1: `GET /access/<command>?name=value`, answered in XML (ISO-8859-1); both directions.

"RESTful API Interface Description", 2.1, 2.6, 3.19. `<Success>` holds either a text or one `<Data>`; a
refusal has an `<Error>` and no `<Success>`. XML is parsed without DTD and entities, and limited in size and
depth.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

from loadmaster_ha.loadmaster import values
from loadmaster_ha.loadmaster.answers import (
    MAXIMUM_ANSWER,
    MAXIMUM_DEPTH,
    Answer,
    Body,
    WireError,
    is_list,
    kind_for,
    stated_code,
)
from loadmaster_ha.loadmaster.shapes import Binary, Command, Data, Field, Record, Reply, Rows, Text, Texts
from loadmaster_ha.loadmaster.values import Json, Version

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CONTENT_TYPE: Final = "text/xml"
ENCODING: Final = "iso-8859-1"
LONGEST_URL: Final = 1024
"""Longer requests go by POST (2.1, 3.7.1.7)."""
MOST_PARAMETERS: Final = 256
_LEAKED: Final = frozenset({"auth"})
"""Kemp's Python client (0.7.43) sends its user and password by this name when it saves an interface or a
site of a GEO name. No command has such a parameter: it is dropped before anything can show it."""
_HEAD: Final = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends. Parameters are in the path for GET, in the body for POST of no file."""

    method: str
    path: str
    """With the query."""
    body: bytes | None = None


# Requests


def encode_request(command: Command, parameters: Mapping[str, Json], data: bytes | None = None) -> Request:
    """The request for a command. Credentials do not belong to it: v1 has them in a header."""
    pairs = [(name, _wire(command, name, value)) for name, value in parameters.items()]
    query = urlencode(pairs)
    path = f"/access/{command.path}"
    target = f"{path}?{query}" if query else path
    if command.upload:
        return Request("POST", target, data or b"")
    if len(target) > LONGEST_URL:
        return Request("POST", path, query.encode("ascii"))
    return Request("GET", target)


def _wire(command: Command, name: str, value: Json) -> str:
    parameter = command.by_name.get(name.lower())
    kind = parameter.kind if parameter else kind_for(name, value)
    return str(values.encode(kind, value, Version.V1))


def decode_parameters(text: str) -> dict[str, Json]:
    """The parameters of a query or of a body of `name=value&name=value`.

    Raises:
        WireError: not percent-encoded UTF-8, a parameter is given twice, or there are too many.
    """
    if len(text) > MAXIMUM_ANSWER:
        raise WireError("The parameters are too long.")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise WireError("The parameters are not percent-encoded UTF-8.") from None
    except ValueError:
        raise WireError(f"There are more than {MOST_PARAMETERS} parameters.") from None
    parameters: dict[str, Json] = {}
    for name, value in pairs:
        if name in _LEAKED:
            continue
        if name in parameters:
            raise WireError(f"The parameter {name[:40]!r} is given twice.")
        parameters[name] = value
    return parameters


# Writing answers


def encode_answer(shape: Reply, answer: Answer) -> Body:
    """The answer as the server sends it."""
    if answer.data is not None:
        content_type = shape.content_type if isinstance(shape, Binary) else "application/octet-stream"
        return Body(answer.code, answer.data, content_type)
    if not answer.ok:
        inner = f"<Error>{_text(answer.text or '')}</Error>"
    elif answer.fields is None:
        sentence = _text(answer.text or "")
        inner = f"<Success>{f'<Data>{sentence}</Data>' if _in_data(shape) else sentence}</Success>"
    else:
        record = shape.record if isinstance(shape, Data) else Record(open=True)
        content = "".join(_elements(record, answer.fields))
        if isinstance(shape, Data) and shape.element:
            content = f"<{shape.element}>\n{content}</{shape.element}>\n"
        inner = f"<Success><Data>{content}</Data></Success>"
    word = "ok" if answer.ok else "fail"
    document = f'{_HEAD}<Response stat="{answer.code}" code="{word}">\n{inner}\n</Response>\n'
    return Body(answer.code, document.encode(ENCODING, "xmlcharrefreplace"), CONTENT_TYPE)


def _in_data(shape: Reply) -> bool:
    return isinstance(shape, Text) and bool(shape.field)


def _text(text: str) -> str:
    if text.isalnum():
        return text
    # A bare carriage return would come back as a line feed (XML 1.0, 2.11).
    return escape(values.printable(text), {"\r": "&#13;"})


def _elements(record: Record, fields: Mapping[str, Json]) -> Iterator[str]:
    members = record.by_name
    unknown = [name for name in fields if name not in members]
    if unknown and not record.open:
        raise WireError(f"The record has no {', '.join(unknown)}.")
    for name in (*members, *unknown):
        value = fields.get(name)
        if value is not None:
            yield _element(members.get(name), name, value)


def _element(member: Field | Texts | Rows | None, name: str, value: Json) -> str:
    if isinstance(member, Field):
        return f"<{name}>{_text(str(values.encode(member.kind, value, Version.V1)))}</{name}>\n"
    if not _NAME.fullmatch(name):
        raise WireError(f"{name!r} cannot be the name of an element.")
    if isinstance(member, Texts):
        rows = value if isinstance(value, list) else [value]
        inner = "".join(f"<{member.each}>{_text(str(each))}</{member.each}>\n" for each in rows)
        return f"<{name}>\n{inner}</{name}>\n"
    rows = value if isinstance(value, list) else [value]
    if isinstance(member, Rows) or (rows and all(isinstance(each, dict) for each in rows)):
        if isinstance(member, Rows) and member.named_by:
            return "".join(_named_row(member, each) for each in rows)
        record = member.record if isinstance(member, Rows) else Record(open=True)
        return "".join(_row(name, record, each) for each in rows)
    return f"<{name}>{_text(str(values.encode(kind_for(name, value), value, Version.V1)))}</{name}>\n"


def _row(name: str, record: Record, fields: Json) -> str:
    if not isinstance(fields, dict):
        raise WireError(f"A row of {name} is no record.")
    return f"<{name}>\n{''.join(_elements(record, fields))}</{name}>\n"


def _named_row(member: Rows, fields: Json) -> str:
    rest = dict(fields) if isinstance(fields, dict) else {}
    name = f"{member.prefix}{rest.pop(member.named_by, '')}"
    if not _NAME.fullmatch(name):
        raise WireError(f"{name!r} cannot be the name of an element.")
    return _row(name, member.record, rest)


# Reading answers


def decode_answer(shape: Reply, status: int, content_type: str, content: bytes) -> Answer:
    """What a unit answered.

    Raises:
        WireError: it is not of this API (a login page, a broken document, one with a DTD).
    """
    if "xml" not in content_type.lower():
        if isinstance(shape, Binary) and status == 200:
            return Answer(data=content)
        raise WireError(f"The answer ({status}) is {content_type or 'of no stated type'} and not XML.")
    root = _parse(content)
    if root.tag not in {"Response", "response"}:
        raise WireError(f"The answer is a <{root.tag[:40]}> and not a <Response>.")
    code = _code(root, status)
    if code != 200:
        error = root.find("Error")
        return Answer(code, text=(_content(error) if error is not None else "") or f"status {code}")
    success = root.find("Success")
    if success is None:
        message = root.find("message")
        return Answer(code, text=_content(message) if message is not None else "")
    data = success.find("Data")
    if data is None or _in_data(shape):
        return Answer(code, text=_content(success if data is None else data))
    if isinstance(shape, Data) and shape.element:
        data = next((each for each in data if each.tag == shape.element), data)
    return Answer(code, fields=_fields(shape.record if isinstance(shape, Data) else Record(open=True), data))


def _parse(content: bytes) -> "Element":
    if len(content) > MAXIMUM_ANSWER:
        raise WireError(f"The answer has {len(content)} bytes; {MAXIMUM_ANSWER} are read at most.")
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except (SyntaxError, ValueError, LookupError, RecursionError) as error:
        raise WireError(f"The answer is no XML that is read here: {type(error).__name__}.") from None
    level: list[Element] = [root]
    for _ in range(MAXIMUM_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return root
    raise WireError(f"The answer is nested more than {MAXIMUM_DEPTH} deep.")


def _code(root: "Element", status: int) -> int:
    words = {root.get("code", "").lower(), (root.findtext("status") or "").strip().lower()}
    failed = "fail" in words or (root.find("Error") is not None and root.find("Success") is None)
    return stated_code(root.get("stat"), status, failed=failed)


def _content(element: "Element") -> str:
    return (element.text or "").strip()


def _fields(record: Record, element: "Element") -> dict[str, Json]:
    members = record.by_name
    fields: dict[str, Json] = {name: [] for name, member in members.items() if is_list(member)}
    for child in element:
        member = members.get(child.tag)
        if isinstance(member, Texts):
            fields[child.tag] = [_content(each) for each in child]
        elif isinstance(member, Rows):
            row = _fields(member.record, child)
            if member.many is None:
                fields[child.tag] = row
            else:
                _append(fields, child.tag, row)
        elif named := _named(members, child):
            key = values.decode(_kind_of(named.record, named.named_by), child.tag.removeprefix(named.prefix))
            _append(fields, named.name, {named.named_by: key, **_fields(named.record, child)})
        elif len(child):
            _add(fields, child.tag, _fields(Record(open=True), child))
        else:
            kind = member.kind if member else kind_for(child.tag, None)
            _add(fields, child.tag, values.decode(kind, _content(child)))
    return fields


def _named(members: Mapping[str, Field | Texts | Rows], element: "Element") -> Rows | None:
    """The rows that an element belongs to which is named by one of its fields."""
    if element.tag in members or not len(element):
        return None
    named = (each for each in members.values() if isinstance(each, Rows) and each.named_by)
    return next((each for each in named if element.tag.startswith(each.prefix)), None)


def _kind_of(record: Record, name: str) -> values.Kind:
    member = record.by_name.get(name)
    return member.kind if isinstance(member, Field) else kind_for(name, None)


def _append(fields: dict[str, Json], name: str, row: Json) -> None:
    rows = fields.setdefault(name, [])
    if isinstance(rows, list):
        rows.append(row)


def _add(fields: dict[str, Json], name: str, value: Json) -> None:
    """Keep all values of a name that no record knows to be repeated."""
    if name not in fields:
        fields[name] = value
        return
    before = fields[name]
    fields[name] = [*before, value] if isinstance(before, list) else [before, value]
