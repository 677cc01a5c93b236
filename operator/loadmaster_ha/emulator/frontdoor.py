"""Every request's way in and out: who may enter, which fault strikes, what is counted.

The order is: admin API, cloud metadata, sign-in, then ARM: bearer token, faults, throttling, operations that
are due, routing. Changes are committed before the answer leaves.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from loadmaster_ha.emulator import metadata, routing, signin
from loadmaster_ha.emulator.admin import PREFIX, Admin
from loadmaster_ha.emulator.cloud import Call, Reply
from loadmaster_ha.emulator.dataplane.plane import DataPlaneError
from loadmaster_ha.emulator.errors import ArmError
from loadmaster_ha.emulator.faults import Fault, Faults
from loadmaster_ha.emulator.request_log import RequestLog
from loadmaster_ha.emulator.settings import TENANT
from loadmaster_ha.emulator.throttle import Throttle

if TYPE_CHECKING:
    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.dataplane.plane import DataPlane
    from loadmaster_ha.emulator.json_types import JsonObject
    from loadmaster_ha.emulator.traffic_log import TrafficLog

_LOG = logging.getLogger(__name__)
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_EVERYWHERE = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


class Frontdoor:
    """The handler of all requests."""

    def __init__(
        self, cloud: Cloud, traffic: TrafficLog | None = None, plane: DataPlane | None = None
    ) -> None:
        self._cloud = cloud
        self._traffic = traffic
        self._plane = plane
        self._faults = Faults()
        self._log = RequestLog()
        self._throttle = Throttle(cloud.settings.throttle)
        self._admin = Admin(cloud, self._faults, self._log, self._throttle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or drop its connection when a fault says so."""
        raw = await request.read()
        if request.path.startswith(PREFIX):
            reply = await self._traffic_view(request) or self._own(request.method, request.path, raw)
            await self._commit(request)
            return _response(reply, {})
        kind = "signin" if "oauth2" in request.path.lower() else routing.classify(request.path)
        entry = None
        if kind != "signin":
            entry = self._log.arrived(request.method, request.path, kind, request.headers.get("If-Match"))
        fault = self._strike(request, raw)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault is not None and fault.drop == "before":
            return _dropped(request)
        reply = self._answer(request, raw, fault)
        await self._commit(request)
        self._log.answered(request.method, kind, reply.status, entry)
        _LOG.debug("%s %s %s", request.method, request.path, reply.status)
        if fault is not None and fault.drop == "after":
            return _dropped(request)
        if fault is not None and fault.retry_after is not None:
            reply.headers["Retry-After"] = str(fault.retry_after)
        response = _response(reply, _identification(request))
        if self._traffic is not None and kind != "signin":
            sent, answered = (request.headers, raw), (response.headers, reply.body)
            self._traffic.record(request.method, str(request.url), sent, reply.status, answered)
        return response

    async def _commit(self, request: web.Request) -> None:
        """Make what the request changed durable, and have the data plane go by it."""
        self._cloud.store.flush()
        if self._plane is not None and request.method != "GET":
            try:
                await self._plane.applied()
            except DataPlaneError:
                _LOG.exception("the data plane does not follow %s %s", request.method, request.path)

    async def _traffic_view(self, request: web.Request) -> Reply | None:
        """Answer what only the data plane knows; `None` when it is not asked, or when there is none."""
        what = request.path.removeprefix(PREFIX)
        if self._plane is None or what not in ("probes", "flows"):
            return None
        if request.method != "GET":
            text = f"{what} can only be read: with the data plane members are probed and connected for real"
            return Reply(409, {"error": text})
        text = request.query.get("since", "0")
        if not _NUMBER.fullmatch(text):
            return Reply(400, {"error": f"since={text}: give seconds of the monotonic clock"})
        try:
            return Reply(
                200, await (self._plane.flows() if what == "flows" else self._plane.probes(float(text)))
            )
        except DataPlaneError as error:
            return Reply(503, {"error": str(error)})

    def _own(self, method: str, path: str, raw: bytes) -> Reply:
        try:
            body = json.loads(raw) if raw else None
        except ValueError as error:
            return Reply(400, {"error": f"the body is not JSON: {error}"})
        self._cloud.operations.settle()
        return self._admin.answer(method, path, body)

    def _strike(self, request: web.Request, raw: bytes) -> Fault | None:
        form = _form(raw) if "oauth2" in request.path.lower() else {}
        if form:
            client, secret = form.get("client_id", ""), form.get("client_secret", "")
            fault = self._faults.strike_sign_in(request.method, request.path, client, secret)
            if fault is not None:
                return fault
        return self._faults.strike(request.method, request.path)

    def _answer(self, request: web.Request, raw: bytes, fault: Fault | None) -> Reply:
        if fault is not None and fault.status is not None:
            return _fault_reply(fault)
        base_url = f"https://{request.host}"
        described = metadata.answer(request.path, base_url)
        if described is not None:
            return Reply(200, described)
        form = _form(raw)
        if fault is not None and fault.for_sign_in:
            return signin.refusal(form.get("client_id", ""))
        signed_in = signin.answer(request.method, request.path, form, base_url)
        return signed_in if signed_in is not None else self._arm(request, raw, fault, base_url)

    def _arm(self, request: web.Request, raw: bytes, fault: Fault | None, base_url: str) -> Reply:
        budget: dict[str, str] = {}
        try:
            bearer = _bearer(request, base_url)
            self._cloud.operations.settle()
            budget = self._admit(request, bearer)
            call = Call(
                cloud=self._cloud,
                method=request.method,
                path=request.path.rstrip("/"),
                base_url=base_url,
                query={_spelling(key): value for key, value in request.query.items()},
                headers={key.lower(): value for key, value in request.headers.items()},
                body=_json(request, raw),
                verdict=fault.verdict() if fault else None,
                stale=bool(fault and fault.stale_read and request.method == "GET"),
            )
            reply = routing.route(call)
        except ArmError as error:
            reply = Reply(error.status, error.body(), error.headers)
        except Exception:  # noqa: BLE001 - a bug must show as a 500, not as a dropped connection
            _LOG.exception("the emulator failed on %s %s", request.method, request.path)
            reply = Reply(
                500,
                {"error": {"code": "InternalServerError", "message": "The emulator failed; see its log."}},
            )
        if reply.headers.get("x-ms-failure-cause") != "gateway":
            reply.headers = budget | reply.headers
        return reply

    def _admit(self, request: web.Request, bearer: str) -> dict[str, str]:
        parts = request.path.strip("/").split("/")
        subscription = parts[1] if len(parts) > 1 else ""
        lower = [part.lower() for part in parts]
        namespace = parts[lower.index("providers") + 1] if "providers" in lower[:-1] else ""
        who = signin.principal(bearer)
        return self._throttle.admit(request.method, subscription.lower(), who, namespace, self._cloud.clock())


def _spelling(key: str) -> str:
    """Query names are case-insensitive; the emulator looks them up in lower case."""
    return key.lower()


def _bearer(request: web.Request, base_url: str) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    raise ArmError(
        401,
        "AuthenticationFailed",
        "Authentication failed. The 'Authorization' header is missing.",
        headers={
            "WWW-Authenticate": f'Bearer authorization_uri="{base_url}/{TENANT}", error="invalid_token", '
            "error_description=\"The authentication failed because of missing 'Authorization' header.\"",
            "x-ms-failure-cause": "gateway",
        },
    )


def _json(request: web.Request, raw: bytes) -> JsonObject:
    if not raw:
        if request.method in ("PUT", "PATCH"):
            raise ArmError(
                400, "InvalidRequestContent", "The request content was invalid: the body is empty."
            )
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise ArmError(
            400,
            "InvalidRequestContent",
            f"The request content was invalid and could not be deserialized: '{error}'.",
        ) from None
    if not isinstance(body, dict):
        raise ArmError(
            400, "InvalidRequestContent", "The request content was invalid: the body must be a JSON object."
        )
    return body


def _form(raw: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw.decode()))
    except UnicodeDecodeError:
        return {}


def _fault_reply(fault: Fault) -> Reply:
    if fault.body is not None:
        return Reply(fault.status or 500, fault.body, dict(fault.headers))
    error = {"code": fault.code or "InternalServerError", "message": fault.message or "An error occurred."}
    return Reply(fault.status or 500, {"error": error}, dict(fault.headers))


def _dropped(request: web.Request) -> web.Response:
    """Cut the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _identification(request: web.Request) -> dict[str, str]:
    request_id = str(uuid.uuid4())
    found = {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": request.headers.get("x-ms-correlation-request-id", request_id),
        "x-ms-routing-request-id": f"EMULATOR:{request_id}",
    }
    if request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        client = request.headers.get("x-ms-client-request-id")
        if client:
            found["x-ms-client-request-id"] = client
    return found


def _response(reply: Reply, headers: dict[str, str]) -> web.Response:
    everything: dict[str, Any] = _EVERYWHERE | headers | reply.headers
    if reply.body is None:
        return web.Response(status=reply.status, headers=everything)
    return web.Response(
        status=reply.status,
        headers=everything,
        body=json.dumps(reply.body, separators=(",", ":")).encode(),
        content_type="application/json",
        charset="utf-8",
    )
