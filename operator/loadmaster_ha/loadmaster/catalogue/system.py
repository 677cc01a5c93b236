"""Commands of the unit as a whole: what it is, what is stored, how it is started again."""

from typing import Final

from loadmaster_ha.loadmaster.shapes import Access, Command, Data, Field, Parameter, Permission, Record, Texts
from loadmaster_ha.loadmaster.values import Kind

_ALL: Final = frozenset({Permission.ALL})
_PARAM: Final = Parameter("param", Kind.TEXT, "Name of the parameter.", required=True)

COMMANDS: Final = (
    Command("get", "One parameter by name.", parameters=(_PARAM,), reply=Data(Record(open=True))),
    Command(
        "set",
        "Set one parameter; an empty value unsets it.",
        Access.LOCAL,
        (_PARAM, Parameter("value", Kind.TEXT, "Its new value.", required=True, may_be_empty=True)),
        permissions=_ALL,
    ),
    Command(
        "getall", "Every parameter that has a value; secrets as `********`.", reply=Data(Record(open=True))
    ),
    Command(
        "listapi",
        "The commands that this unit has, and its version.",
        reply=Data(
            Record((Texts("command"), Field("version"))),
        ),
    ),
)
