"""Cloud metadata (`/metadata/endpoints`), by which `az` and Terraform find ARM and sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadmaster_ha.emulator.json_types import JsonObject

_PATH = "/metadata/endpoints"


def answer(path: str, base_url: str) -> JsonObject | None:
    """Return the description of this cloud; `None` when the path asks for something else.

    Services that the emulator does not have are named under the reserved domain `.invalid`.
    """
    if path.rstrip("/").lower() != _PATH:
        return None
    return {
        "name": "LoadMasterEmulator",
        "portal": base_url,
        "authentication": {
            "loginEndpoint": base_url,
            "audiences": [base_url, f"{base_url}/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": base_url,
        "graphAudience": "https://graph.invalid/",
        "graph": "https://graph.invalid/",
        "gallery": "https://gallery.invalid/",
        "batch": "https://batch.invalid/",
        "media": "https://media.invalid/",
        "sqlManagement": "https://sql.invalid/",
        "vmImageAliasDoc": "https://images.invalid/aliases.json",
        "activeDirectoryDataLake": "https://datalake.invalid/",
        "suffixes": {
            "storage": "storage.invalid",
            "keyVaultDns": "vault.invalid",
            "sqlServerHostname": "database.invalid",
            "azureDataLakeStoreFileSystem": "datalakestore.invalid",
            "azureDataLakeAnalyticsCatalogAndJob": "datalakeanalytics.invalid",
            "acrLoginServer": "registry.invalid",
        },
    }
