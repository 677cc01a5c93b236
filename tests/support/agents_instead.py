"""Node agents in the place of a troubled pair's appliances: real store and management API, the rest scripted.

    master, slave = await agents_at_work(pair)

They listen on 127.0.0.1 at ports of their own, which the manifest's `management` names from then on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.support.management import ADDRESS, served
from tests.support.troubled_pairs import CHECK_PORT

from loadmaster_ha.agent.unit_settings import HaSettings
from loadmaster_ha.domain.ha import Mode, UnitState

if TYPE_CHECKING:
    from tests.support.management import Served
    from tests.support.troubled_pairs import TroubledPair

ROLES: Final = ("master", "slave")


async def agents_instead(pair: TroubledPair, *roles: str) -> None:
    """Let fresh agents be the units of these roles (of both)."""
    await _name(pair, {role: await _serve(pair, role) for role in roles or ROLES})


async def agents_at_work(pair: TroubledPair) -> tuple[Served, Served]:
    """Let the units be two agents that are a pair already: the master serves, the slave stands by."""
    agents = await _serve(pair, ROLES[0]), await _serve(pair, ROLES[1])
    addresses = [unit.own_address for unit in pair.units]
    for agent, own, partner, mode, state in zip(
        agents, addresses, addresses[::-1], (Mode.MASTER, Mode.SLAVE), (UnitState.ACTIVE, UnitState.STANDBY),
        strict=True,
    ):  # fmt: skip
        agent.unit.own_addresses = {"eth0": f"{own}/24"}
        settings = {"mode": mode.value, "partner": partner, "check_port": CHECK_PORT}
        agent.unit.settings.commit([HaSettings.put(settings)])
        agent.unit.is_in(state, mode)
    await _name(pair, dict(zip(ROLES, agents, strict=True)))
    return agents


async def _serve(pair: TroubledPair, role: str) -> Served:
    """An agent's management API, until the pairs are taken down."""
    folder = Path(pair.stack.enter_context(tempfile.TemporaryDirectory()))
    agent = await pair.stack.enter_async_context(served(folder))
    agent.unit.serial_number = f"5f1c0de0a9b8c7d{ROLES.index(role)}"  # units have serial numbers of their own
    return agent


async def _name(pair: TroubledPair, agents: dict[str, Served]) -> None:
    """Apply the manifest with the agents' management addresses, logins and fingerprints."""
    fields: dict[str, Any] = {}
    for role, agent in agents.items():
        login = f"{pair.name}-{role}"
        await pair.rig.pairs.put_secret(login, username=agent.user, password=agent.password)
        certificate = x509.load_pem_x509_certificate(agent.identity.path.read_bytes())
        fields[f"{role}__management"] = {
            "address": ADDRESS,
            "port": agent.port,
            "credentialsSecretRef": {"name": login},
            "tls": {"fingerprintSHA256": certificate.fingerprint(hashes.SHA256()).hex()},
        }
    await pair.apply(**fields)
