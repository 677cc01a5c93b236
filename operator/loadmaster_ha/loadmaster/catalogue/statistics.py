"""`stats`: what the unit, its virtual services and their real servers count.

Source: "RESTful API Interface Description", 3.8, the v2 collection, and answers in the tests of Kemp's Python
client, where a real server's row has names of its own (`ActivConns`, `Conns`).
"""

from typing import Final

from loadmaster_ha.loadmaster.shapes import Command, Data, Field, Record, Rows
from loadmaster_ha.loadmaster.values import Kind

_COUNTS: Final = (
    *("ConnsPerSec", "TotalConns", "BitsPerSec", "TotalBits"),
    *("BytesPerSec", "TotalBytes", "PktsPerSec", "TotalPackets"),
)


def _numbers(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, Kind.NUMBER) for name in names)


_VS_ROW: Final = Record(
    (
        Field("VSAddress"),
        Field("VSPort", Kind.NUMBER),
        Field("VSProt"),
        Field("Index", Kind.NUMBER),
        Field("Status"),
        Field("ErrorCode", Kind.NUMBER),
        Field("Enable", Kind.BIT),
        *_numbers("TotalConns", "TotalPkts", "TotalBytes", "TotalBits", "ActiveConns"),
        *_numbers("BytesRead", "BytesWritten", "ConnsPerSec"),
        Field("WafEnable", Kind.BIT),
    ),
    open=True,
)
_RS_ROW: Final = Record(
    (
        *_numbers("VSIndex", "RSIndex"),
        Field("Addr"),
        Field("Port", Kind.NUMBER),
        Field("Enable", Kind.BIT),
        *_numbers("Weight", "ActivConns", "Persist", "Conns", "Pkts", "Bytes", "Bits"),
        *_numbers("BytesRead", "BytesWritten", "ConnsPerSec"),
    ),
    open=True,
)
_PROCESSORS: Final = Record(
    (
        Rows("total", Record(_numbers("User", "System", "Idle", "IOWaiting"), open=True), many=None),
        Rows(
            "cpu",
            Record(
                _numbers("cpu", "User", "System", "HWInterrupts", "SWInterrupts", "Idle", "IOWaiting"),
                open=True,
            ),
            named_by="cpu",
            prefix="cpu",
        ),
    ),
)
_MEMORY: Final = ("MBtotal", "memused", "MBused", "percentmemused", "memfree", "MBfree", "percentmemfree")
_LINK: Final = ("ifaceID", "speed", "in", "inbytes", "inbytesTotal", "out", "outbytes", "outbytesTotal")
_DISK: Final = ("GBtotal", "GBused", "percentused", "GBfree", "percentfree")
STATISTICS: Final = Record(
    (
        Rows("CPU", _PROCESSORS, many=None),
        Rows("Memory", Record(_numbers(*_MEMORY), open=True), many=None),
        Rows(
            "Network",
            Record(
                (Rows("Interface", Record((Field("Name"), *_numbers(*_LINK)), open=True), named_by="Name"),)
            ),
            many=None,
        ),
        Rows(
            "DiskUsage",
            Record((Rows("partition", Record((Field("name"), *_numbers(*_DISK)), open=True)),)),
            many=None,
        ),
        Rows("VStotals", Record(_numbers(*_COUNTS), open=True), many=None),
        Rows("Vs", _VS_ROW),
        Rows("Rs", _RS_ROW),
        Rows("TPS", Record(_numbers("Total", "SSL")), many=None),
        Rows("Timestamp", Record(_numbers("Sec", "Usec", "Period")), many=None),
        Field("ChangeTime", Kind.NUMBER),
    ),
    open=True,
)

COMMANDS: Final = (
    Command("stats", "Counters of the unit, its services and servers.", reply=Data(STATISTICS)),
)
