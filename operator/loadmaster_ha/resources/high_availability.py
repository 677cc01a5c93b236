"""High availability of the two units (`spec.highAvailability`; guide, section 7)."""

from loadmaster_ha.domain.ha import PreferredHost
from loadmaster_ha.resources.model import Model
from loadmaster_ha.resources.names import Flag, SecretKey, SecretName


class SharedSecretReference(Model):
    """One value in a Secret of the same namespace."""

    name: SecretName
    """Name of the Secret."""

    key: SecretKey = "secret"
    """Key in the Secret. Default: secret."""


class HighAvailability(Model):
    """What both units are told about their being a pair."""

    preferred_host: PreferredHost = PreferredHost.MASTER
    """Master: the master takes over again when it is back (the guide's Prefer Master). None: who is active
    stays active until it fails (No Preferred Host)."""

    all_interfaces: Flag = False
    """Answer the balancer's probe on all interfaces; needed when a service is on another interface than the
    primary one (multi-arm)."""

    shared_secret_ref: SharedSecretReference | None = None
    """The Partner Shared Secret of both units: 8 to 127 letters, digits and punctuation, no space, no
    apostrophe. Firmware from 7.2.54.10 (LTSF) and 7.2.59.4 on and node agents need it."""
