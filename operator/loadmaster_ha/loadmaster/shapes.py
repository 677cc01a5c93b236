"""The words in which the catalogue describes a command: parameters, reply, who may call it.

The single values are `values`; the commands themselves are in `catalogue`, gathered by `commands`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from loadmaster_ha.loadmaster.values import Kind


class Access(StrEnum):
    """What a command touches. Decides whether a standby unit takes it (guide, 7)."""

    READ = "read"
    LOCAL = "local"
    """Changes this unit only: a standby takes it too."""
    SYNCHRONISED = "synchronised"
    """Changes what the partner gets as well: refused on a standby unit."""


class Permission(StrEnum):
    """What a user may be allowed ("RESTful API Interface Description", 3.19.1.8)."""

    REAL_SERVERS = "real"
    SERVICES = "vs"
    RULES = "rules"
    BACKUP = "backup"
    CERTIFICATES = "certs"
    INTERMEDIATE_CERTIFICATES = "cert3"
    CERTIFICATE_BACKUP = "certbackup"
    USERS = "users"
    ALL = "root"
    """Everything but changing the password of `bal` and creating or deleting users."""
    GEO = "geo"
    ADD_SERVICES = "addvs"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a request. Values out of bounds are refused before a handler sees them."""

    name: str
    kind: Kind = Kind.TEXT
    documentation: str = ""
    required: bool = False
    may_be_empty: bool = False
    """A required parameter that may say "" (`value` of `set`: unset it)."""
    choices: tuple[str, ...] = ()
    """Compared without regard to case; the handler gets the spelling given here."""
    minimum: int | None = None
    maximum: int | None = None
    longest: int = 1024
    """Characters of a text."""
    pattern: str = ""
    """A regular expression that the whole text has to match."""
    aliases: tuple[str, ...] = ()
    """Other names under which it is taken."""


class Many(StrEnum):
    """How a list of records is written in v2 when there is one of it (v1 just repeats the element)."""

    ARRAY = "array"
    """Always an array: VS, Rs, Interface."""
    BARE = "bare"
    """The object itself when there is exactly one: cluster, fqdn."""


@dataclass(frozen=True, slots=True)
class Field:
    """One scalar of a record."""

    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts: `<apikeys><key>..</key><key>..</key></apikeys>` in v1, an array in v2."""

    name: str
    each: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A repeated record, or (`many` None) exactly one nested record."""

    name: str
    record: "Record"
    many: Many | None = Many.ARRAY
    named_by: str = ""
    """In v1 each row is an element named by this field of it, which it then does not hold (`<eth0>`)."""
    prefix: str = ""
    """What stands before that in the element's name (`<cpu0>`)."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a reply, or a row of it, consists of, in the order in which it is written."""

    members: tuple[Field | Texts | Rows, ...] = ()
    open: bool = False
    """Further fields may occur (`get`, `getall`): `loadmaster.parameters` tells their kinds."""

    by_name: Mapping[str, Field | Texts | Rows] = field(init=False, repr=False, compare=False)
    """Its members."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "by_name", MappingProxyType({member.name: member for member in self.members})
        )

    def merged(self, *others: "Record") -> "Record":
        """This one with the members of others after its own."""
        return Record(
            self.members + tuple(member for other in others for member in other.members),
            open=self.open,
        )


@dataclass(frozen=True, slots=True)
class Text:
    """The reply is a sentence. Its wording is not fixed: clients go by the code."""

    field: str = ""
    """Where v2 has it, instead of `message`; v1 then has it within `<Data>`."""


@dataclass(frozen=True, slots=True)
class Data:
    """The reply is a record: directly under `<Data>` in v1, or within `<Data><element>`; flat in v2."""

    record: Record
    element: str = ""
    """The element that v1 wraps around the record (`AzureHA`); v2 knows nothing of it."""


@dataclass(frozen=True, slots=True)
class Binary:
    """The reply is a file: the body itself in v1, base64 in `data` in v2."""

    content_type: str = "application/octet-stream"


Reply: TypeAlias = Text | Data | Binary
TEXT: Final = Text()


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `/access/<path>` in v1, `{"cmd": v2_name}` in v2."""

    name: str
    """As `listapi` names it; sub-commands have a dot (`logging.ping`)."""
    documentation: str
    access: Access = Access.READ
    parameters: tuple[Parameter, ...] = ()
    reply: Reply = TEXT
    permissions: frozenset[Permission] = frozenset()
    """One of them suffices, as does `root` unless `root_suffices` is off; none: every user."""
    root_suffices: bool = True
    upload: bool = False
    """Takes a file: the body in v1, base64 in `data` in v2."""
    v1_only: bool = False
    extension: bool = False
    """Ours, not Kemp's."""
    seconds: float = 30.0
    """How long it may take before the server gives up on it."""
    by_name: Mapping[str, Parameter] = field(init=False, repr=False, compare=False)
    """Its parameters by name, and by alias, in lower case."""

    def __post_init__(self) -> None:
        names = [(name, each) for each in self.parameters for name in (each.name, *each.aliases)]
        index = MappingProxyType({name.lower(): each for name, each in names})
        object.__setattr__(self, "by_name", index)

    @property
    def path(self) -> str:
        """Below `/access/`."""
        return self.name.replace(".", "/")
