"""Who the operator is in Azure: credentials of a Secret or the process's own, and sign-in with them.

`read_secret` understands a Secret, `sign_in` makes what the SDK asks for tokens. Neither a secret nor a token
is ever part of a message, a repr or a log line.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.identity import CredentialUnavailableError
from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential

from loadmaster_ha.azure.budget import Clock
from loadmaster_ha.azure.cloud import Cloud
from loadmaster_ha.azure.transport import ConnectionFailed

TOKEN_FILE: Final = Path("/var/run/secrets/azure/tokens/azure-identity-token")
"""Where the webhook of Microsoft Entra Workload ID mounts the service account token."""

TOKEN_FOLDER: Final = Path("/var/run/secrets")
"""A Secret may name a token file below this folder only, so that its author gets no other file sent away."""

HARMLESS_REFUSAL_SECONDS: Final = 60.0
"""For so long a refusal is repeated without asking again; repeated wrong sign-ins lock principals out."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_AADSTS: Final = re.compile(r"AADSTS(\d+)")

_REFUSALS: Final = {
    "7000215": (
        "InvalidClientSecret",
        "the client secret is wrong: put its value, not its id, into the Secret",
    ),
    "7000222": (
        "ClientSecretExpired",
        "the client secret has expired: make a new one and put it into the Secret",
    ),
    "700016": (
        "ApplicationNotFound",
        "the tenant has no application with this clientID: check clientID and tenantID",
    ),
    "7000112": ("ApplicationDisabled", "the application is disabled in the tenant: have it enabled"),
    "90002": ("TenantNotFound", "there is no such tenant: check tenantID"),
    "900023": ("TenantNotFound", "tenantID is neither a tenant's id nor one of its domain names"),
    "500011": (
        "AudienceNotFound",
        "the tenant does not know Resource Manager under this address: check the cloud settings",
    ),
    "53003": ("ConditionalAccessBlocked", "a Conditional Access policy of the tenant forbids this sign-in"),
    "70021": (
        "FederatedCredentialMismatch",
        "no federated credential of the application matches this service account",
    ),
    "700211": (
        "FederatedCredentialMismatch",
        "no federated credential of the application has this token's issuer",
    ),
    "700212": (
        "FederatedCredentialMismatch",
        "no federated credential of the application has this token's audience",
    ),
    "700213": (
        "FederatedCredentialMismatch",
        "no federated credential of the application has this token's subject",
    ),
}
"""Sign-in error codes (Microsoft Entra authentication and authorization error codes) with what to do."""


class CredentialsInvalid(ValueError):  # noqa: N818 - reads as what is wrong
    """The Secret cannot be used: `reason` is CamelCase, `message` names the keys and what to put there."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SignInRefused(Exception):  # noqa: N818 - reads as what happened
    """Azure does not accept the credentials; it will not until somebody changes them."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A service principal with a client secret."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """An application (or managed identity) that trusts the operator's service account."""

    tenant_id: str
    client_id: str
    token_file: Path = TOKEN_FILE


@dataclass(frozen=True, slots=True)
class OwnIdentity:
    """The process's own: environment variables, workload identity or managed identity, whichever there is."""


Credentials: TypeAlias = ClientSecret | WorkloadIdentity | OwnIdentity


def fingerprint(credentials: Credentials) -> str:
    """Tell whether two credentials are the same, without keeping the secret around."""
    secret = credentials.client_secret if isinstance(credentials, ClientSecret) else ""
    return hashlib.sha256("\0".join((repr(credentials), secret)).encode()).hexdigest()


def read_secret(data: Mapping[str, str | bytes], *, token_folder: Path = TOKEN_FOLDER) -> Credentials:
    """Read the decoded data of a Secret.

    Keys: `tenantID`, `clientID` and `clientSecret`; or `tenantID` and `clientID` alone (or with `tokenFile`)
    for workload identity.

    Raises:
        CredentialsInvalid: a key is missing or empty, is no text, or both kinds are mixed.
    """
    values = {
        key: _text(key, data[key])
        for key in ("tenantID", "clientID", "clientSecret", "tokenFile")
        if key in data
    }
    missing = [key for key in ("tenantID", "clientID") if not values.get(key)]
    if missing:
        raise CredentialsInvalid(
            "SecretKeyMissing",
            f"the Secret has no {' and no '.join(missing)}. It needs tenantID, clientID and clientSecret "
            "(service principal), or tenantID and clientID alone (workload identity)",
        )
    tenant, client = values["tenantID"], values["clientID"]
    if not _TENANT.fullmatch(tenant):
        raise CredentialsInvalid("SecretValueInvalid", "tenantID is neither a tenant's id nor a domain name")
    if not _UUID.fullmatch(client):
        raise CredentialsInvalid("SecretValueInvalid", "clientID is not the (application) client id, a UUID")
    if "clientSecret" not in values:
        return WorkloadIdentity(tenant, client, _token_file(values, token_folder))
    if "tokenFile" in values:
        raise CredentialsInvalid(
            "SecretAmbiguous",
            "the Secret has both clientSecret and tokenFile: remove the one that is not meant",
        )
    if not values["clientSecret"]:
        raise CredentialsInvalid(
            "SecretKeyMissing", "clientSecret is empty: put the secret's value there, or remove the key"
        )
    return ClientSecret(tenant, client, values["clientSecret"])


def _text(key: str, value: str | bytes) -> str:
    try:
        return (value.decode() if isinstance(value, bytes) else value).strip()
    except UnicodeDecodeError:
        raise CredentialsInvalid("SecretValueInvalid", f"{key} is not text (UTF-8)") from None


def _token_file(values: Mapping[str, str], folder: Path) -> Path:
    if not values.get("tokenFile"):
        return TOKEN_FILE
    path = Path(values["tokenFile"])
    if ".." in path.parts or not path.is_relative_to(folder):
        raise CredentialsInvalid("SecretValueInvalid", f"tokenFile must be a path below {folder}")
    return path


def sign_in(
    credentials: Credentials,
    cloud: Cloud,
    transport: AsyncHttpTransport[Any, Any],
    *,
    clock: Clock = time.monotonic,
) -> "SignIn":
    """Make the source of tokens for one session; its requests go through `transport`.

    Raises:
        CredentialsInvalid: the identity library does not accept the values.
    """
    common: dict[str, Any] = {
        "authority": cloud.authority_url,
        "disable_instance_discovery": not cloud.known_authority,
        "transport": transport,
        "retry_total": 0,
    }
    try:
        return SignIn(_credential(credentials, common), cloud.authority_url, clock=clock)
    except ValueError as error:
        raise CredentialsInvalid("SecretValueInvalid", f"the credentials cannot be used: {error}") from error


def _credential(credentials: Credentials, common: dict[str, Any]) -> AsyncTokenCredential:
    match credentials:
        case ClientSecret():
            return ClientSecretCredential(
                credentials.tenant_id, credentials.client_id, credentials.client_secret, **common
            )
        case WorkloadIdentity():
            return WorkloadIdentityCredential(
                tenant_id=credentials.tenant_id,
                client_id=credentials.client_id,
                token_file_path=str(credentials.token_file),
                **common,
            )
        case OwnIdentity():
            # The instance metadata service does need its own retries: right after a start it is not ready.
            del common["retry_total"]
            return DefaultAzureCredential(
                exclude_cli_credential=True,
                exclude_developer_cli_credential=True,
                exclude_powershell_credential=True,
                exclude_shared_token_cache_credential=True,
                exclude_visual_studio_code_credential=True,
                exclude_interactive_browser_credential=True,
                **common,
            )


class SignIn:
    """An `AsyncTokenCredential` that says in words for people why there is no token, and does not hammer.

    A refusal is remembered for a minute; all requests of that time get it without another sign-in. Changed
    credentials are another session with another `SignIn`, so they are tried at once.
    """

    def __init__(
        self, credential: AsyncTokenCredential, authority: str, *, clock: Clock = time.monotonic
    ) -> None:
        self._credential = credential
        self._authority = authority
        self._clock = clock
        self._lock = asyncio.Lock()
        self._refusal: SignInRefused | None = None
        self._refused_at = 0.0

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """Get a token in the older shape.

        Raises:
            SignInRefused: the credentials are not accepted.
            ConnectionFailed: sign-in cannot be reached or is out of order.
        """
        options: TokenRequestOptions = {"enable_cae": enable_cae}
        if claims:
            options["claims"] = claims
        if tenant_id:
            options["tenant_id"] = tenant_id
        info = await self.get_token_info(*scopes, options=options)
        return AccessToken(info.token, info.expires_on)

    async def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """Get a token; raises as `get_token`."""
        async with self._lock:
            if self._refusal is not None and self._clock() - self._refused_at < HARMLESS_REFUSAL_SECONDS:
                raise SignInRefused(self._refusal.reason, self._refusal.message)
            self._refusal = None
            try:
                return await self._ask(*scopes, options=options)
            except SignInRefused as refusal:
                self._refusal, self._refused_at = refusal, self._clock()
                raise

    async def _ask(self, *scopes: str, options: TokenRequestOptions | None) -> AccessTokenInfo:
        try:
            if hasattr(self._credential, "get_token_info"):
                info: AccessTokenInfo = await self._credential.get_token_info(*scopes, options=options)
                return info
            token = await self._credential.get_token(*scopes, **(options or {}))
            return AccessTokenInfo(token.token, token.expires_on)
        except CredentialUnavailableError as error:
            raise SignInRefused("NoIdentity", _no_identity(error)) from None
        except ClientAuthenticationError as error:
            response = getattr(error, "response", None)
            status = getattr(response, "status_code", 400)
            if status == 429 or status >= 500:
                message = f"sign-in at {self._authority} is out of order (HTTP {status})"
                raise ConnectionFailed("SignInUnavailable", message, sent=False) from None
            raise refusal(str(error.message)) from None
        except AzureError as error:
            message = f"sign-in at {self._authority} cannot be reached: {_first_line(str(error))}"
            raise ConnectionFailed("SignInUnreachable", message, sent=False) from None
        except (OSError, ValueError) as error:
            raise SignInRefused("NoIdentity", f"the credentials cannot be used: {error}") from None

    async def close(self) -> None:
        """Close the credential."""
        await self._credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def refusal(text: str) -> SignInRefused:
    """What a sign-in error of Microsoft Entra means for people; `text` is its description."""
    found = _AADSTS.search(text)
    code = found.group(1) if found else ""
    reason, remedy = _REFUSALS.get(
        code, ("SignInRefused", "check the credentials and the application in the tenant")
    )
    detail = _first_line(text[found.start() :] if found else text)
    return SignInRefused(reason, f"Azure refused the sign-in: {remedy} ({detail})")


def _no_identity(error: CredentialUnavailableError) -> str:
    return (
        "the operator has no Azure identity of its own: give it one (workload identity, managed identity, or "
        "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET), or name a Secret in "
        f"spec.azure.credentialsSecretRef ({_first_line(str(error.message))})"
    )


def _first_line(text: str) -> str:
    """The first line, without the trace ids that make every message a new one, and of bounded length."""
    line = re.split(r"\s+Trace ID:|[\r\n]", text.strip(), maxsplit=1)[0].strip()
    return line if len(line) <= 400 else f"{line[:397]}..."
