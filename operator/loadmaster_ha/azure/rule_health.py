"""Azure's own view of a balancing rule: what its probes say of each member ("Manage health status").

A POST that starts a long-running operation, whose result is at the `Location`; it changes nothing. `session`
offers it; it takes from the same budgets as everything else: the POST from that of writes, as Azure counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from loadmaster_ha.azure import errors
from loadmaster_ha.azure.budget import BudgetExhausted
from loadmaster_ha.azure.credentials import SignInRefused
from loadmaster_ha.azure.transport import ArmRequest, ArmResponse, ConnectionFailed, Transport, Verb
from loadmaster_ha.domain.reading import Present, Reading, Unknown
from loadmaster_ha.planning.arm import ResourceID
from loadmaster_ha.planning.diagnosis.model import RuleHealth

PATIENCE: Final = 45.0
"""Seconds after which an operation that has not ended is given up."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 10.0
"""Between two looks at the operation, where Azure does not say."""

MOST_TEXT: Final = 80
"""Characters of a reason code that are kept."""

Sleep = Callable[[float], Awaitable[None]]


async def ask(transport: Transport, rule: ResourceID, *, sleep: Sleep = asyncio.sleep) -> Reading[RuleHealth]:
    """Ask for the health of one rule (`.../loadBalancers/NAME/loadBalancingRules/NAME`).

    Returns:
        The members by address; `Absent` where there is no such rule or balancer; `Unknown` with the reason
        where Azure cannot be asked, does not tell in time, or may not be asked by this identity.
    """
    try:
        response = await transport.send(ArmRequest(Verb.POST, rule))
        waited, pause = 0.0, FIRST_PAUSE
        url = response.header("location") or response.header("azure-asyncoperation")
        while response.status == 202 and url and waited < PATIENCE:
            seconds = errors.retry_after(response.headers)
            seconds = pause if seconds is None else max(seconds, 0.1)
            await sleep(seconds)
            waited, pause = waited + seconds, min(2 * pause, LONGEST_PAUSE)
            response = await transport.send(ArmRequest(Verb.POLL, rule, url=url))
            url = response.header("location") or url
    except BudgetExhausted as problem:
        return Unknown("Throttled" if problem.throttled else "BudgetExhausted", str(problem))
    except ConnectionFailed as problem:
        return Unknown(problem.reason, problem.message)
    except SignInRefused as problem:
        return Unknown(problem.reason, problem.message)
    return _read(response)


def _read(response: ArmResponse) -> Reading[RuleHealth]:
    if not response.ok:
        reading: Reading[RuleHealth] = errors.reading_of_refusal(response)
        return reading
    if response.status == 202:
        return Unknown("OperationRunning", f"Azure has not found out within {PATIENCE:.0f} s")
    rows = response.body.get("loadBalancerBackendAddresses") if isinstance(response.body, Mapping) else None
    if not isinstance(rows, list):
        message = f"Azure answered {response.status} without the members of the rule"
        return Unknown("UnexpectedAnswer", message)
    return Present(parse(rows))


def parse(rows: list[Any]) -> RuleHealth:
    """The members that Azure tells of. One without an address (its machine is off) is left out."""
    up: set[str] = set()
    down: dict[str, str] = {}
    for row in rows:
        if not isinstance(row, Mapping):
            continue
        address = str(row.get("ipAddress") or "").strip()
        state = str(row.get("state") or "").strip().lower()
        reason = str(row.get("reason") or "").strip()[:MOST_TEXT]
        if not address or state not in ("up", "down"):
            continue
        if state == "up":
            up.add(address)
        else:
            down[address] = reason
    return RuleHealth(frozenset(up), down)
