"""Commands of certificates ("RESTful API Interface Description", 3.12)."""

from typing import Final

from loadmaster_ha.loadmaster.shapes import (
    Access,
    Binary,
    Command,
    Data,
    Field,
    Parameter,
    Permission,
    Record,
    Rows,
)
from loadmaster_ha.loadmaster.values import Kind

_CERTIFICATES: Final = frozenset({Permission.CERTIFICATES})
_INTERMEDIATE: Final = frozenset({Permission.INTERMEDIATE_CERTIFICATES, Permission.CERTIFICATES})
_BACKUP: Final = frozenset({Permission.CERTIFICATE_BACKUP})
_NAME: Final = Parameter(
    "cert",
    documentation="Name of the certificate: letters, digits, and . - _ but the first a letter or a digit.",
    required=True,
    longest=64,
    pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*",
)
_PASSWORD: Final = Parameter("password", Kind.SECRET, "Of the encrypted key.", longest=127)
_FORM: Final = Parameter(
    "outform", documentation="PEM, or the leaf as DER in base64.", choices=("PEM", "DER")
)
_PASSPHRASE: Final = Parameter(
    "password",
    Kind.SECRET,
    "7 to 64 letters and digits.",
    required=True,
    pattern=r"[A-Za-z0-9]{7,64}",
)
CERTIFICATE: Final = Record(
    (
        Field("name"),
        Field("type"),
        Field("modulus"),
        Field("publickey"),
        Field("subject"),
        Field("expires"),
        Field("fingerprint"),
    ),
    open=True,
)

COMMANDS: Final = (
    Command(
        "addcert",
        "Install a certificate with its key (PEM or PKCS #12).",
        Access.SYNCHRONISED,
        (_NAME, _PASSWORD, Parameter("replace", Kind.BIT, "Take the place of one with this name.")),
        permissions=_CERTIFICATES,
        upload=True,
    ),
    Command(
        "delcert",
        "Delete a certificate; one that is in use stays.",
        Access.SYNCHRONISED,
        (_NAME,),
        permissions=_CERTIFICATES,
    ),
    Command("listcert", "All certificates.", reply=Data(Record((Rows("cert", CERTIFICATE),)))),
    Command(
        "readcert",
        "A certificate with its chain, without its key.",
        parameters=(_NAME, _FORM),
        reply=Data(Record((Field("certificate"),))),
    ),
    Command(
        "addintermediate",
        "Install an intermediate certificate (PEM).",
        Access.SYNCHRONISED,
        (_NAME,),
        permissions=_INTERMEDIATE,
        upload=True,
    ),
    Command(
        "delintermediate",
        "Delete an intermediate certificate.",
        Access.SYNCHRONISED,
        (_NAME,),
        permissions=_INTERMEDIATE,
    ),
    Command(
        "listintermediate",
        "All intermediate certificates.",
        reply=Data(Record((Rows("cert", CERTIFICATE),))),
    ),
    Command(
        "readintermediate",
        "An intermediate certificate.",
        parameters=(_NAME, _FORM),
        reply=Data(Record((Field("certificate"),))),
    ),
    Command(
        "backupcert",
        "All certificates and keys as one encrypted file of our own format.",
        Access.LOCAL,
        (_PASSPHRASE,),
        permissions=_BACKUP,
        root_suffices=True,
        reply=Binary(),
    ),
    Command(
        "restorecert",
        "Put certificates back from such a file.",
        Access.SYNCHRONISED,
        (
            _PASSPHRASE,
            Parameter(
                "type",
                documentation="All, those of virtual services, or the intermediate ones.",
                required=True,
                choices=("full", "vs", "third"),
            ),
        ),
        permissions=_BACKUP,
        upload=True,
    ),
)
