"""The emulator's own API under `/_emulator/`, without a token.

| path | methods |
| --- | --- |
| `faults` | GET lists with hit counters, POST adds one, DELETE clears; `faults/{id}` DELETE |
| `requests` | GET counts and the journal of writes, DELETE resets |
| `resources/{ARM id}` | PUT stores a body without validation (for example a Basic balancer) |
| `probes` | GET, PUT `{"<ipConfiguration id>": "200" or "503" or "timeout" ...}`: what rule health reports |
| `throttle` | GET, PUT `{"factor": 1.0}` |
| `health` | GET |

With a data plane `GET probes` and `GET flows` tell what it finds and does; `frontdoor` asks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadmaster_ha.emulator.armid import key_of, parse_id
from loadmaster_ha.emulator.cloud import Reply
from loadmaster_ha.emulator.faults import FaultError
from loadmaster_ha.emulator.lifecycle import plant
from loadmaster_ha.emulator.network.rule_health import ANSWERS, PROBE_FACT
from loadmaster_ha.emulator.registry import find_type, type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadmaster_ha.emulator.cloud import Cloud
    from loadmaster_ha.emulator.faults import Faults
    from loadmaster_ha.emulator.request_log import RequestLog
    from loadmaster_ha.emulator.throttle import Throttle

PREFIX = "/_emulator/"


class Admin:
    """Answers the admin API."""

    def __init__(self, cloud: Cloud, faults: Faults, log: RequestLog, throttle: Throttle) -> None:
        self._cloud = cloud
        self._faults = faults
        self._log = log
        self._throttle = throttle

    def answer(self, method: str, path: str, body: Any) -> Reply:
        """Answer one request; errors are `{"error": text}` for people."""
        what, _, rest = path.removeprefix(PREFIX).partition("/")
        handlers: dict[tuple[str, str], Callable[[], Reply]] = {
            ("GET", "health"): lambda: Reply(200, {"status": "ok"}),
            ("GET", "faults"): lambda: Reply(200, {"faults": self._faults.list()}),
            ("POST", "faults"): lambda: self._add_fault(body),
            ("DELETE", "faults"): lambda: self._clear_faults(rest),
            ("GET", "requests"): lambda: Reply(200, self._log.view()),
            ("DELETE", "requests"): self._reset_requests,
            ("PUT", "resources"): lambda: self._seed(rest, body),
            ("GET", "probes"): lambda: Reply(200, self._probe_answers()),
            ("PUT", "probes"): lambda: self._set_probes(body),
            ("GET", "throttle"): lambda: Reply(200, {"factor": self._throttle.factor}),
            ("PUT", "throttle"): lambda: self._set_throttle(body),
        }
        handler = handlers.get((method, what))
        return handler() if handler else _problem(404, f"no {method} {path} here; see the emulator guide")

    def _add_fault(self, body: Any) -> Reply:
        try:
            return Reply(201, self._faults.add(body).view())
        except FaultError as error:
            return _problem(400, str(error))

    def _clear_faults(self, rest: str) -> Reply:
        if rest and not rest.isdigit():
            return _problem(400, f"{rest!r} is not the id of a fault")
        self._faults.clear(int(rest) if rest else None)
        return Reply(204)

    def _reset_requests(self) -> Reply:
        self._log.reset()
        return Reply(204)

    def _probe_answers(self) -> dict[str, Any]:
        facts = self._cloud.store.facts(PROBE_FACT)
        return {target: value["answer"] for target, value in facts.items()}

    def _seed(self, rest: str, body: Any) -> Reply:
        target = parse_id(rest)
        kind = find_type(target.namespace, target.types[0]) if target else None
        if target is None or kind is None or len(target.types) != 1:
            return _problem(400, f"/{rest} is not the id of a resource that the emulator knows")
        if not isinstance(body, dict):
            return _problem(400, "the body must be a JSON object")
        if self._cloud.store.group(target.subscription, target.group) is None:
            return _problem(404, f"resource group {target.group} does not exist; create it first")
        resource = plant(self._cloud, kind, target, body)
        return Reply(200, type_of(resource).view(self._cloud, resource))

    def _set_probes(self, body: Any) -> Reply:
        if not isinstance(body, dict):
            return _problem(400, "the body must map ipConfiguration ids to answers")
        for target, answer in body.items():
            text = str(answer).lower()
            if parse_id(target) is None or not (text in ANSWERS or text.isdigit()):
                return _problem(
                    400, f"{target}: {answer!r}: give an id and an HTTP status or one of {', '.join(ANSWERS)}"
                )
        for target, answer in body.items():
            self._cloud.store.put_fact(PROBE_FACT, key_of(target), {"answer": str(answer).lower()})
        return Reply(204)

    def _set_throttle(self, body: Any) -> Reply:
        factor = body.get("factor") if isinstance(body, dict) else None
        if not isinstance(factor, (int, float)) or isinstance(factor, bool) or factor < 0:
            return _problem(400, "factor must be a number: 1 is Azure's budget, 0 switches throttling off")
        self._throttle.set_factor(float(factor))
        return Reply(200, {"factor": self._throttle.factor})


def _problem(status: int, text: str) -> Reply:
    return Reply(status, {"error": text})
