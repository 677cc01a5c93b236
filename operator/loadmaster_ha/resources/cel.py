"""CEL expressions that several rules are made of.

CEL has no variables; a value is given a name by a list of one element (`let`). Defaults are in place before a
rule runs, so only fields without one need `has()`. The server estimates what an expression can cost at worst:
strings are put together by `format`, whose estimate does not grow with unknown lengths.
"""

from typing import Final

SERVICES: Final = "(has(self.services) ? self.services : [])"
"""The published services, seen from `spec`."""

ACCESS: Final = "self.loadBalancer.managementAccess"
"""Management access, seen from `spec`."""

BACKEND_PORT: Final = "(has(s.backendPort) ? s.backendPort : s.port)"
"""The port on the units of service `s`."""


def let(value: str, name: str, condition: str) -> str:
    """A condition in which `name` stands for `value`."""
    return f"[{value}].all({name}, {condition})"


def let_value(value: str, name: str, expression: str) -> str:
    """An expression of any type in which `name` stands for `value`."""
    return f"[{value}].map({name}, {expression})[0]"


def text(template: str, *values: str) -> str:
    """A string expression: `template` with a `%s` or `%d` for each of the `values`, which are expressions."""
    quoted = template.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'.format([{', '.join(values)}])"


def all_different(values: str) -> str:
    """Whether no value of the list is there twice."""
    return f"{values}.all(one, {values}.exists_one(other, other == one))"


def first_repeated(values: str) -> str:
    """The first value of the list that is there more than once."""
    return f"{values}.filter(one, !{values}.exists_one(other, other == one))[0]"


def web_is_translated(access: str) -> str:
    """Whether there are NAT rules to the web user interface; `access` is the path of managementAccess."""
    return f"(has({access}.webInterface) ? {access}.webInterface.mode == 'NAT' : !{access}.kemp360Central)"


def nat_ports(access: str) -> str:
    """The list of all frontend ports of NAT rules; `access` is the path of managementAccess."""
    web = (
        f"(has({access}.webInterface) ? ({access}.webInterface.mode == 'NAT' ? "
        f"[{access}.webInterface.master, {access}.webInterface.slave] : []) : "
        f"({access}.kemp360Central ? [] : [8441, 8442]))"
    )
    ssh = f"({access}.ssh.mode == 'NAT' ? [{access}.ssh.master, {access}.ssh.slave] : [])"
    return f"({web} + {ssh})"


def interface_id(interface: str) -> str:
    """The full id, in lower case, of an interface given by name or id; seen from `spec`."""
    return (
        f"({interface}.resource.startsWith('/') ? {interface}.resource : "
        "'/subscriptions/' + self.azure.subscriptionID + '/resourceGroups/' + self.azure.resourceGroup + "
        f"'/providers/Microsoft.Network/networkInterfaces/' + {interface}.resource).lowerAscii()"
    )
