"""Which Azure: where Resource Manager and sign-in are, and whose certificates are trusted.

Public and sovereign clouds by name, anything else (Azure Stack Hub, the emulator) by its endpoints. The
endpoints are those of Microsoft's own `az cloud list`.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit


class CloudInvalid(ValueError):  # noqa: N818 - reads as what is wrong
    """The configured endpoints cannot be used; the message says which one, why, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """The endpoints of one Azure cloud.

    `audience` is the resource that tokens are issued for; `ca_file` a PEM file of the authorities to trust
    for both endpoints *instead of* the system's. `known_authority` is false where the sign-in endpoint is not
    one of Microsoft's, so that the identity library does not ask Microsoft about it.

    Raises:
        CloudInvalid: an endpoint is not an https URL.
    """

    name: str
    resource_manager_url: str
    authority_url: str
    audience: str
    ca_file: Path | None = None
    known_authority: bool = True

    def __post_init__(self) -> None:
        for field, url in (
            ("Resource Manager", self.resource_manager_url),
            ("sign-in (authority)", self.authority_url),
        ):
            parts = urlsplit(url)
            if parts.scheme != "https" or not parts.hostname:
                raise CloudInvalid(
                    f"the {field} endpoint {url!r} is not an https URL: tokens are sent over TLS only. "
                    "Write it like https://management.azure.com"
                )

    @classmethod
    def custom(
        cls,
        resource_manager_url: str,
        *,
        authority_url: str | None = None,
        audience: str | None = None,
        ca_file: Path | None = None,
    ) -> "Cloud":
        """A cloud that Microsoft does not list; sign-in and audience default to Resource Manager's."""
        base = resource_manager_url.rstrip("/")
        return cls(
            "Custom",
            base,
            (authority_url or base).rstrip("/"),
            audience or base,
            ca_file,
            known_authority=False,
        )

    @property
    def scope(self) -> str:
        """The OAuth scope that tokens are asked for."""
        return f"{self.audience.rstrip('/')}/.default"

    def ssl_context(self) -> ssl.SSLContext:
        """Make the TLS settings for all connections to this cloud. Certificates are always verified.

        Raises:
            CloudInvalid: the CA file cannot be read or holds no certificate.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise CloudInvalid(
                f"the CA file {self.ca_file} cannot be used: {error}. "
                "It must be a PEM file with at least one certificate"
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def trusts(self, url: str) -> bool:
        """Whether a token of ours may go to this URL: https, on Resource Manager's host or one below it.

        Azure answers with URLs (of operations, of further pages) that are called as they are, and such a URL
        is also kept in the status of an object; a token must not follow it anywhere.
        """
        theirs, ours = urlsplit(url), urlsplit(self.resource_manager_url)
        if theirs.scheme != "https" or theirs.hostname is None or ours.hostname is None or theirs.username:
            return False
        same_host = theirs.hostname == ours.hostname or theirs.hostname.endswith(f".{ours.hostname}")
        return same_host and (theirs.port or 443) == (ours.port or 443)


PUBLIC: Final = Cloud(
    "AzureCloud",
    "https://management.azure.com",
    "https://login.microsoftonline.com",
    "https://management.azure.com",
)
CHINA: Final = Cloud(
    "AzureChinaCloud",
    "https://management.chinacloudapi.cn",
    "https://login.chinacloudapi.cn",
    "https://management.chinacloudapi.cn",
)
US_GOVERNMENT: Final = Cloud(
    "AzureUSGovernment",
    "https://management.usgovcloudapi.net",
    "https://login.microsoftonline.us",
    "https://management.usgovcloudapi.net",
)
_BY_NAME: Final = {cloud.name.lower(): cloud for cloud in (PUBLIC, CHINA, US_GOVERNMENT)}


def named(name: str) -> Cloud:
    """The cloud that Microsoft lists under this name (`az cloud list`), whatever its case.

    Raises:
        CloudInvalid: there is no such cloud.
    """
    try:
        return _BY_NAME[name.lower()]
    except KeyError:
        known = ", ".join(cloud.name for cloud in _BY_NAME.values())
        raise CloudInvalid(
            f"there is no cloud named {name!r}; known are {known}, any other by its Resource Manager endpoint"
        ) from None
