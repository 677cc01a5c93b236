"""The virtual services and real servers of a `scripted_appliance`, by the rules of the interface description
(3.6.1, 3.10): addressing, defaults by port, whole minutes, what a row shows, what is refused.
"""

import copy
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tests.support import appliance_words as words
from tests.support.appliance_words import Refused, Request, Result

if TYPE_CHECKING:
    from tests.support.scripted_appliance import ScriptedAppliance

Row = dict[str, Any]

_NICKNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.@_-]*")
_ENUMERATIONS = {
    "VStype": ["gen", "http", "http2", "ts", "tls", "log"],
    "Schedule": ["rr", "wrr", "lc", "wlc", "fixed", "adaptive", "sh", "dl", "sdn-adaptive", "uhash"],
    "CheckType": [
        "icmp",
        "https",
        "http",
        "tcp",
        "smtp",
        "nntp",
        "ftp",
        "telnet",
        "pop3",
        "imap",
        "rdp",
        "bdata",
        "ldap",
        "none",
    ],
}
_NUMBERS = {
    "Idletime": (0, 86400),
    "PersistTimeout": (0, 2_419_200),
    "CheckPort": (0, 65530),
    "CheckUseGet": (0, 3),
    "ChkInterval": (0, 901),
    "ChkTimeout": (0, 60),
    "ChkRetryCount": (0, 15),
    "RsMinimum": (0, 1024),
    "TlsType": (0, 31),
    "AddVia": (0, 6),
    "ErrorCode": (0, 505),
    "StandbyPort": (0, 65530),
}
_FLAGS = frozenset(
    {
        "Enable", "ForceL7", "ForceL4", "Transparent", "SubnetOriginating", "SSLReencrypt", "SSLReverse",
        "CheckUse1.1", "EnhancedHealthChecks", "SSLAcceleration",
    }
)  # fmt: skip
_TEXTS = frozenset(
    {
        "NickName", "Persist", "Cookie", "CheckUrl", "CheckHost", "CheckCodes", "CheckPattern", "CertFile",
        "ExtraPorts", "StandbyAddr", "ErrorUrl", "DefaultGW",
    }
)  # fmt: skip
_SERVER_NUMBERS = {"weight": ("Weight", 1, 65535), "limit": ("Limit", 0, 100_000)}
_SERVER_FLAGS = {"enable": "Enable", "critical": "Critical"}
_BY_PORT = {80: ("http", "http"), 443: ("http", "https")}


class ServiceTable:
    """The services of one appliance, each a row as it is read back (`Rs` apart)."""

    def __init__(self, unit: "ScriptedAppliance") -> None:
        self._unit = unit
        self.rows: list[Row] = []
        self.servers: dict[int, list[Row]] = {}
        """By the index of the service."""
        self.connections: dict[str, int] = {}
        """Open connections by nickname, for `stats`."""
        self._looked_at: dict[int, int] = {}

    @property
    def commands(self) -> Mapping[str, Callable[[Request], Result]]:
        """By name."""
        return {
            "listvs": self._listvs,
            "showvs": lambda request: words.record(request.version, self._shown(self._found(request))),
            "addvs": self._addvs,
            "modvs": self._modvs,
            "delvs": self._delvs,
            "showrs": self._showrs,
            "addrs": self._addrs,
            "modrs": self._modrs,
            "delrs": self._delrs,
            "stats": self._stats,
        }

    def take_over(self, other: "ServiceTable", from_address: str) -> None:
        """Become the other's, with the own address for its own (guide, 1)."""
        self.rows, self.servers = copy.deepcopy(other.rows), copy.deepcopy(other.servers)
        for row in self.rows:
            if row["VSAddress"] == from_address:
                row["VSAddress"] = self._unit.own_address

    def named(self, nickname: str) -> Row:
        """The row of this name."""
        return next(row for row in self.rows if row["NickName"] == nickname)

    # Services

    def _listvs(self, request: Request) -> Result:
        return words.record(request.version, {"VS": [self._shown(row) for row in self.rows] or None})

    def _addvs(self, request: Request) -> Result:
        place = _place(request)
        if any(_is_at(row, place) for row in self.rows):
            raise Refused("Virtual Service already exists")
        kind, check = _BY_PORT.get(place[1], ("gen", "tcp"))
        index = max((row["Index"] for row in self.rows), default=0) + 1
        row = words.NEW_SERVICE | {"Index": index, "VSAddress": place[0], "VSPort": place[1]}
        row |= {"Protocol": place[2], "VStype": kind, "CheckType": check}
        self._set(row, request)
        self.rows.append(row)
        self.servers[index] = []
        return words.record(request.version, self._shown(row))

    def _modvs(self, request: Request) -> Result:
        row = self._found(request)
        changed = dict(row)
        if request.given.get("vsaddress"):
            changed["VSAddress"] = _address(str(request.given["vsaddress"]))
        if "vsport" in request.given:
            changed["VSPort"] = request.number("vsport", 3, 65530)
        if request.given.get("protocol"):
            changed["Protocol"] = str(request.given["protocol"])
        self._set(changed, request)
        place = changed["VSAddress"], changed["VSPort"], changed["Protocol"]
        if any(_is_at(each, place) for each in self.rows if each is not row):
            raise Refused("Virtual Service already exists")
        row |= changed
        return words.record(request.version, self._shown(row))

    def _delvs(self, request: Request) -> Result:
        row = self._found(request)
        self.rows.remove(row)
        self.servers.pop(row["Index"], None)
        return words.sentence(request.version, "Command completed ok")

    def _found(self, request: Request) -> Row:
        which = request.needs("vs")
        if which.isdigit():
            hits = [row for row in self.rows if row["Index"] == int(which)]
        else:
            hits = [row for row in self.rows if _is_at(row, _place(request))]
        if not hits:
            raise Refused("Unknown VS")
        return hits[0]

    def _set(self, row: Row, request: Request) -> None:
        given = {
            name: request.given[name.lower()]
            for name in (*_ENUMERATIONS, *_NUMBERS, *_FLAGS, *_TEXTS)
            if name.lower() in request.given and name.lower() not in self._unit.forgets
        }
        for name, value in given.items():
            if name in _ENUMERATIONS and str(value) not in _ENUMERATIONS[name]:
                raise Refused(f"{name}: {value} invalid")
            if name in _NUMBERS:
                row[name] = request.number(name.lower(), *_NUMBERS[name])
            elif name in _FLAGS:
                row[name] = words.truth(value)
            else:
                row[name] = str(value) or None
        self._settle(row, given)

    def _settle(self, row: Row, given: Mapping[str, Any]) -> None:
        row["PersistTimeout"] -= row["PersistTimeout"] % 60
        if row["Persist"] == "none" or ("PersistTimeout" in given and not row["PersistTimeout"]):
            row["Persist"] = None
        if row["Persist"] and not row["PersistTimeout"]:
            row["PersistTimeout"] = 360
        if row["NickName"] and not _NICKNAME.fullmatch(row["NickName"]):
            raise Refused("NickName: invalid")
        if row["CheckHost"] and not row["CheckUse1.1"]:
            raise Refused("CheckHost: needs CheckUse1.1")
        if not row["SSLAcceleration"]:
            row["SSLAcceleration"] = None
        for name in str(row["CertFile"] or "").split():
            if name not in self._unit.certificates:
                raise Refused(f"CertFile: {name} not found")
        if row["StandbyPort"] == 0:
            row["StandbyPort"] = None

    def _shown(self, row: Row) -> Row:
        servers = [self._looked(server) for server in self.servers[row["Index"]]]
        status = "Up" if any(each["Status"] == "Up" for each in servers) else "Down"
        shown = row | {"Status": status if row["Enable"] else "Disabled", "NumberOfRSs": len(servers)}
        return shown | {"Rs": servers or None}

    def _stats(self, request: Request) -> Result:
        """Flags are numbers here, and rows of real servers spell `ActivConns`."""
        return words.record(
            request.version,
            {
                "VStotals": {"ConnsPerSec": 0, "BitsPerSec": 0, "PktsPerSec": 0},
                "Vs": [self._counted(row) for row in self.rows] or None,
                "Rs": [_counted_server(each) for each in self._all_servers()] or None,
                "TPS": {"Total": 0, "SSL": 0},
                "Timestamp": {"Sec": 1_754_647_629, "Usec": 0, "Period": 5},
            },
        )

    def _counted(self, row: Row) -> Row:
        return {
            "VSAddress": row["VSAddress"],
            "VSPort": row["VSPort"],
            "VSProt": row["Protocol"],
            "Index": row["Index"],
            "Status": self._shown(row)["Status"],
            "Enable": int(row["Enable"]),
            "TotalConns": 0,
            "ActiveConns": self.connections.get(row["NickName"] or "", 0),
            "ConnsPerSec": 0,
        }

    # Real servers

    def _looked(self, server: Row) -> Row:
        """As shown now: a new one is Down until it was checked."""
        index = server["RsIndex"]
        self._looked_at[index] = self._looked_at.get(index, 0) + 1
        if not server["Enable"]:
            return server | {"Status": "Disabled"}
        checked = self._looked_at[index] > self._unit.habits.fewest_checks
        return server | {"Status": "Up" if checked else "Down"}

    def _showrs(self, request: Request) -> Result:
        _, server = self._found_server(request)
        return words.record(request.version, {"Rs": [self._looked(server)]})

    def _addrs(self, request: Request) -> Result:
        row = self._found(request)
        address, port = _address(request.needs("rs")), int(request.needs("rsport"))
        servers = self.servers[row["Index"]]
        if any((each["Addr"], each["Port"]) == (address, port) for each in servers):
            raise Refused("Real Server already exists")
        index = max((each["RsIndex"] for each in self._all_servers()), default=0) + 1
        server = words.NEW_SERVER | {"VSIndex": row["Index"], "RsIndex": index, "Addr": address, "Port": port}
        self._set_server(server, request)
        servers.append(server)
        return words.record(request.version, {"Rs": [server | {"Status": "Down"}]})

    def _modrs(self, request: Request) -> Result:
        _, server = self._found_server(request)
        if "newport" in request.given:
            server["Port"] = request.number("newport", 1, 65535)
        self._set_server(server, request)
        return words.sentence(request.version, "Command completed ok")

    def _delrs(self, request: Request) -> Result:
        servers, server = self._found_server(request)
        servers.remove(server)
        return words.sentence(request.version, "Command completed ok")

    def _found_server(self, request: Request) -> tuple[list[Row], Row]:
        servers = self.servers[self._found(request)["Index"]]
        which, port = request.needs("rs"), request.given.get("rsport")
        for server in servers:
            by_index = which == f"!{server['RsIndex']}"
            if by_index or (server["Addr"] == which and (port is None or int(port) == server["Port"])):
                return servers, server
        raise Refused("Unknown RS")

    def _set_server(self, server: Row, request: Request) -> None:
        for name, (stored, low, high) in _SERVER_NUMBERS.items():
            if name in request.given and name not in self._unit.forgets:
                server[stored] = request.number(name, low, high)
        for name, stored in _SERVER_FLAGS.items():
            if name in request.given and name not in self._unit.forgets:
                server[stored] = words.truth(request.given[name])

    def _all_servers(self) -> Iterator[Row]:
        for servers in self.servers.values():
            yield from servers


def _counted_server(server: Row) -> Row:
    return {
        "VSIndex": server["VSIndex"],
        "RSIndex": server["RsIndex"],
        "Addr": server["Addr"],
        "Port": server["Port"],
        "Enable": int(server["Enable"]),
        "Weight": server["Weight"],
        "ActivConns": 0,
    }


def _place(request: Request) -> tuple[str, int, str]:
    address = _address(request.needs("vs"))
    port = request.needs("port")
    if not (port.isdigit() and 3 <= int(port) <= 65530):
        raise Refused(f"port: {port} invalid")
    return address, int(port), request.needs("prot")


def _is_at(row: Row, place: tuple[str, int, str]) -> bool:
    return (row["VSAddress"], row["VSPort"], row["Protocol"]) == place


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Refused(f"{text}: invalid address") from None
