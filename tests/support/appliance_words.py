"""How an appliance writes its answers, for `scripted_appliance`: v1 XML, v2 JSON, and the types in either.

Written from Kemp's "RESTful API Interface Description" and from recorded answers; nothing of our wire code
takes part. Values within the appliance are Python's: bool, int, str, and dicts and lists of them.
"""

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

Result = tuple[int, str, bytes]
"""Status, content type, body."""

HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
LETTERS = frozenset({"Y", "YES", "1", "TRUE"})
TEXT_IN_V2 = frozenset(
    {
        "VSPort", "ErrorCode", "SSLRewrite", "PersistTimeout", "CheckPort", "TlsType", "StandbyPort",
        "HaPrefered",
    }
)  # fmt: skip
"""Numbers that v2 writes as texts, as recorded."""

NEW_SERVICE: dict[str, Any] = {
    "Status": "Down",
    "Index": 0,
    "VSAddress": "",
    "VSPort": 0,
    "Layer": 7,
    "NickName": None,
    "Enable": True,
    "SSLReverse": False,
    "SSLReencrypt": False,
    "SSLAcceleration": None,
    "CertFile": None,
    "InterceptMode": 0,
    "Intercept": False,
    "DefaultGW": None,
    "Transparent": False,
    "SubnetOriginating": True,
    "ServerInit": 0,
    "Idletime": 660,
    "Cache": False,
    "Compress": False,
    "Verify": 0,
    "UseforSnat": False,
    "ForceL4": False,
    "ForceL7": True,
    "MultiConnect": False,
    "ClientCert": 0,
    "ErrorCode": 0,
    "ErrorUrl": None,
    "CheckUse1.1": False,
    "CheckUseGet": 0,
    "SSLRewrite": 0,
    "VStype": "gen",
    "FollowVSID": 0,
    "Protocol": "tcp",
    "Schedule": "rr",
    "CheckType": "tcp",
    "Persist": None,
    "Cookie": None,
    "PersistTimeout": 0,
    "CheckPort": 0,
    "CheckHost": None,
    "CheckUrl": None,
    "CheckCodes": None,
    "CheckPattern": None,
    "ExtraPorts": None,
    "StandbyAddr": None,
    "StandbyPort": None,
    "NRules": 0,
    "MasterVS": 0,
    "MasterVSID": 0,
    "IsTransparent": 2,
    "AddVia": 0,
    "QoS": 0,
    "TlsType": 0,
    "ChkInterval": 0,
    "ChkTimeout": 0,
    "ChkRetryCount": 0,
    "EnhancedHealthChecks": False,
    "RsMinimum": 0,
}
"""A service as `addvs` leaves it when only its place is given, in the recorded order; None is not shown."""

NEW_SERVER: dict[str, Any] = {
    "Status": "Down",
    "VSIndex": 0,
    "RsIndex": 0,
    "Addr": "",
    "Port": 0,
    "DnsName": "",
    "Forward": "nat",
    "Weight": 1000,
    "Limit": 0,
    "RateLimit": 0,
    "Follow": 0,
    "Enable": True,
    "Critical": False,
    "Nrules": 0,
}


class Refused(Exception):  # noqa: N818 - an answer
    """The appliance refuses; `missing` is 400 in v1 and 422 in v2."""

    def __init__(self, text: str, code: int = 422, *, missing: bool = False) -> None:
        super().__init__(text)
        self.code, self.missing = code, missing


@dataclass
class Request:
    """What a command is asked."""

    version: str
    command: str
    given: dict[str, Any] = field(default_factory=dict)
    """By names in lower case."""
    data: bytes | None = None

    def needs(self, name: str) -> str:
        """A parameter that must be there."""
        if self.given.get(name) in (None, ""):
            raise Refused(f"{name}: String Value missing", missing=True)
        return str(self.given[name])

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number."""
        with contextlib.suppress(ValueError):
            found = int(str(self.given[name]) or "0")
            if low <= found <= high or not found:
                return found
        raise Refused(f"{name}: {self.given[name]} invalid")


def sentence(version: str, text: str) -> Result:
    """Done, and nothing to tell: status, content type, body."""
    if version == "v1":
        return _xml(200, f"<Success>{escape(text)}</Success>")
    return _json({"code": 200, "message": text, "status": "ok"})


def refusal(version: str, code: int, text: str) -> Result:
    """Not done, and why."""
    if version == "v1":
        return _xml(code, f"<Error>{escape(text)}</Error>")
    return _json({"code": code, "message": text, "status": "fail"})


def record(version: str, fields: dict[str, Any], element: str = "") -> Result:
    """Done, and these are the fields; v1 wraps them in an element for some commands."""
    if version == "v1":
        content = "".join(_element(name, value) for name, value in fields.items())
        if element:
            content = f"<{element}>\n{content}</{element}>\n"
        return _xml(200, f"<Success><Data>{content}</Data></Success>")
    return _json({"code": 200} | _object(fields) | {"status": "ok"})


def truth(value: Any) -> bool:
    """Yes or no in any of the forms that are taken."""
    return value if isinstance(value, bool) else str(value).strip().upper() in LETTERS


def _xml(code: int, inner: str) -> Result:
    word = "ok" if code == 200 else "fail"
    text = f'{HEAD}<Response stat="{code}" code="{word}">\n{inner}\n</Response>\n'
    return code, "text/xml", text.encode("iso-8859-1", "xmlcharrefreplace")


def _json(body: dict[str, Any]) -> Result:
    return body["code"], "text/json", json.dumps(body).encode()


def _element(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(_element(name, each) for each in value)
    if isinstance(value, dict):
        inner = "".join(_element(each, its) for each, its in value.items())
        return f"<{name}>\n{inner}</{name}>\n"
    text = ("Y" if value else "N") if isinstance(value, bool) else escape(str(value))
    # The vendor's own example has line breaks around some values.
    return f"<{name}>\n{text}\n</{name}>\n" if name == "PersistTimeout" else f"<{name}>{text}</{name}>\n"


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in fields.items() if value is not None}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list):
        return [_object(each) if isinstance(each, dict) else each for each in value]
    return str(value) if name in TEXT_IN_V2 and not isinstance(value, bool) else value
