"""From the settings and the configuration to what the HA engine and the partner link are told.

The mode is the one of the boot (guide, 7 step 9: a change takes effect at the reboot); all else is in force
at once.
"""

from loadmaster_ha.agent.configuration import LEASE_SECONDS, Configuration
from loadmaster_ha.agent.ha import model
from loadmaster_ha.agent.link.partner import LinkSettings
from loadmaster_ha.agent.settings.snapshot import Snapshot
from loadmaster_ha.agent.unit_settings import AgentSettings, HaSettings, partner_secret
from loadmaster_ha.domain.ha import Mode


def engine_configuration(configuration: Configuration, snapshot: Snapshot, mode: Mode) -> model.Configuration:
    """What the engine is told; `mode` is that of the boot."""
    ha, agent = HaSettings.of(snapshot), AgentSettings.of(snapshot)
    return model.Configuration(
        mode=mode,
        preferred_host=ha.preferred_host,
        partner=None if mode is Mode.SINGLE else ha.partner,
        check_port=ha.port,
        probe_interval=agent.probe_interval,
        probe_threshold=agent.probe_threshold,
        partner_timeout=configuration.partner_timeout,
        heartbeat_interval=configuration.heartbeat_interval,
        witness=agent.frontend is not None,
        witness_timeout=configuration.witness_timeout,
        failback_delay=configuration.failback_delay,
        damping_limit=configuration.damping_limit,
        drain_time=configuration.drain_time,
        lease=LEASE_SECONDS,
    )


def link_settings(configuration: Configuration, snapshot: Snapshot, mode: Mode, address: str) -> LinkSettings:
    """What the partner link is told; `address` is the unit's own."""
    return LinkSettings(
        address=address,
        port=configuration.partner_port,
        partner=None if mode is Mode.SINGLE else HaSettings.of(snapshot).partner,
        secret=partner_secret(snapshot),
    )
