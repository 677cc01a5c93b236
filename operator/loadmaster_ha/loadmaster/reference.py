"""The reference of the management API for people, written from the catalogue (docs/reference)."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from loadmaster_ha.loadmaster import commands, parameters
from loadmaster_ha.loadmaster.parameters import UnitParameter
from loadmaster_ha.loadmaster.shapes import (
    Access,
    Binary,
    Command,
    Data,
    Field,
    Many,
    Parameter,
    Permission,
    Record,
    Rows,
    Texts,
)
from loadmaster_ha.loadmaster.values import Kind

_KINDS: Final[Mapping[Kind, tuple[str, str, str]]] = MappingProxyType(
    {
        Kind.TEXT: ("text", "text", "text"),
        Kind.SECRET: ("secret", "text, never in an answer", "text, never in an answer"),
        Kind.ADDRESS: ("address", "`10.0.2.4`", '`"10.0.2.4"`'),
        Kind.NUMBER: ("number", "`80`", "`80`"),
        Kind.DIGITS: ("digits", "`80`", '`"80"`'),
        Kind.SWITCH: ("switch", "`yes`, `no`", "`true`, `false`"),
        Kind.FLAG: ("flag", "`Y`, `N`", "`true`, `false`"),
        Kind.LETTER: ("letter", "`Y`, `N`", '`"Y"`, `"N"`'),
        Kind.BIT: ("bit", "`1`, `0`", "`1`, `0`"),
        Kind.WORDS: ("words", "separated by spaces", "the same text"),
        Kind.ADDRESSES: ("addresses", "separated by commas", "array"),
        Kind.ANY: ("any", "as the parameter named by `param`", "the same"),
    }
)
_ACCESS: Final = MappingProxyType(
    {
        Access.READ: "Reads.",
        Access.LOCAL: "Local: a standby unit takes it too.",
        Access.SYNCHRONISED: "Synchronised: a standby unit refuses it.",
    }
)
_HEAD: Final = """\
# The management API of a node

<!-- Generated from operator/loadmaster_ha/loadmaster/ by
     `python -m loadmaster_ha.cli.reference`; do not edit. -->

A node agent answers, on port 8443, a part of the management API of a LoadMaster, in both of its versions.
Tools that speak to an appliance (Kemp's Python client, PowerShell module, Terraform providers) speak to a
node too, as far as this page goes; `listapi` tells a program the same.

"""
_FORMS: Final = (
    ("", "API v1", "API v2"),
    (
        "Request",
        "`GET /access/addvs?vs=10.0.2.4&port=443&prot=tcp`, or POST with the same text as the body",
        '`POST /accessv2` with `{"cmd": "addvs", "vs": "10.0.2.4", "port": "443", "prot": "tcp"}`',
    ),
    ("Sub-commands", "`/access/logging/ping`", '`"cmd": "logging.ping"`'),
    (
        "Credentials",
        "Basic header, or `apikey=` in the query",
        "Basic header, or `apikey`, or `apiuser` and `apipass` in the body; `apikey` wins",
    ),
    ("File to the unit", "POST; the file is the body, parameters stay in the query", "base64 in `data`"),
    ("File from the unit", "the body", "base64 in `data`"),
    (
        "Answer",
        'XML, ISO-8859-1: `<Response stat="200" code="ok"><Success>..`',
        'flat JSON: `{"code": 200, .., "status": "ok"}`',
    ),
    (
        "Refusal",
        '`<Response stat="422" code="fail"><Error>why</Error></Response>`',
        '`{"code": 422, "message": "why", "status": "fail"}`',
    ),
)
_STATUSES: Final = (
    ("Status", "Meaning"),
    ("200", "done"),
    ("400", "the request is malformed, or (v1) a mandatory parameter is missing"),
    ("401", "credentials are missing or wrong, or there were too many wrong ones before"),
    ("403", "the user lacks the permission"),
    (
        "404",
        "another path, or the API is disabled (`set?param=enableapi&value=yes` enables it)",
    ),
    ("405", "unknown command, or a method other than GET and POST"),
    ("422", "a value, the state of the unit, (v2) a missing parameter; the text says which and why"),
    ("503", "overloaded, out of time, or the settings cannot be written: nothing was changed"),
)
_RULES: Final = """
Limits: 30 calls in 3 seconds from one client (one more and the connection ends without an answer, as on the
appliance), files of 32 MiB, 60 s for a body. After five wrong passwords from one address for one user each
further try has to wait, from 5 s to 5 minutes.

On a **standby** unit, reads and local administration work. What is synchronised is refused with 422 and
`unit is standby, configure the active unit ADDRESS`. Active, unconnected and single units take everything.

Where a node differs from an appliance on purpose: the API is enabled at the first start, since there is no
web interface to enable it in; of API keys only digests are kept, so a key is shown whole once, by the
`addapikey` that made it, and `listapikeys` shows fingerprints; the calls of each client are counted on their
own, so that one cannot keep the others out; what an appliance has and a node has not is refused with the
reason and never quietly accepted.

Names of commands and parameters are the same in upper and lower case. Unknown parameters are ignored.

## How values are written

"""
_BETWEEN: Final = """
What is not set is missing, empty, or the word `unset`. Requests may write any yes-or-no as `Y`, `y`, `1`,
`yes` or `true`; an empty value (or `unset`) takes a setting away.

## Parameters of `get`, `set` and `getall`

| Name | Kind | Stays on the unit | Default | Meaning |
| --- | --- | --- | --- | --- |
"""


def reference() -> str:
    """The page."""
    parts = [
        _HEAD,
        _table(_FORMS),
        "\nThe HTTP status is the same number. Go by it and never by the text.\n\n",
        _table(_STATUSES),
        _RULES,
        _table((("Kind", "v1", "v2"), *_KINDS.values())),
        _BETWEEN,
        *(_unit_parameter(each) for each in parameters.PARAMETERS.values()),
    ]
    for title, subject in commands.SUBJECTS.items():
        parts.append(f"\n## {title}\n")
        parts += [_command(command, subject[:index]) for index, command in enumerate(subject)]
    return "".join(parts)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = ["| " + " | ".join(row) + " |\n" for row in rows]
    return head + "|" + " --- |" * len(rows[0]) + "\n" + "".join(rest)


def _unit_parameter(each: UnitParameter) -> str:
    meaning = each.documentation
    if each.read_only:
        meaning += f" Cannot be changed: {each.read_only}."
    local = "yes" if each.local else ""
    return f"| `{each.name}` | {_KINDS[each.kind][0]} | {local} | {_default(each)} | {_cell(meaning)} |\n"


def _default(each: UnitParameter) -> str:
    if isinstance(each.default, bool):
        return "yes" if each.default else "no"
    return "" if each.default is None else str(each.default)


def _command(command: Command, before: Sequence[Command]) -> str:
    return (
        f"\n### `{command.name}`\n\n{_cell(command.documentation)} {_ACCESS[command.access]}"
        f"{_permissions(command)}{_versions(command)}\n"
        f"{_parameters(command, before)}{_reply(command, before)}"
    )


def _permissions(command: Command) -> str:
    if not command.permissions:
        return ""
    words = sorted(f"`{each}`" for each in command.permissions)
    if command.root_suffices and Permission.ALL not in command.permissions:
        words.append(f"`{Permission.ALL}`")
    return f" Permission: {' or '.join(words)}."


def _versions(command: Command) -> str:
    if command.v1_only:
        return " API v1 only, with the file as the body."
    return " Takes a file." if command.upload else ""


def _parameters(command: Command, before: Sequence[Command]) -> str:
    shown = command.parameters
    same = next((each for each in before if len(set(each.parameters) & set(shown)) > 9), None)
    text = ""
    if same is not None:
        shown = tuple(each for each in shown if each not in same.parameters)
        text = f"\nParameters: those of `{same.name}`" + (", and\n" if shown else ".\n")
    if shown:
        rows = "".join(_parameter(each) for each in shown)
        text += f"\n| Parameter | Kind | Meaning |\n| --- | --- | --- |\n{rows}"
    return text


def _parameter(parameter: Parameter) -> str:
    kind = _KINDS[parameter.kind][0]
    mandatory = "**mandatory** " if parameter.required else ""
    return (
        f"| `{parameter.name}` | {kind} | {mandatory}{_cell(parameter.documentation)}{_bounds(parameter)} |\n"
    )


def _bounds(parameter: Parameter) -> str:
    if parameter.choices:
        return " One of " + ", ".join(f"`{choice}`" for choice in parameter.choices) + "."
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None:
        return f" {low} to {high}."
    if low is not None:
        return f" At least {low}."
    return "" if high is None else f" At most {high}."


def _reply(command: Command, before: Sequence[Command]) -> str:
    same = next((each for each in before if each.reply == command.reply), None)
    if same is not None and isinstance(command.reply, Data) and len(command.reply.record.members) > 0:
        return f"\nAnswers as `{same.name}`.\n"
    if isinstance(command.reply, Binary):
        return "\nAnswers a file.\n"
    if not isinstance(command.reply, Data):
        return ""
    within = f" (within `<{command.reply.element}>` in v1)" if command.reply.element else ""
    fields = ", ".join(_members(command.reply.record))
    if command.reply.record.open:
        fields = f"{fields}, and more" if fields else "the parameters by their names"
    return f"\nAnswers{within}: {fields}.\n"


def _members(record: Record) -> Iterator[str]:
    for member in record.members:
        if isinstance(member, Field):
            kind = "" if member.kind is Kind.TEXT else f" ({_KINDS[member.kind][0]})"
            yield f"`{member.name}`{kind}"
        elif isinstance(member, Texts):
            yield f"`{member.name}` (texts, `<{member.each}>` in v1)"
        else:
            yield f"`{member.name}` {_rows(member)}"


def _rows(rows: Rows) -> str:
    how = "record" if rows.many is None else "records"
    if rows.many is Many.BARE:
        how += ", in v2 the bare object when there is one"
    inner = ", ".join(_members(rows.record))
    return f"({how}: {inner})" if inner else f"({how})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
