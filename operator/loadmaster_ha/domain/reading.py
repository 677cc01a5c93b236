"""What came of an attempt to read something: it is there, it is not there, or nobody can tell.

"Could not read" is a value of its own: it never looks like absence and never like an old value. Every
observation in the project is made of these three.
"""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Present(Generic[T]):
    """The thing was read and this is it."""

    value: T


@dataclass(frozen=True, slots=True)
class Absent:
    """The thing was looked for and does not exist.

    `reason` is the CamelCase word of the service that said so, where there was one (`ResourceGroupNotFound`).
    """

    reason: str = "NotFound"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The thing could not be read. `reason` is a CamelCase word, `message` says why and what helps."""

    reason: str
    message: str


Reading: TypeAlias = Present[T] | Absent | Unknown
