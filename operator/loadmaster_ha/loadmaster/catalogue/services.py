"""Commands of virtual services and real servers; what they count is `statistics`.

Source: "RESTful API Interface Description", 3.6.1 and 3.10; the order and the v2 types of a service's
fields are those of recorded answers of an appliance (a port is a text in v2, an index a number).
"""

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
)
from loadmaster_ha.loadmaster.values import Kind

_SERVICES: Final = frozenset({Permission.SERVICES})
_ADD: Final = frozenset({Permission.SERVICES, Permission.ADD_SERVICES})
_SERVERS: Final = frozenset({Permission.REAL_SERVERS, Permission.SERVICES})

REAL_SERVER: Final = Record(
    (
        Field("Status"),
        Field("VSIndex", Kind.NUMBER),
        Field("RsIndex", Kind.NUMBER),
        Field("Addr"),
        Field("Port", Kind.NUMBER),
        Field("DnsName"),
        Field("Forward"),
        Field("Weight", Kind.NUMBER),
        Field("Limit", Kind.NUMBER),
        Field("RateLimit", Kind.NUMBER),
        Field("Follow", Kind.NUMBER),
        Field("Enable", Kind.FLAG),
        Field("Drain", Kind.FLAG),  # Ours, told while it drains.
        Field("Critical", Kind.FLAG),
        Field("Nrules", Kind.NUMBER),
    ),
)

SERVICE: Final = Record(
    (
        Field("Status"),
        Field("Index", Kind.NUMBER),
        Field("VSAddress"),
        Field("VSPort"),
        Field("Layer", Kind.NUMBER),
        Field("NickName"),
        Field("Enable", Kind.FLAG),
        Field("SSLReverse", Kind.FLAG),
        Field("SSLReencrypt", Kind.FLAG),
        Field("SSLAcceleration", Kind.FLAG),
        Field("CertFile", Kind.WORDS),
        Field("CipherSet"),
        Field("InterceptMode", Kind.NUMBER),
        Field("Intercept", Kind.FLAG),
        Field("AlertThreshold", Kind.NUMBER),
        Field("DefaultGW"),
        Field("Transparent", Kind.FLAG),
        Field("SubnetOriginating", Kind.FLAG),
        Field("ServerInit", Kind.NUMBER),
        Field("StartTLSMode", Kind.NUMBER),
        Field("Idletime", Kind.NUMBER),
        Field("Cache", Kind.FLAG),
        Field("Compress", Kind.FLAG),
        Field("Verify", Kind.NUMBER),
        Field("UseforSnat", Kind.FLAG),
        Field("ForceL4", Kind.FLAG),
        Field("ForceL7", Kind.FLAG),
        Field("MultiConnect", Kind.FLAG),
        Field("ClientCert", Kind.NUMBER),
        Field("SecurityHeaderOptions", Kind.NUMBER),
        Field("SameSite", Kind.NUMBER),
        Field("VerifyBearer", Kind.FLAG),
        Field("ErrorCode", Kind.DIGITS),
        Field("ErrorUrl"),
        Field("CheckUse1.1", Kind.FLAG),
        Field("MatchLen", Kind.NUMBER),
        Field("CheckUseGet", Kind.NUMBER),
        Field("SSLRewrite", Kind.DIGITS),
        Field("VStype"),
        Field("FollowVSID", Kind.NUMBER),
        Field("Protocol"),
        Field("Schedule"),
        Field("CheckType"),
        Field("Persist"),
        Field("Cookie"),
        Field("PersistTimeout", Kind.DIGITS),
        Field("CheckPort", Kind.DIGITS),
        Field("CheckHost"),
        Field("CheckUrl"),
        Field("CheckCodes", Kind.WORDS),
        Field("CheckPattern"),
        Field("ExtraPorts"),
        Field("StandbyAddr"),
        Field("StandbyPort", Kind.DIGITS),
        Field("HTTPReschedule", Kind.FLAG),
        Field("NRules", Kind.NUMBER),
        Field("NRequestRules", Kind.NUMBER),
        Field("NResponseRules", Kind.NUMBER),
        Field("NMatchBodyRules", Kind.NUMBER),
        Field("NPreProcessRules", Kind.NUMBER),
        Field("EspEnabled", Kind.FLAG),
        Field("InputAuthMode", Kind.NUMBER),
        Field("OutputAuthMode", Kind.NUMBER),
        Field("MasterVS", Kind.NUMBER),
        Field("MasterVSID", Kind.NUMBER),
        Field("IsTransparent", Kind.NUMBER),
        Field("AddVia", Kind.NUMBER),
        Field("QoS", Kind.NUMBER),
        Field("TlsType", Kind.DIGITS),
        Field("NeedHostName", Kind.FLAG),
        Field("OCSPVerify", Kind.FLAG),
        Field("AllowHTTP2", Kind.FLAG),
        Field("PassCipher", Kind.FLAG),
        Field("PassSni", Kind.FLAG),
        Field("ChkInterval", Kind.NUMBER),
        Field("ChkTimeout", Kind.NUMBER),
        Field("ChkRetryCount", Kind.NUMBER),
        Field("Bandwidth", Kind.NUMBER),
        Field("ConnsPerSecLimit", Kind.NUMBER),
        Field("RequestsPerSecLimit", Kind.NUMBER),
        Field("MaxConnsLimit", Kind.NUMBER),
        Field("RefreshPersist", Kind.FLAG),
        Field("EnhancedHealthChecks", Kind.FLAG),
        Field("RsMinimum", Kind.NUMBER),
        Field("NumberOfRSs", Kind.NUMBER),
        Rows("Rs", REAL_SERVER),
    ),
    open=True,
)

_WHICH: Final = (
    Parameter("vs", Kind.TEXT, "Address of the service, or its index (then port and prot are left out)."),
    Parameter("port", Kind.TEXT, "Its port: 1 to 65535.", pattern=r"\*|[0-9]{1,5}"),
    Parameter("prot", Kind.TEXT, "Its protocol.", choices=("tcp", "udp")),
)
_WHICH_REQUIRED: Final = (
    Parameter("vs", Kind.TEXT, "Address of the service, or its index.", required=True),
    *_WHICH[1:],
)

_SETTINGS: Final = (
    Parameter(
        "NickName",
        documentation="A name for people: letters, digits, and . @ - _ but not in the first place.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9.@_-]*",
        longest=127,
    ),
    Parameter("Enable", Kind.FLAG, "Whether it is served."),
    Parameter(
        "VStype",
        documentation="Kind of service.",
        choices=("gen", "http", "http2", "ts", "tls", "log"),
    ),
    Parameter("ForceL7", Kind.FLAG, "Layer 7."),
    Parameter("ForceL4", Kind.FLAG, "Layer 4."),
    Parameter("Transparent", Kind.FLAG, "Transparency; not possible in Azure (guide, 1.1)."),
    Parameter("SubnetOriginating", Kind.FLAG, "Connections to real servers come from the unit's address."),
    Parameter(
        "Schedule",
        documentation="How a connection finds its real server.",
        choices=("rr", "wrr", "lc", "wlc", "fixed", "adaptive", "sh", "dl", "sdn-adaptive", "uhash"),
    ),
    Parameter("Persist", documentation="Persistence: none, src, cookie, active-cookie ...", longest=32),
    Parameter("PersistTimeout", Kind.NUMBER, "Seconds, whole minutes.", minimum=0, maximum=2_419_200),
    Parameter("Cookie", documentation="Name of the cookie of the server.", longest=127),
    Parameter("Idletime", Kind.NUMBER, "Seconds until an idle connection ends.", minimum=0, maximum=86_400),
    Parameter(
        "CheckType",
        documentation="How real servers are checked.",
        choices=(
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
        ),
    ),
    Parameter("CheckPort", Kind.NUMBER, "Where; 0 for the real server's port.", minimum=0, maximum=65_535),
    Parameter("CheckUrl", documentation="Path of an HTTP check.", longest=126),
    Parameter("CheckHost", documentation="`Host` of an HTTP check (needs CheckUse1.1).", longest=253),
    Parameter("CheckUse1.1", Kind.FLAG, "HTTP/1.1 for the check."),
    Parameter("CheckCodes", Kind.WORDS, "Further statuses that count as healthy.", longest=127),
    Parameter("CheckUseGet", Kind.NUMBER, "0 HEAD, 1 GET, 2 POST, 3 OPTIONS.", minimum=0, maximum=3),
    Parameter("CheckPattern", documentation="What the body has to contain.", longest=128),
    Parameter(
        "ChkInterval",
        Kind.NUMBER,
        "Seconds between checks; 0 for the default.",
        minimum=0,
        maximum=901,
    ),
    Parameter("ChkTimeout", Kind.NUMBER, "Seconds for an answer; 0 for the default.", minimum=0, maximum=60),
    Parameter("ChkRetryCount", Kind.NUMBER, "Failures until down; 0 for the default.", minimum=0, maximum=15),
    Parameter("EnhancedHealthChecks", Kind.FLAG, "Take RsMinimum into account."),
    Parameter(
        "RsMinimum",
        Kind.NUMBER,
        "Healthy real servers that the service needs.",
        minimum=0,
        maximum=1024,
    ),
    Parameter("SSLAcceleration", Kind.FLAG, "Terminate TLS."),
    Parameter("SSLReencrypt", Kind.FLAG, "TLS towards the real servers after termination."),
    Parameter("SSLReverse", Kind.FLAG, "TLS towards the real servers of a plain service."),
    Parameter("SSLRewrite", documentation="Rewriting of redirects; not possible here.", longest=16),
    Parameter("CertFile", Kind.WORDS, "Names of certificates, the default one first.", longest=4096),
    Parameter("CipherSet", documentation="Name of a cipher set.", longest=64),
    Parameter(
        "TlsType",
        Kind.NUMBER,
        "Bit mask of TLS versions that are switched off.",
        minimum=0,
        maximum=31,
    ),
    Parameter("NeedHostName", Kind.FLAG, "Turn clients without SNI away."),
    Parameter("ClientCert", Kind.NUMBER, "Client certificates.", minimum=0, maximum=6),
    Parameter("AllowHTTP2", Kind.FLAG, "HTTP/2 towards clients."),
    Parameter("ExtraPorts", documentation="Further ports: `8080,8443` or `8000-8003`.", longest=1024),
    Parameter("DefaultGW", Kind.ADDRESS, "Alternate gateway; not possible in Azure (guide, 1.1)."),
    Parameter("StandbyAddr", Kind.ADDRESS, "The sorry server."),
    Parameter("StandbyPort", Kind.NUMBER, "Its port.", minimum=0, maximum=65_535),
    Parameter("ErrorCode", Kind.NUMBER, "Status when no real server is there.", minimum=0, maximum=599),
    Parameter("ErrorUrl", documentation="Redirect instead.", longest=1024),
    Parameter("AddVia", Kind.NUMBER, "Which forwarded headers are added.", minimum=0, maximum=7),
    Parameter("QoS", Kind.NUMBER, "Type of service of packets.", minimum=0, maximum=255),
    Parameter("Cache", Kind.FLAG, "Caching; not possible here."),
    Parameter("Compress", Kind.FLAG, "Compression; not possible here."),
    Parameter("UseforSnat", Kind.FLAG, "Use the service's address for SNAT."),
    Parameter("ServerInit", Kind.NUMBER, "Server initiating protocols.", minimum=0, maximum=9),
    Parameter("createsubvs", documentation="Create a SubVS; not possible here.", longest=16),
)
# What only an appliance has. It is named, because a parameter that is not would be passed over in silence.
_NOT_HERE: Final = (
    *(
        Parameter(name, Kind.FLAG, f"{what}; not possible here.")
        for name, what in (
            ("Intercept", "Web application firewall"),
            ("MultiConnect", "Connection multiplexing"),
            ("VerifyBearer", "Edge Security Pack"),
            ("EspEnabled", "Edge Security Pack"),
            ("HTTPReschedule", "A new real server for each request"),
            ("OCSPVerify", "Client certificates"),
            ("PassCipher", "Headers about TLS"),
            ("PassSni", "SNI towards the real servers"),
            ("RefreshPersist", "Persistence that open connections renew"),
        )
    ),
    *(
        Parameter(name, Kind.NUMBER, f"{what}; not possible here.")
        for name, what in (
            ("InterceptMode", "Web application firewall"),
            ("AlertThreshold", "Web application firewall"),
            ("StartTLSMode", "STARTTLS"),
            ("Verify", "Intrusion detection"),
            ("SecurityHeaderOptions", "Security headers"),
            ("SameSite", "Edge Security Pack"),
            ("MatchLen", "Binary health checks"),
            ("FollowVSID", "Port following"),
            ("InputAuthMode", "Edge Security Pack"),
            ("OutputAuthMode", "Edge Security Pack"),
            ("Bandwidth", "Limits per client"),
            ("ConnsPerSecLimit", "Limits per client"),
            ("RequestsPerSecLimit", "Limits per client"),
            ("MaxConnsLimit", "Limits per client"),
        )
    ),
    *(
        Parameter(name, documentation=f"{what}; not possible here.", longest=8099)
        for name, what in (
            ("AltAddress", "An alternate address"),
            ("QueryTag", "Persistence by query"),
            ("CheckHeaders", "Further headers of health checks"),
            ("CheckPostData", "A body of health checks"),
            ("ExtraHdrKey", "Further headers of requests"),
            ("ExtraHdrValue", "Further headers of requests"),
            ("CopyHdrFrom", "Further headers of requests"),
            ("CopyHdrTo", "Further headers of requests"),
            ("LocalBindAddrs", "Other source addresses"),
            ("ReverseSNIHostname", "SNI towards the real servers"),
            ("Ciphers", "A choice of ciphers"),
            ("Tls13CipherSet", "A choice of ciphers"),
            ("IntermediateCerts", "Client certificates"),
            ("LdapEndpoint", "LDAP"),
            ("template", "Templates"),
        )
    ),
)
_CHANGES: Final = (
    Parameter("VSAddress", Kind.ADDRESS, "New address."),
    Parameter("VSPort", documentation="New port: 3 to 65530.", pattern=r"\*|[0-9]{1,5}"),
    Parameter("Protocol", documentation="New protocol.", choices=("tcp", "udp")),
)

_SERVER: Final = (
    Parameter(
        "rs",
        documentation="Address of the real server, or `!` and its index.",
        required=True,
        longest=253,
    ),
    Parameter("rsport", Kind.NUMBER, "Its port.", minimum=1, maximum=65_535),
)
_SERVER_SETTINGS: Final = (
    Parameter("weight", Kind.NUMBER, "Share of connections: 1000.", minimum=1, maximum=65_535),
    Parameter("forward", documentation="How packets get there.", choices=("nat", "route")),
    Parameter("enable", Kind.FLAG, "Whether it gets connections."),
    Parameter("drain", Kind.FLAG, "Disable it, but let clients that are persistent to it finish. Ours."),
    Parameter("limit", Kind.NUMBER, "Most connections; 0 for any.", minimum=0, maximum=100_000),
    Parameter(
        "ratelimit",
        Kind.NUMBER,
        "Most new connections a second; 0 for any.",
        minimum=0,
        maximum=100_000,
    ),
    Parameter("critical", Kind.FLAG, "The service is down when it is."),
    Parameter("follow", Kind.NUMBER, "Index of a real server whose state it takes.", minimum=0),
    Parameter("non_local", Kind.FLAG, "It is on another network than the unit."),
    Parameter("addtoallsubvs", Kind.FLAG, "Add it to every SubVS."),
)
_NEW_PORT: Final = Parameter("newport", Kind.NUMBER, "New port.", minimum=1, maximum=65_535)
_ONE_SERVER: Final = Data(Record((Rows("Rs", REAL_SERVER),)))

_TOTALS: Final = Record(
    tuple(
        Field(f"{what}_{state}", Kind.NUMBER)
        for what in ("VS", "SubVS", "RS")
        for state in ("Total", "Up", "Down", "Disabled")
    ),
)
COMMANDS: Final = (
    Command("listvs", "All virtual services.", reply=Data(Record((Rows("VS", SERVICE),)))),
    Command("showvs", "One virtual service.", parameters=_WHICH_REQUIRED, reply=Data(SERVICE)),
    Command(
        "addvs",
        "Create a virtual service on the unit's own address (guide, 1.1).",
        Access.SYNCHRONISED,
        (*_WHICH_REQUIRED, *_SETTINGS, *_NOT_HERE),
        reply=Data(SERVICE),
        permissions=_ADD,
    ),
    Command(
        "modvs",
        "Change a virtual service; what is not sent stays.",
        Access.SYNCHRONISED,
        (*_WHICH_REQUIRED, *_CHANGES, *_SETTINGS, *_NOT_HERE),
        reply=Data(SERVICE),
        permissions=_SERVICES,
    ),
    Command(
        "delvs",
        "Delete a virtual service.",
        Access.SYNCHRONISED,
        _WHICH_REQUIRED,
        permissions=_SERVICES,
    ),
    Command("showrs", "One real server.", parameters=(*_WHICH_REQUIRED, *_SERVER), reply=_ONE_SERVER),
    Command(
        "addrs",
        "Add a real server to a virtual service.",
        Access.SYNCHRONISED,
        (*_WHICH_REQUIRED, *_SERVER, *_SERVER_SETTINGS),
        reply=_ONE_SERVER,
        permissions=_SERVERS,
    ),
    Command(
        "modrs",
        "Change a real server; what is not sent stays.",
        Access.SYNCHRONISED,
        (*_WHICH_REQUIRED, *_SERVER, _NEW_PORT, *_SERVER_SETTINGS),
        permissions=_SERVERS,
    ),
    Command(
        "delrs",
        "Take a real server out of a virtual service.",
        Access.SYNCHRONISED,
        (*_WHICH_REQUIRED, *_SERVER),
        permissions=_SERVERS,
    ),
    Command(
        "enablers",
        "Enable a real server in every virtual service.",
        Access.SYNCHRONISED,
        _SERVER,
        permissions=_SERVERS,
    ),
    Command(
        "disablers",
        "Disable a real server in every virtual service.",
        Access.SYNCHRONISED,
        _SERVER,
        permissions=_SERVERS,
    ),
    Command("vstotals", "How many services and servers are up, down, disabled.", reply=Data(_TOTALS)),
)
