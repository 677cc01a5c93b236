"""Sign-in, as far as clients of ARM use Microsoft Entra ID: discovery and client credentials.

Any client id and secret of any tenant signs in; a fault with `clientId` makes it refuse one. Tokens are
unsigned JWTs: clients do not look into them, and the emulator takes whatever bearer it is shown.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
import uuid
from typing import TYPE_CHECKING

from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.settings import TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadmaster_ha.emulator.json_types import JsonObject

_LIFETIME = 86399


def answer(method: str, path: str, form: Mapping[str, str], base_url: str) -> Reply | None:
    """Answer a sign-in request; `None` when the path is not one."""
    parts = path.strip("/").lower().split("/")
    if parts == ["common", "discovery", "instance"]:
        return Reply(200, _instance(base_url))
    if len(parts) >= 3 and parts[-2:] == [".well-known", "openid-configuration"]:
        return Reply(200, _discovery(path.strip("/").split("/")[0], base_url))
    if parts[1:] in (["oauth2", "v2.0", "token"], ["oauth2", "token"]) and method == "POST":
        return _token(parts[0], form)
    return None


def refusal(client: str) -> Reply:
    """The answer to a wrong client secret."""
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return Reply(
        401,
        {
            "error": "invalid_client",
            "error_description": "AADSTS7000215: Invalid client secret provided. Ensure the secret being "
            "sent in the request "
            "is the client secret value, not the client secret ID, for a secret added to app "
            f"'{client}'. Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}",
            "error_codes": [7000215],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": "https://login.microsoftonline.com/error?code=7000215",
        },
    )


def _instance(base_url: str) -> JsonObject:
    host = base_url.removeprefix("https://")
    return {
        "tenant_discovery_endpoint": f"{base_url}/common/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }


def _discovery(tenant: str, base_url: str) -> JsonObject:
    root = f"{base_url}/{tenant}"
    return {
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{root}/v2.0",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "tid", "oid"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": base_url.removeprefix("https://"),
    }


def _token(tenant: str, form: Mapping[str, str]) -> Reply:
    client = form.get("client_id", "")
    if not client or not form.get("grant_type"):
        return Reply(
            400,
            {
                "error": "invalid_request",
                "error_description": "AADSTS900144: The request body must contain the following parameter: "
                f"'{'grant_type' if client else 'client_id'}'.",
                "error_codes": [900144],
            },
        )
    now = int(time.time())
    scope = form.get("scope") or form.get("resource") or ""
    claims = {
        "aud": scope.removesuffix("/.default"),
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": now,
        "nbf": now,
        "exp": now + _LIFETIME,
        "appid": client,
        "oid": str(uuid.uuid5(uuid.NAMESPACE_OID, client)),
        "tid": tenant if len(tenant) == len(TENANT) else TENANT,
        "ver": "1.0",
    }
    token = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."
    return Reply(
        200,
        {
            "token_type": "Bearer",
            "expires_in": _LIFETIME,
            "ext_expires_in": _LIFETIME,
            "access_token": token,
        },
    )


def _part(content: JsonObject) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def principal(bearer: str) -> str:
    """Return whom a bearer token belongs to, for request budgets; `unknown` for a token not of ours."""
    try:
        body = bearer.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims["appid"])
    except (IndexError, ValueError, KeyError, TypeError):
        return "unknown"
