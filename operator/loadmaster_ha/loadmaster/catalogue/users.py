"""Commands of users and API keys ("RESTful API Interface Description", 2.3.2 and 3.19.1)."""

from typing import Final

from loadmaster_ha.loadmaster.shapes import (
    Access,
    Command,
    Data,
    Field,
    Parameter,
    Permission,
    Record,
    Rows,
    Texts,
)
from loadmaster_ha.loadmaster.values import Kind

_USERS: Final = frozenset({Permission.USERS})
NAME_PATTERN: Final = r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}"
_USER: Final = Parameter(
    "user",
    Kind.TEXT,
    "Name of the user: letters, digits, and . @ - _ but the first a letter, a digit or _.",
    required=True,
    longest=64,
    pattern=NAME_PATTERN,
)
_KEYS: Final = Data(Record((Texts("apikeys", "key"),)))
_ROW: Final = Record((Field("Name"), Field("Perms", Kind.WORDS)))

COMMANDS: Final = (
    Command(
        "addapikey",
        "Make an API key for the caller. The reply is the only time it is shown whole; of more than 16 the "
        "oldest is dropped.",
        Access.SYNCHRONISED,
        reply=_KEYS,
    ),
    Command(
        "listapikeys",
        "The caller's API keys, oldest first: their fingerprints, as only digests are kept.",
        reply=_KEYS,
    ),
    Command(
        "delapikey",
        "Delete one of the caller's API keys.",
        Access.SYNCHRONISED,
        (
            Parameter("key", Kind.SECRET, "The key, or its fingerprint from `listapikeys`.", required=True),
            Parameter(
                "user",
                Kind.TEXT,
                "Whose key; only `bal` may name another user.",
                pattern=NAME_PATTERN,
            ),
        ),
        reply=_KEYS,
    ),
    Command(
        "useraddlocal",
        "Create a user without permissions.",
        Access.SYNCHRONISED,
        (
            _USER,
            Parameter("password", Kind.SECRET, "8 to 127 characters.", required=True, longest=127),
            Parameter("radius", Kind.FLAG, "Not taken: there is no RADIUS here."),
        ),
        permissions=_USERS,
        root_suffices=False,
    ),
    Command(
        "userdellocal",
        "Delete a user.",
        Access.SYNCHRONISED,
        (_USER,),
        permissions=_USERS,
        root_suffices=False,
    ),
    Command(
        "userchangelocpass",
        "Set a user's password.",
        Access.SYNCHRONISED,
        (
            _USER,
            Parameter("password", Kind.SECRET, "8 to 127 characters.", required=True, longest=127),
            Parameter("radius", Kind.FLAG, "Not taken: there is no RADIUS here."),
        ),
        permissions=_USERS,
    ),
    Command(
        "usersetperms",
        "Set a user's permissions. They take the place of all he had.",
        Access.SYNCHRONISED,
        (
            _USER,
            Parameter(
                "perms",
                Kind.TEXT,
                "Separated by commas: " + ", ".join(Permission) + "; empty for none.",
                required=True,
                may_be_empty=True,
            ),
        ),
        permissions=_USERS,
        root_suffices=False,
    ),
    Command(
        "usershow",
        "One user.",
        parameters=(_USER,),
        permissions=_USERS,
        reply=Data(_ROW, element="User"),
    ),
    Command(
        "userlist",
        "All users but `bal`.",
        permissions=_USERS,
        reply=Data(Record((Rows("User", _ROW),))),
    ),
    Command(
        "usersetsyspassword",
        "Change the caller's own password (that of `bal`, if `bal` calls).",
        Access.SYNCHRONISED,
        (
            Parameter("currpassword", Kind.SECRET, "The password until now.", required=True, longest=127),
            Parameter("password", Kind.SECRET, "8 to 127 characters.", required=True, longest=127),
        ),
    ),
)
