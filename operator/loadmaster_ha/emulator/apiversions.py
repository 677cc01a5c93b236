"""Which api-versions each provider answers.

Several must work side by side: the Azure SDKs, `az` and templates of different ages each bring their own. The
body is the same for all of them here (Azure's differences between versions are additions only); what depends
on the version, such as rule health, asks `at_least`.
"""

from __future__ import annotations

from loadmaster_ha.emulator.errors import (
    ArmError,
    invalid_api_version,
    missing_api_version,
    no_registered_provider,
)

_NETWORK = (
    "2016-09-01 2016-12-01 2017-03-01 2017-06-01 2017-08-01 2017-09-01 2017-10-01 2017-11-01 2018-01-01 "
    "2018-02-01 "
    "2018-04-01 2018-06-01 2018-07-01 2018-08-01 2018-10-01 2018-11-01 2018-12-01 2019-02-01 2019-04-01 "
    "2019-06-01 "
    "2019-07-01 2019-08-01 2019-09-01 2019-11-01 2019-12-01 2020-03-01 2020-04-01 2020-05-01 2020-06-01 "
    "2020-07-01 "
    "2020-08-01 2020-11-01 2021-02-01 2021-03-01 2021-05-01 2021-08-01 2022-01-01 2022-05-01 2022-07-01 "
    "2022-09-01 "
    "2022-11-01 2023-02-01 2023-04-01 2023-05-01 2023-06-01 2023-09-01 2023-11-01 2024-01-01 2024-03-01 "
    "2024-05-01 "
    "2024-07-01 2024-10-01 2025-01-01 2025-03-01 2025-05-01 2025-07-01 2025-09-01 2026-01-01 2026-03-01"
)
_COMPUTE = (
    "2017-03-30 2017-12-01 2018-04-01 2018-06-01 2018-10-01 2019-03-01 2019-07-01 2019-12-01 2020-06-01 "
    "2020-12-01 "
    "2021-03-01 2021-04-01 2021-07-01 2021-11-01 2022-03-01 2022-08-01 2022-11-01 2023-03-01 2023-07-01 "
    "2023-09-01 "
    "2024-03-01 2024-07-01 2024-11-01 2025-04-01 2026-04-01"
)
_RESOURCES = (
    "2014-04-01-preview 2015-01-01 2015-11-01 2016-02-01 2016-06-01 2016-07-01 2016-09-01 2017-05-10 "
    "2018-01-01 2018-02-01 "
    "2018-05-01 2019-03-01 2019-05-01 2019-05-10 2019-06-01 2019-07-01 2019-08-01 2019-10-01 2019-11-01 "
    "2020-01-01 "
    "2020-06-01 2020-08-01 2020-10-01 2021-01-01 2021-04-01 2022-01-01 2022-09-01 2022-12-01 2023-07-01 "
    "2024-03-01 "
    "2024-07-01 2024-11-01 2025-03-01 2025-04-01"
)

SUPPORTED: dict[str, tuple[str, ...]] = {
    "microsoft.network": tuple(reversed(_NETWORK.split())),
    "microsoft.compute": tuple(reversed(_COMPUTE.split())),
    "microsoft.resources": tuple(reversed(_RESOURCES.split())),
}


def check(version: str | None, namespace: str, kind: str, location: str = "") -> str:
    """Return the api-version when the provider knows it.

    Raises:
        ArmError: 400 `MissingApiVersionParameter`, `InvalidApiVersionParameter` (ARM's own resources) or
            `NoRegisteredProviderFound` (a provider's).
    """
    if not version:
        raise missing_api_version()
    supported = SUPPORTED.get(namespace.lower(), SUPPORTED["microsoft.resources"])
    if version in supported:
        return version
    raise _unknown(version, namespace, kind, location, supported)


def _unknown(version: str, namespace: str, kind: str, location: str, supported: tuple[str, ...]) -> ArmError:
    if namespace.lower() == "microsoft.resources":
        return invalid_api_version(version, supported)
    return no_registered_provider(kind, version, location, supported)


def at_least(version: str, first: str) -> bool:
    """Say whether `version` is `first` or newer (dates compare as text)."""
    return version[:10] >= first
