"""Kinds of strings and numbers that several parts of the resource use, with their limits.

Azure's naming rules: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules.
The patterns are in the common subset of RE2 (API server), Rust's regex (pydantic) and Python's `re`.
"""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from loadmaster_ha.domain import fingerprints
from loadmaster_ha.resources.model import Rule, rules

_OCTET: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(\.{_OCTET}){{3}}"
_GUID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_GROUP: Final = r"[-A-Za-z0-9_.()]{0,89}[-A-Za-z0-9_()]"
_NETWORK_NAME: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,78}[A-Za-z0-9_])?"
_PROVIDERS: Final = r"/[pP]roviders/[mM]icrosoft\.[nN]etwork/"

SubscriptionID = Annotated[str, Field(pattern=rf"^{_GUID}$", max_length=36)]
Location = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$", max_length=50)]
ResourceGroupName = Annotated[str, Field(pattern=rf"^{_GROUP}$", max_length=90)]
AzureNetworkName = Annotated[str, Field(pattern=rf"^{_NETWORK_NAME}$", max_length=80)]
VirtualNetworkName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,62}[A-Za-z0-9_])?$", max_length=64)
]
VirtualMachineName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,62}[A-Za-z0-9_])?$", max_length=64)
]
NetworkInterfaceResource = Annotated[
    str,
    Field(
        pattern=rf"^({_NETWORK_NAME}|/subscriptions/{_GUID}/[rR]esource[gG]roups/{_GROUP}"
        rf"{_PROVIDERS}[nN]etwork[iI]nterfaces/{_NETWORK_NAME})$",
        max_length=300,
    ),
]
SecretName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
SecretKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)]
KubernetesName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
LabelValue = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$", max_length=63)
]
HostName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
Fingerprint = Annotated[
    str,
    AfterValidator(fingerprints.checked),
    # A rule instead of a pattern: of that the API server tells nothing but the expression.
    Field(
        max_length=128,
        json_schema_extra=rules(
            Rule(f"self.matches('{fingerprints.FORM}')", message=fingerprints.FORM_IN_WORDS)
        ),
    ),
]
InterfaceName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
ServiceName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=24)]
DNSLabel = Annotated[str, Field(pattern=r"^[a-z][-a-z0-9]*[a-z0-9]$", min_length=3, max_length=63)]
IPv4Address = Annotated[str, Field(pattern=rf"^{_IPV4}$", max_length=15)]
AddressPrefix = Annotated[
    str,
    Field(
        pattern=rf"^(\*|[A-Z][A-Za-z0-9]*(\.[A-Za-z0-9]+)?|{_IPV4}(/(3[0-2]|[12]?[0-9]))?)$",
        max_length=64,
    ),
]
FrontendPort = Annotated[int, Field(ge=1, le=65534, strict=True)]
BackendPort = Annotated[int, Field(ge=1, le=65535, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
