"""Commands of GEO (global balancing): stored, checked for form and synchronised; nothing here answers DNS.

Source: "RESTful API Interface Description", 3.7 and 3.12.4.2. GEO keeps `Y` and `N` in v2 too, and writes a
list of one as the bare object.
"""

from typing import Final

from loadmaster_ha.loadmaster.shapes import (
    Access,
    Command,
    Data,
    Field,
    Many,
    Parameter,
    Permission,
    Record,
    Rows,
    Text,
)
from loadmaster_ha.loadmaster.values import Kind

_GEO: Final = frozenset({Permission.GEO})
_SYNCHRONISED: Final = Access.SYNCHRONISED

CLUSTER: Final = Record(
    (
        Field("Index", Kind.DIGITS),
        Field("Status"),
        Field("Name"),
        Field("ClusterVSAddress"),
        Field("IPAddress"),
        Field("Checker"),
        Field("CheckerPort", Kind.DIGITS),
        Field("Type"),
        Field("Enable", Kind.LETTER),
        Field("LocationLatitude", Kind.DIGITS),
        Field("LocationLongitude", Kind.DIGITS),
    ),
)
_PLACE: Final = Record((Field("code"),))
MAP: Final = Record(
    (
        Field("Status"),
        Field("Index", Kind.DIGITS),
        Field("IPAddress"),
        Field("Cluster"),
        Field("Checker"),
        Field("checkerAddr"),
        Field("CheckerPort", Kind.DIGITS),
        Field("CheckerUrl"),
        Field("CheckerCodes", Kind.WORDS),
        Field("CheckerHost"),
        Field("CheckerHTTPMethod", Kind.DIGITS),
        Field("CheckerPostData"),
        Field("Weight", Kind.DIGITS),
        Field("MappedAddress"),
        Field("MappedPort", Kind.DIGITS),
        Field("MappedName"),
        Field("Enable", Kind.LETTER),
        Field("LocationLatitude", Kind.DIGITS),
        Field("LocationLongitude", Kind.DIGITS),
        Rows("continent", _PLACE, Many.BARE),
        Rows("country", _PLACE, Many.BARE),
    ),
    open=True,
)
FQDN: Final = Record(
    (
        Field("Status"),
        Field("FullyQualifiedDomainName"),
        Field("SelectionCriteria"),
        Field("FailTime", Kind.NUMBER),
        Field("SiteRecoveryMode"),
        Field("Mapping", Kind.DIGITS),
        Field("failover", Kind.LETTER),
        Field("publicRequestValue", Kind.DIGITS),
        Field("privateRequestValue", Kind.DIGITS),
        Field("LocalSettings", Kind.DIGITS),
        Field("LocalTTL", Kind.DIGITS),
        Field("LocalSticky", Kind.DIGITS),
        Field("UnanimousChecks", Kind.LETTER),
        Rows("Map", MAP, many=Many.BARE),
    ),
    open=True,
)
PARAMETERS: Final = Record(
    (
        Rows(
            "soa",
            Record(
                (
                    Field("Zone"),
                    Field("SourceOfAuthority"),
                    Field("namesrv"),
                    Field("SOAEmail"),
                    Field("TTL", Kind.NUMBER),
                    Field("persist", Kind.NUMBER),
                    Field("PerzoneSoa", Kind.FLAG),
                    Field("DClustUnavail", Kind.FLAG),
                    Field("glueip"),
                    Field("Txt"),
                    Field("EDNSECS", Kind.FLAG),
                ),
                open=True,
            ),
            many=None,
        ),
        Rows(
            "check",
            Record(
                (
                    Field("CheckInterval", Kind.NUMBER),
                    Field("ConnTimeout", Kind.NUMBER),
                    Field("RetryAttempts", Kind.NUMBER),
                ),
                open=True,
            ),
            many=None,
        ),
    ),
    open=True,
)

_FQDN: Final = Parameter("fqdn", documentation="The name.", required=True, longest=255)
_IP: Final = Parameter("ip", Kind.ADDRESS, "Address of the site.", required=True)
_CLUSTER_IP: Final = Parameter("ip", Kind.ADDRESS, "Address of the cluster.")
_CLUSTER_ID: Final = Parameter("id", Kind.TEXT, "Or its index.", longest=64)
_COUNTRY: Final = (
    _FQDN,
    _IP,
    Parameter("countrycode", documentation="Two letters.", longest=4),
    Parameter("iscontinent", Kind.SWITCH, "The code is a continent's."),
    Parameter("customlocation", documentation="Name of a location of one's own.", longest=64),
)

_CLUSTERS: Final = (
    Command("listclusters", "All clusters.", reply=Data(Record((Rows("cluster", CLUSTER, Many.BARE),)))),
    Command(
        "showcluster",
        "One cluster.",
        parameters=(_CLUSTER_IP, _CLUSTER_ID),
        reply=Data(Record((Rows("cluster", CLUSTER, Many.BARE),))),
    ),
    Command(
        "addcluster",
        "Create a cluster.",
        _SYNCHRONISED,
        (
            Parameter("ip", Kind.ADDRESS, "Address of the cluster.", required=True),
            Parameter("name", documentation="Its name.", required=True, longest=127),
        ),
        permissions=_GEO,
    ),
    Command(
        "modcluster",
        "Change a cluster.",
        _SYNCHRONISED,
        (
            _CLUSTER_IP,
            _CLUSTER_ID,
            Parameter("type", documentation="Kind of cluster.", choices=("default", "remoteLM", "localLM")),
            Parameter("name", documentation="Its name.", longest=127),
            Parameter("checker", documentation="How it is checked.", choices=("none", "tcp", "icmp")),
            Parameter("checkerport", Kind.NUMBER, "Where.", minimum=0, maximum=65_530),
            Parameter("enable", Kind.LETTER, "Whether it is used."),
        ),
        reply=Data(Record((Rows("cluster", CLUSTER, Many.BARE),))),
        permissions=_GEO,
    ),
    Command("delcluster", "Delete a cluster.", _SYNCHRONISED, (_CLUSTER_IP, _CLUSTER_ID), permissions=_GEO),
    Command(
        "clustchangeloc",
        "Set where a cluster is.",
        _SYNCHRONISED,
        (
            Parameter("ip", Kind.ADDRESS, "Address of the cluster.", required=True),
            Parameter(
                "latsecs",
                Kind.NUMBER,
                "Latitude, seconds of arc.",
                True,
                minimum=-324_000,
                maximum=324_000,
            ),
            Parameter(
                "longsecs",
                Kind.NUMBER,
                "Longitude, the same.",
                True,
                minimum=-648_000,
                maximum=648_000,
            ),
        ),
        permissions=_GEO,
    ),
)

_NAMES: Final = (
    Command("listfqdns", "All names.", reply=Data(Record((Rows("fqdn", FQDN, Many.BARE),)))),
    Command(
        "showfqdn",
        "One name.",
        parameters=(_FQDN,),
        reply=Data(Record((Rows("fqdn", FQDN, Many.BARE),))),
    ),
    Command("addfqdn", "Create a name.", _SYNCHRONISED, (_FQDN,), permissions=_GEO),
    Command(
        "modfqdn",
        "Change a name.",
        _SYNCHRONISED,
        (
            _FQDN,
            Parameter(
                "SelectionCriteria",
                documentation="How a site is chosen.",
                choices=("rr", "wrr", "fw", "rsr", "prx", "lb", "all"),
            ),
            Parameter("FailTime", Kind.NUMBER, "Minutes.", minimum=0, maximum=1440),
            Parameter("siterecoverymode", documentation="Only with `lb`.", choices=("auto", "manual")),
            Parameter("failover", Kind.LETTER, "Fail over to another site."),
            Parameter("publicRequestValue", Kind.NUMBER, "Sites for public askers.", minimum=0, maximum=3),
            Parameter("privateRequestValue", Kind.NUMBER, "Sites for private askers.", minimum=0, maximum=3),
            Parameter("LocalSettings", Kind.LETTER, "Use the next two."),
            Parameter("localttl", Kind.NUMBER, "Seconds.", minimum=1, maximum=86_400),
            Parameter("localsticky", Kind.NUMBER, "Seconds.", minimum=0, maximum=86_400),
            Parameter("unanimouschecks", Kind.LETTER, "All sites' checks count."),
        ),
        permissions=_GEO,
    ),
    Command("delfqdn", "Delete a name.", _SYNCHRONISED, (_FQDN,), permissions=_GEO),
    Command(
        "addmap",
        "Add a site to a name.",
        _SYNCHRONISED,
        (_FQDN, _IP, Parameter("clust", documentation="Its cluster.", longest=64)),
        permissions=_GEO,
    ),
    Command(
        "modmap",
        "Change a site of a name.",
        _SYNCHRONISED,
        (
            _FQDN,
            _IP,
            Parameter(
                "Checker",
                documentation="How it is checked.",
                choices=("none", "icmp", "tcp", "clust", "http", "https"),
            ),
            Parameter("checkerurl", documentation="Path of an HTTP check.", longest=127),
            Parameter("checkercodes", Kind.WORDS, "Statuses that count as healthy.", longest=127),
            Parameter("checkerhost", documentation="`Host` of an HTTP check.", longest=127),
            Parameter(
                "checkerhttpmethod",
                Kind.NUMBER,
                "Method of an HTTP check: 1 GET, 2 POST.",
                minimum=1,
                maximum=2,
            ),
            Parameter("checkerpostdata", documentation="Body of a POST.", longest=2047),
            Parameter("Weight", Kind.NUMBER, "Share of answers.", minimum=1, maximum=65_535),
            Parameter("Enable", Kind.LETTER, "Whether it is used."),
            Parameter("Cluster", documentation="Its cluster.", longest=64),
            Parameter("MapAddress", Kind.ADDRESS, "Virtual service on the remote LoadMaster."),
            Parameter("MapPort", Kind.NUMBER, "Its port.", minimum=0, maximum=65_535),
        ),
        permissions=_GEO,
    ),
    Command("delmap", "Take a site out of a name.", _SYNCHRONISED, (_FQDN, _IP), permissions=_GEO),
    Command(
        "changemaploc",
        "Set where a site is.",
        _SYNCHRONISED,
        (
            _FQDN,
            _IP,
            Parameter(
                "lat",
                Kind.NUMBER,
                "Latitude, seconds of arc.",
                True,
                minimum=-324_000,
                maximum=324_000,
            ),
            Parameter("long", Kind.NUMBER, "Longitude, the same.", True, minimum=-648_000, maximum=648_000),
        ),
        permissions=_GEO,
    ),
    Command(
        "changecheckeraddr",
        "Set where a site is checked.",
        _SYNCHRONISED,
        (
            _FQDN,
            _IP,
            Parameter("checkerip", Kind.ADDRESS, "Address."),
            Parameter("port", Kind.NUMBER, "Port.", minimum=1, maximum=65_530),
        ),
        permissions=_GEO,
    ),
    Command("addcountry", "Give a site a country.", _SYNCHRONISED, _COUNTRY, permissions=_GEO),
    Command("removecountry", "Take a country from a site.", _SYNCHRONISED, _COUNTRY, permissions=_GEO),
)

_GENERAL: Final = (
    Command("listparams", "GEO's parameters.", reply=Data(PARAMETERS)),
    Command(
        "modparams",
        "Change GEO's parameters.",
        _SYNCHRONISED,
        (
            Parameter("Zone", documentation="Name of the zone.", longest=255),
            Parameter("PerzoneSoa", Kind.FLAG, "The SOA parameters are the zone's only."),
            Parameter("SourceOfAuthority", documentation="Answer to SOA requests.", longest=255),
            Parameter("namesrv", documentation="Answer to NS requests.", longest=1022),
            Parameter("SOAEmail", documentation="Mail address of the SOA record.", longest=255),
            Parameter("DClustUnavail", Kind.FLAG, "No answer with addresses of a disabled cluster."),
            Parameter("glueip", Kind.ADDRESS, "Address of the name server."),
            Parameter("Txt", documentation="TXT record.", longest=255),
            Parameter("TTL", Kind.NUMBER, "Seconds.", minimum=1, maximum=86_400),
            Parameter("persist", Kind.NUMBER, "Stickiness, seconds.", minimum=0, maximum=86_400),
            Parameter("EDNSECS", Kind.FLAG, "EDNS client subnet counts."),
            Parameter("CheckInterval", Kind.NUMBER, "Seconds.", minimum=9, maximum=3600),
            Parameter("ConnTimeout", Kind.NUMBER, "Seconds.", minimum=4, maximum=60),
            Parameter("RetryAttempts", Kind.NUMBER, "Times.", minimum=2, maximum=10),
        ),
        permissions=_GEO,
    ),
    Command(
        "enablegeo",
        "Set GEO to be on. The setting is kept and synchronised; nothing here answers DNS yet.",
        _SYNCHRONISED,
        permissions=_GEO,
    ),
    Command("disablegeo", "Switch GEO off.", _SYNCHRONISED, permissions=_GEO),
    Command("isgeoenabled", "Whether GEO answers.", reply=Text("Data")),
    Command(
        "getgeopartnerstatus",
        "How the GEO partners are.",
        reply=Data(
            Record((Rows("Partner", Record((Field("Address"), Field("Status")))),)),
            element="GeoPartners",
        ),
    ),
)

COMMANDS: Final = (*_CLUSTERS, *_NAMES, *_GENERAL)
