"""GEO clusters ("RESTful API Interface Description", 3.7.2): stored, synchronised, checked for form.

Nothing on a node agent answers DNS or checks clusters, which `Status` says. A cluster on an own address of
the unit is stored by the interface's name, so that it is on the partner's own address there (guide, 1).
"""

from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api.dispatch import Call, Data, Done, Refused, Reply, handles
from loadmaster_ha.agent.api.service_indices import next_index
from loadmaster_ha.agent.api.unit import Snapshot, Unit
from loadmaster_ha.agent.settings.addresses import resolve, stored_key
from loadmaster_ha.agent.settings.model import Delete, Fields, Json, Kind, Put

UNCHECKED: Final = "Unchecked"
"""`Status` of what nothing checks."""
NO_DATA: Final = "No geo data found"
"""What the appliance says instead of an empty list; its clients know the sentence."""

_DEFAULTS: Final[Mapping[str, Json]] = {
    "Name": "",
    "Checker": "none",
    "CheckerPort": 0,
    "Type": "default",
    "Enable": True,
    "LocationLatitude": "",
    "LocationLongitude": "",
}
_STORED: Final = {
    "name": "Name",
    "checker": "Checker",
    "checkerport": "CheckerPort",
    "type": "Type",
    "enable": "Enable",
}


@handles("listclusters")
async def listclusters(_call: Call, unit: Unit) -> Reply:
    """All clusters, by index."""
    entities = unit.settings.snapshot.entities(Kind.GEO_CLUSTER)
    if not entities:
        raise Refused(422, NO_DATA)
    ordered = sorted(entities.items(), key=lambda item: str(item[1].get("Index", "")).zfill(9))
    return Data({"cluster": [_record(key, fields, unit) for key, fields in ordered]})


@handles("showcluster")
async def showcluster(call: Call, unit: Unit) -> Reply:
    """One cluster, by address or by index."""
    return _shown(_key(call, unit), unit)


@handles("addcluster")
async def addcluster(call: Call, unit: Unit) -> Reply:
    """Create a cluster."""
    snapshot = unit.settings.snapshot
    address = call.text("ip") or ""
    key = stored_key(address, unit.own_addresses, snapshot.entities(Kind.GEO_CLUSTER))
    if snapshot.get(Kind.GEO_CLUSTER, key) is not None:
        raise Refused(422, f"ip: there is already a cluster {address}.")
    index = next_index(snapshot, Kind.GEO_CLUSTER)
    unit.settings.commit([Put(Kind.GEO_CLUSTER, key, {"Index": index, "Name": call.text("name")})])
    return Done(f"Cluster {address} added")


@handles("modcluster")
async def modcluster(call: Call, unit: Unit) -> Reply:
    """Change a cluster; the reply is the cluster."""
    key = _key(call, unit)
    fields = {stored: call.parameters[name] for name, stored in _STORED.items() if call.sent(name)}
    if "Name" in fields and not fields["Name"]:
        raise Refused(422, "name: a cluster has to have one.")
    unit.settings.commit([Put(Kind.GEO_CLUSTER, key, fields)])
    return _shown(key, unit)


@handles("delcluster")
async def delcluster(call: Call, unit: Unit) -> Reply:
    """Delete a cluster that no name uses."""
    snapshot = unit.settings.snapshot
    key = _key(call, unit)
    index = (snapshot.get(Kind.GEO_CLUSTER, key) or {}).get("Index")
    for site, fields in snapshot.entities(Kind.GEO_MAP).items():
        if fields.get("Cluster") == index:
            raise Refused(
                422, f"ip: the cluster is in use by {site.partition('|')[0]}; take it out there first."
            )
    unit.settings.commit([Delete(Kind.GEO_CLUSTER, key)])
    return Done("Cluster deleted")


@handles("clustchangeloc")
async def clustchangeloc(call: Call, unit: Unit) -> Reply:
    """Set where a cluster is, in seconds of arc."""
    place = {"LocationLatitude": call.number("latsecs"), "LocationLongitude": call.number("longsecs")}
    unit.settings.commit([Put(Kind.GEO_CLUSTER, _key(call, unit), place)])
    return Done("Cluster location updated")


def name_of(snapshot: Snapshot, index: Json) -> str:
    """The name of the cluster with this index; empty when there is none."""
    entities = snapshot.entities(Kind.GEO_CLUSTER).values()
    return next((str(each.get("Name", "")) for each in entities if each.get("Index") == index), "")


def index_of(snapshot: Snapshot, which: str) -> Json:
    """The index of the cluster with this index or name.

    Raises:
        Refused: there is none.
    """
    for fields in snapshot.entities(Kind.GEO_CLUSTER).values():
        if which in {str(fields.get("Index")), str(fields.get("Name"))}:
            return fields.get("Index")
    raise Refused(422, f"There is no cluster {which}.")


def _key(call: Call, unit: Unit) -> str:
    entities = unit.settings.snapshot.entities(Kind.GEO_CLUSTER)
    address, which = call.text("ip"), call.text("id")
    if address is not None:
        key = stored_key(address, unit.own_addresses, entities)
    elif which is not None:
        key = next((key for key, fields in entities.items() if str(fields.get("Index")) == which), "")
    else:
        raise Refused(422, "ip: Address Value missing")
    if key not in entities:
        raise Refused(422, f"There is no cluster {address or which}.")
    return key


def _shown(key: str, unit: Unit) -> Reply:
    fields = unit.settings.snapshot.get(Kind.GEO_CLUSTER, key) or {}
    return Data({"cluster": [_record(key, fields, unit)]})


def _record(key: str, fields: Fields, unit: Unit) -> dict[str, Json]:
    record = {name: fields.get(name, default) for name, default in _DEFAULTS.items()}
    return record | {
        "Index": fields.get("Index", 0),
        "Status": UNCHECKED,
        "ClusterVSAddress": "",
        "IPAddress": resolve(key, unit.own_addresses),
    }
