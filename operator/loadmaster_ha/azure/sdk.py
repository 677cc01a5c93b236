"""The transport seam implemented with the Azure SDK (azure-mgmt-network and azure-mgmt-compute, asyncio).

Used of the SDK: its operation groups, which know how each resource type is addressed, its authentication
policy, which answers challenges, and its connection handling. Not used: retries, redirects, registration of
resource providers, polling and models; they would decide behind our back what only `errors`, `operations` and
the controller may decide. Bodies go out as they are and answers come back as they are, so that properties
newer than the SDK survive.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from typing import Any, Final

import aiohttp
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline import PipelineRequest, PipelineResponse, policies
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy
from azure.mgmt.network.aio import NetworkManagementClient

from loadmaster_ha.azure.cloud import Cloud
from loadmaster_ha.azure.credentials import Credentials, SignIn, sign_in
from loadmaster_ha.azure.resource_types import RESOURCE_GROUP, UnsupportedRequest, resource_type
from loadmaster_ha.azure.transport import ArmRequest, ArmResponse, ConnectionFailed, Verb
from loadmaster_ha.planning.arm import COMPUTE, NETWORK, ResourceID

LOG: Final = logging.getLogger(__name__)

NETWORK_API_VERSION: Final = "2026-03-01"
COMPUTE_API_VERSION: Final = "2026-04-01"
RESOURCES_API_VERSION: Final = "2024-11-01"

USER_AGENT: Final = f"loadmaster-operator/{metadata.version('loadmaster-ha-operator')}"

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 30.0
WHOLE_SECONDS: Final = 60.0
KEEP_ALIVE_SECONDS: Final = 15.0

_API_VERSIONS: Final = {NETWORK.lower(): NETWORK_API_VERSION, COMPUTE.lower(): COMPUTE_API_VERSION}


class AnswerLost(aiohttp.ClientError):
    """The connection broke after a write had gone out. Not one after which aiohttp sends again."""


class _PermitPolicy(policies.SansIOHTTPPolicy[Any, Any]):
    """The last policy before the wire: asks whether this process may still send."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        permit = request.context.options.pop("permit", None) or request.context.get("permit")
        if permit is not None:
            request.context["permit"] = permit  # a request repeated after a challenge has lost its options
            permit()


async def _send_writes_once(
    request: aiohttp.ClientRequest,
    handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT or DELETE whose answer got lost (it counts them as idempotent)."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was sent
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        if request.method in ("PUT", "DELETE", "POST", "PATCH"):
            raise AnswerLost(str(error)) from error
        raise


class SdkTransport:
    """Sends requests of one subscription with one credential.

    Must be made inside a running event loop.

    Raises:
        CloudInvalid: the cloud's CA file cannot be used.
        CredentialsInvalid: the credentials cannot be used.
    """

    def __init__(self, subscription: str, credentials: Credentials, cloud: Cloud) -> None:
        self._cloud = cloud
        # One TLS context and one pool of connections for everything. With the SDK's own way of naming a CA
        # file, each request would read the file again and open a connection of its own.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=cloud.ssl_context(),
                limit=16,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                enable_cleanup_closed=False,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,
            auto_decompress=False,
            middlewares=(_send_writes_once,),
        )
        self._aio = AioHttpTransport(session=self._http, session_owner=False)
        self._sign_in: SignIn = sign_in(credentials, cloud, self._aio)
        # An id in a manifest may name a resource of another subscription (a shared network): a client for
        # each.
        self._clients: dict[tuple[str, str], NetworkManagementClient | ComputeManagementClient] = {}
        self._plain = self._network(subscription)

    def _network(self, subscription: str) -> NetworkManagementClient:
        client = self._clients.get((NETWORK, subscription.lower()))
        if not isinstance(client, NetworkManagementClient):
            client = NetworkManagementClient(**self._client_arguments("network", subscription))
            self._clients[NETWORK, subscription.lower()] = client
        return client

    def _compute(self, subscription: str) -> ComputeManagementClient:
        client = self._clients.get((COMPUTE, subscription.lower()))
        if not isinstance(client, ComputeManagementClient):
            client = ComputeManagementClient(**self._client_arguments("compute", subscription))
            self._clients[COMPUTE, subscription.lower()] = client
        return client

    def _client_arguments(self, name: str, subscription: str) -> dict[str, Any]:
        scope = self._cloud.scope
        return {
            "credential": self._sign_in,
            "subscription_id": subscription,
            "base_url": self._cloud.resource_manager_url,
            "credential_scopes": [scope],
            "transport": self._aio,
            "policies": [
                policies.RequestIdPolicy(),
                policies.HeadersPolicy(),
                policies.UserAgentPolicy(user_agent=USER_AGENT, sdk_moniker=f"mgmt-{name}"),
                policies.ProxyPolicy(),
                AsyncARMChallengeAuthenticationPolicy(self._sign_in, scope, enable_cae=True),
                _PermitPolicy(),
                policies.CustomHookPolicy(),
            ],
        }

    async def send(self, request: ArmRequest) -> ArmResponse:
        """See `Transport.send`."""
        answers: list[PipelineResponse[Any, Any]] = []
        options: dict[str, Any] = {
            "headers": dict(request.headers),
            "permit": request.permit,
            "raw_response_hook": answers.append,
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
        }
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                try:
                    await self._dispatch(request, options)
                except HttpResponseError as error:
                    if not answers or error.response is None:
                        raise
                return await _raw(answers[-1].http_response)
        except TimeoutError:
            message = f"Azure Resource Manager did not answer within {WHOLE_SECONDS:.0f} s"
            raise ConnectionFailed("Timeout", message, sent=True) from None
        except AzureError as error:
            raise self._failed(error) from error
        except aiohttp.ClientError as error:  # while the body was read
            raise ConnectionFailed("AnswerLost", f"the answer broke off: {error}", sent=True) from error

    async def _dispatch(self, request: ArmRequest, options: dict[str, Any]) -> None:
        if request.verb is Verb.POLL or request.url is not None:
            await self._get(str(request.url), options)
        elif request.verb is Verb.LIST:
            await self._get(self._collection_url(request.resource), options)
        elif resource_type(request.resource) is RESOURCE_GROUP:
            _only(request, Verb.GET)
            await self._get(f"{self._url(request.resource)}?api-version={RESOURCES_API_VERSION}", options)
        else:
            await self._call(request, options)

    async def _call(self, request: ArmRequest, options: dict[str, Any]) -> None:
        """Let the operation group of the type send it."""
        kind = resource_type(request.resource)
        client = (self._network if kind.provider == NETWORK else self._compute)(request.resource.subscription)
        group = getattr(client, kind.group)
        names = (request.resource.resource_group, *request.resource.names[1::2])
        options["api_version"] = _API_VERSIONS[kind.provider.lower()]
        if request.address is not None:
            await group.check_ip_address_availability(
                *names, ip_address=request.address, stream=True, **options
            )
        elif request.verb is Verb.GET:
            # `stream` leaves the body alone: no model is made of it.
            await group.get(*names, stream=True, **options)
        elif request.verb is Verb.PUT and kind.written:
            body = json.dumps(request.body, default=_plain).encode()
            await group.begin_create_or_update(*names, body, polling=False, **options)
        elif request.verb is Verb.POST and kind.asked:
            await group.begin_health(*names, polling=False, **options)
        elif request.verb is Verb.DELETE and kind.deleted:
            await group.begin_delete(*names, polling=False, **options)
        else:
            raise UnsupportedRequest(f"the operator does not send {request.verb} {request.resource}")

    async def _get(self, url: str, options: dict[str, Any]) -> None:
        if not self._cloud.trusts(url):
            raise ConnectionFailed(
                "ForeignURL",
                f"{url.split('?', 1)[0]} is not on {self._cloud.resource_manager_url}: it gets no token",
                sent=False,
            )
        headers = {"Accept": "application/json", **options.pop("headers")}
        await self._plain.send_request(HttpRequest("GET", url, headers=headers), stream=True, **options)

    def _url(self, resource: ResourceID) -> str:
        return f"{self._cloud.resource_manager_url.rstrip('/')}{resource}"

    def _collection_url(self, resource: ResourceID) -> str:
        """The collection that a resource is in.

        Not by the operation group: its pager makes a model of every resource of a collection, most of them
        other people's.
        """
        kind = resource_type(resource)
        path = self._url(resource).rsplit("/", 1)[0]
        return f"{path}?api-version={_API_VERSIONS[kind.provider.lower()]}"

    def _failed(self, error: AzureError) -> ConnectionFailed:
        inner = getattr(error, "inner_exception", None) or error
        where = self._cloud.resource_manager_url
        if isinstance(inner, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            message = (
                f"the TLS certificate of {where} is not trusted: {inner}. "
                "If this endpoint has its own authority, give the operator its certificate (CA file)"
            )
            return ConnectionFailed("CertificateNotTrusted", message, sent=False)
        if isinstance(error, ServiceRequestTimeoutError):
            message = f"{where} cannot be reached within {CONNECT_SECONDS:.0f} s"
            return ConnectionFailed("Unreachable", message, sent=False)
        if isinstance(inner, aiohttp.ClientConnectorError):
            return ConnectionFailed("Unreachable", f"{where} cannot be reached: {inner}", sent=False)
        if isinstance(error, ServiceResponseTimeoutError):
            message = f"{where} did not answer within {READ_SECONDS:.0f} s"
            return ConnectionFailed("Timeout", message, sent=True)
        text = f"the connection to {where} broke before the answer came: {str(inner) or type(inner).__name__}"
        return ConnectionFailed("AnswerLost", text, sent=True)

    async def close(self) -> None:
        """See `Transport.close`."""
        for client in self._clients.values():
            await client.close()
        await self._sign_in.close()
        await self._http.close()


def _only(request: ArmRequest, verb: Verb) -> None:
    if request.verb is not verb:
        raise UnsupportedRequest(f"the operator does not send {request.verb} {request.resource}")


def _plain(value: Any) -> Any:
    """JSON for read-only mappings."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a request body")


async def _raw(response: Any) -> ArmResponse:
    # The SDK reads some answers itself; an empty one cannot be read twice.
    data = response.content if response.is_stream_consumed else await response.read()
    try:
        body = json.loads(data) if data else None
    except ValueError:
        body = None  # a proxy's page, for example; the status says what there is to know
    return ArmResponse(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}, body
    )
