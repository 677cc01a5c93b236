"""The Kubernetes API as the operator uses it: one method that sends a request, and the few calls made of it.

Where and who comes from the kubeconfig or the pod's service account, read by the official client (which
also knows exec plugins and rotated tokens); requests are plain JSON. Every write asks `permit` first: a
process that has lost its Lease writes nothing more. `watch` shares the session factory, `lease` writes its
own object past the permit.
"""

import asyncio
import asyncio.sslproto
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import aiohttp
from kubernetes.aio import config as kubeconfig
from kubernetes.aio.client import Configuration

JSON: TypeAlias = dict[str, Any]

GROUP: Final = "loadmaster.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "loadmasterpairs"
KIND: Final = "LoadMasterPair"
FIELD_MANAGER: Final = "loadmaster-operator"
USER_AGENT: Final = "loadmaster-operator"
REQUEST_SECONDS: Final = 30.0
KEEP_ALIVE_SECONDS: Final = 60.0
"""How long an idle connection is kept; API servers keep theirs for longer. A handshake costs as much as
several requests, and what is urgent should not begin with one."""
TLS_BUFFER: Final = 16 * 1024
"""Bytes that one TLS connection holds to read into, once in each round of the event loop: a TLS record fits,
and so does a pair as the API server sends it. asyncio's own figure is 256 KiB."""
AT_ONCE: Final = 12
"""Requests under way at a time, beside watches and the Lease. Each takes a connection of its own, which holds
some 80 KiB for as long as it is kept; more at a time would wait in the API server instead of here."""
PAGE: Final = 50
"""Objects in one answer to a list. Read into objects, five hundred pairs take more memory than all that is
kept of a thousand, and Python gives little of it back: what stays is made between them."""
WATCH_SECONDS: Final = 300
"""After so long the server is asked to end a watch."""
SILENT_SECONDS: Final = 75.0
"""Without an event or bookmark for so long a watch is opened anew."""

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubernetesError(Exception):
    """The API server refused a request or could not be reached. `status` is 0 without an answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}" if reason else message)
        self.status = status
        self.reason = reason


class NoCluster(Exception):  # noqa: N818 - reads as what is the case
    """There is no usable kubeconfig and this is not a pod."""


async def load_configuration(file: str | None, context: str | None = None) -> Configuration:
    """Where the API server is and who we are.

    Raises:
        NoCluster: the file is missing or wrong, or none was given outside of a pod.
    """
    configuration = Configuration()
    try:
        if file is None and (_SERVICE_ACCOUNT / "token").exists():
            kubeconfig.load_incluster_config(client_configuration=configuration)
        else:
            await kubeconfig.load_kube_config(
                config_file=file, context=context, client_configuration=configuration
            )
    except (kubeconfig.ConfigException, OSError) as problem:
        raise NoCluster(
            f"No Kubernetes cluster to talk to: {problem}. Give --kubeconfig or KUBECONFIG, or run in a pod "
            "with a service account."
        ) from problem
    return configuration


def keep_tls_connections_small() -> None:
    """Let every TLS connection of asyncio that this process opens from now on read into `TLS_BUFFER`.

    asyncio allocates the buffer for each connection, and keeps it. It is a setting of the process, since
    asyncio has no other place for it (`asyncio.sslproto.SSLProtocol.max_size`). Large answers take more
    system calls then, which costs less than parsing them.
    """
    asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER


def open_session(configuration: Configuration, **options: Any) -> aiohttp.ClientSession:
    """A session that verifies the API server and signs each request in; tokens may rotate."""
    keep_tls_connections_small()
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    # Cluster CAs made by kubeadm and others lack the key identifiers that the strict mode of Python 3.13
    # asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:  # only where the kubeconfig itself says insecure-skip-tls-verify
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    async def sign_in(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        token = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            request.headers["Authorization"] = token
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=KEEP_ALIVE_SECONDS),
        headers={"User-Agent": USER_AGENT},
        middlewares=(sign_in,),
        proxy=configuration.proxy,
        **options,
    )


class Kubernetes:
    """The calls the operator makes; all raise `KubernetesError`. Reads of one object give None for 404."""

    def __init__(self, configuration: Configuration, *, permit: Callable[[], None]) -> None:
        self._host = str(configuration.host).rstrip("/")
        self._configuration = configuration
        self._permit = permit
        self._session: aiohttp.ClientSession | None = None
        self._room = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        self._session = open_session(self._configuration)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        leading: bool = True,
        seconds: float = REQUEST_SECONDS,
    ) -> JSON:
        """Send one request and return the answer's JSON.

        `leading` False lets a request pass without the permit and without a turn (the Lease itself).

        Raises:
            KubernetesError: refused, or not answered within `seconds`, of which waiting for a turn is part.
            LeaseLost: a write, and this process may not write (raised by the permit).
        """
        if self._session is None:
            raise RuntimeError("Kubernetes is used outside of its `async with`")
        turn = self._room if leading else contextlib.nullcontext()
        try:
            async with asyncio.timeout(seconds), turn:
                if method != "GET" and leading:
                    self._permit()  # now: the Lease may have been lost while others had their turn
                async with self._session.request(
                    method,
                    self._host + path,
                    params=query,
                    data=None if body is None else json.dumps(body),
                    headers={} if body is None else {"Content-Type": content_type},
                    timeout=aiohttp.ClientTimeout(),  # that of above counts
                ) as answer:
                    text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise KubernetesError(
                0, "Unreachable", f"{method} {path}: {str(problem) or 'no answer in time'}"
            ) from problem
        return _parsed(method, path, answer.status, text)

    async def list_pairs(self, namespace: str | None) -> list[JSON]:
        """All pairs of a namespace, or of all namespaces."""
        found: list[JSON] = []
        query = {"limit": str(PAGE)}
        while True:
            page = await self.request("GET", pairs_path(namespace), query=query)
            found += page["items"]
            more = page["metadata"].get("continue")
            if not more:
                return found
            query = {"limit": str(PAGE), "continue": more}

    async def get_pair(self, namespace: str, name: str) -> JSON | None:
        """One pair as the API server has it now."""
        return await self._get(f"{pairs_path(namespace)}/{name}")

    async def get_secret(self, namespace: str, name: str) -> JSON | None:
        """One Secret. Secrets are never listed or watched."""
        return await self._get(f"/api/v1/namespaces/{namespace}/secrets/{name}")

    async def list_objects(self, path: str, query: Mapping[str, str]) -> tuple[list[JSON], str]:
        """All objects of a collection, read in pages, and the resourceVersion to watch from."""
        found: list[JSON] = []
        more: dict[str, str] = {}
        while True:
            page = await self.request("GET", path, query={**query, "limit": str(PAGE), **more})
            found += page.get("items") or ()
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return found, str(metadata.get("resourceVersion", ""))
            more = {"continue": metadata["continue"]}

    async def watch_objects(self, path: str, query: Mapping[str, str]) -> AsyncIterator[JSON]:
        """The events of a collection, until the server or the network ends it.

        Raises:
            KubernetesError: refused, cut off, or silent for longer than `SILENT_SECONDS` (a server sends a
                bookmark each minute).
        """
        if self._session is None:
            raise RuntimeError("Kubernetes is used outside of its `async with`")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=SILENT_SECONDS)
        query = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        try:
            async with self._session.get(self._host + path, params=query, timeout=timeout) as answer:
                if answer.status >= 400:
                    _parsed("WATCH", path, answer.status, await answer.text())
                async for line in _lines(answer.content):
                    yield _event(path, line)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise KubernetesError(
                0, "Unreachable", f"WATCH {path}: {str(problem) or 'nothing heard any more'}"
            ) from problem

    async def set_finalizers(self, pair: JSON, finalizers: list[str]) -> JSON:
        """Replace the finalizers, unless the pair has changed since it was read (409)."""
        metadata = pair["metadata"]
        return await self.request(
            "PATCH",
            f"{pairs_path(metadata['namespace'])}/{metadata['name']}",
            body={"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}},
            content_type="application/merge-patch+json",
            query={"fieldManager": FIELD_MANAGER},
        )

    async def apply_status(self, pair: JSON, status: JSON) -> JSON:
        """Make `status` the part of the pair's status that is ours, by server-side apply.

        The uid goes along, so that a pair of the same name created meanwhile does not get its predecessor's
        status.
        """
        metadata = pair["metadata"]
        return await self.request(
            "PATCH",
            f"{pairs_path(metadata['namespace'])}/{metadata['name']}/status",
            body={
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "metadata": {
                    "name": metadata["name"],
                    "namespace": metadata["namespace"],
                    "uid": metadata["uid"],
                },
                "status": status,
            },
            content_type="application/apply-patch+yaml",
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
        )

    async def create_event(self, namespace: str, event: JSON) -> None:
        """Create an Event; one of the same name is the same Event, reported before."""
        try:
            await self.request("POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body=event)
        except KubernetesError as problem:
            if problem.status != 409:
                raise

    async def get_lease(self, namespace: str, name: str, *, seconds: float) -> JSON | None:
        """The election's Lease."""
        return await self._get(f"{_leases(namespace)}/{name}", leading=False, seconds=seconds)

    async def create_lease(self, namespace: str, lease: JSON, *, seconds: float) -> JSON:
        """Create the Lease (409 when somebody was faster)."""
        return await self.request("POST", _leases(namespace), body=lease, leading=False, seconds=seconds)

    async def replace_lease(self, namespace: str, lease: JSON, *, seconds: float) -> JSON:
        """Replace the Lease, unless somebody has changed it since it was read (409)."""
        path = f"{_leases(namespace)}/{lease['metadata']['name']}"
        return await self.request("PUT", path, body=lease, leading=False, seconds=seconds)

    async def _get(self, path: str, *, leading: bool = True, seconds: float = REQUEST_SECONDS) -> JSON | None:
        try:
            return await self.request("GET", path, leading=leading, seconds=seconds)
        except KubernetesError as problem:
            if problem.status == 404:
                return None
            raise


def pairs_path(namespace: str | None) -> str:
    """Where the pairs of a namespace (or all) live in the API."""
    within = "" if namespace is None else f"/namespaces/{namespace}"
    return f"/apis/{GROUP}/{VERSION}{within}/{PLURAL}"


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length that an object may have: longer ones than the reader's own buffer."""
    rest = b""
    async for piece in content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line


def _event(path: str, line: bytes) -> JSON:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
        raise KubernetesError(0, "Malformed", f"WATCH {path}: {line[:200]!r} is no event")
    status = event["object"]
    if event.get("type") == "ERROR" or not (status.get("metadata") or {}).get("resourceVersion"):
        message = f"WATCH {path}: {status.get('message', '')}"
        raise KubernetesError(int(status.get("code") or 0), str(status.get("reason", "")), message)
    return event


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def _parsed(method: str, path: str, status: int, text: str) -> JSON:
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {"message": text[:200]}
    if not isinstance(answer, dict):
        answer = {"message": text[:200]}
    if status >= 400:
        message = answer.get("message") or f"HTTP {status}"
        raise KubernetesError(status, str(answer.get("reason", "")), f"{method} {path}: {message}")
    return answer
