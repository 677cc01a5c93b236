"""From a decoded request to a handler and back: who may call what, where, and who does it.

`server` (and the authentication before it) calls `dispatch`; the modules in `handlers` register themselves
with `@handles`. The commands, their parameters and the shapes of their replies are `loadmaster.commands`.
"""

import functools
import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.certificate_work.messages import WorkFailed
from loadmaster_ha.agent.unit_settings import HaSettings
from loadmaster_ha.domain.ha import UnitState
from loadmaster_ha.loadmaster.commands import COMMANDS
from loadmaster_ha.loadmaster.shapes import Access, Command, Permission
from loadmaster_ha.loadmaster.values import Json

ADMINISTRATOR: Final = "bal"
"""The built-in user who may do everything."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """The request cannot be done; `text` is for a person, `status` is HTTP's and the reply's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class User:
    """Who calls."""

    name: str
    permissions: frozenset[Permission] = frozenset()

    def may(self, command: Command) -> bool:
        """Whether this user is allowed the command."""
        if self.name == ADMINISTRATOR or not command.permissions:
            return True
        if command.root_suffices and Permission.ALL in self.permissions:
            return True
        return bool(command.permissions & self.permissions)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its parameters read and checked as the catalogue says."""

    command: Command
    parameters: Mapping[str, Json]
    """Canonical values (`loadmaster.values`: bool, int, str, list of str) by the catalogue's spelling of the
    name.
    Only what was sent is there; None is an explicit empty value, which means "unset it"."""
    user: User
    data: bytes | None = None
    """The uploaded file."""
    remote: str = ""
    """The client's address."""

    def text(self, name: str) -> str | None:
        """A parameter that is a text; None when not sent or empty."""
        value = self.parameters.get(name)
        return None if value is None else str(value)

    def number(self, name: str) -> int | None:
        """A parameter that is a whole number; None when not sent or empty."""
        value = self.parameters.get(name)
        return value if isinstance(value, int) else None

    def flag(self, name: str) -> bool | None:
        """A parameter that is yes or no; None when not sent or empty."""
        value = self.parameters.get(name)
        return None if value is None else bool(value)

    def sent(self, name: str) -> bool:
        """Whether the parameter was sent, be it empty."""
        return name in self.parameters


@dataclass(frozen=True, slots=True)
class Done:
    """It is done, and there is nothing to tell but that."""

    text: str = "Command completed ok"


@dataclass(frozen=True, slots=True)
class Data:
    """It is done, and this is the record: canonical values by the names of the command's reply shape.

    A nested record is a dict, rows are a list of dicts; a value of None is left out.
    """

    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Binary:
    """It is done, and this is the file."""

    content: bytes


Reply: TypeAlias = Done | Data | Binary
Handler: TypeAlias = Callable[[Call, Unit], Awaitable[Reply]]

_handlers: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler for commands of the catalogue.

    Raises:
        ValueError: the catalogue does not know the command, or it has a handler already.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            if name not in COMMANDS:
                raise ValueError(f"{name} is no command of loadmaster.commands.")
            if name in _handlers:
                raise ValueError(f"{name} has two handlers.")
            _handlers[name] = handler
        return handler

    return register


def registry() -> Mapping[str, Handler]:
    """Every handler there is, by the name of its command; loads the modules of `handlers`."""
    _load()
    return MappingProxyType(_handlers)


@functools.cache
def _load() -> None:
    from loadmaster_ha.agent.api import handlers  # noqa: PLC0415 - they import this module

    for module in pkgutil.iter_modules(handlers.__path__):
        importlib.import_module(f"{handlers.__name__}.{module.name}")


def refuse_on_standby(unit: Unit) -> None:
    """For handlers of commands whose access depends on their parameters (`set`).

    Raises:
        Refused: this unit stands by, so synchronised settings are changed on the other one (guide, 7).
    """
    if unit.view().state is UnitState.STANDBY:
        partner = HaSettings.of(unit.settings.snapshot).partner
        raise Refused(422, f"unit is standby, configure the active unit{f' {partner}' if partner else ''}")


def refuse_without_permission(user: User, command: Command) -> None:
    """Nothing, if the user may call the command.

    Raises:
        Refused: he may not (403).
    """
    if not user.may(command):
        needed = " or ".join(sorted(command.permissions))
        raise Refused(403, f"User {user.name} may not call {command.name}: it needs permission {needed}.")


async def dispatch(call: Call, unit: Unit) -> Reply:
    """Do what is asked, if there is a handler, the user may, and the unit's state allows it.

    Raises:
        Refused: it cannot be done; 403, 405, 422 or 503 from here, anything from the handler.
    """
    refuse_without_permission(call.user, call.command)
    handler = registry().get(call.command.name)
    if handler is None:
        raise Refused(405, f"Unknown command: this unit does not have {call.command.name}.")
    if call.command.access is Access.SYNCHRONISED:
        refuse_on_standby(unit)
    try:
        return await handler(call, unit)
    except WorkFailed as problem:
        raise Refused(503, f"Certificates cannot be read now, nothing was changed: {problem}.") from problem
