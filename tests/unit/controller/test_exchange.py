"""What wakes whom: a change that a lane acts on, and nothing else."""

from tests.unit.planning.world import guide_spec

from loadmaster_ha.controller.azure_view import AzureView
from loadmaster_ha.controller.exchange import Exchange, UnitsView
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.controller.watching.model import WatchSituation
from loadmaster_ha.domain.ha import Role
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.domain.units import Active, ObservedState
from loadmaster_ha.planning.diagnosis.model import Diagnosis, PairHealth
from loadmaster_ha.planning.target import PairIdentity, PairTarget
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec

KEY = PairKey("edge", "web")
ADDRESSES = {Role.MASTER: "10.0.2.4", Role.SLAVE: "10.0.2.5"}


def target(*, managed=True):
    spec = guide_spec()
    if managed:
        for unit in ("master", "slave"):
            spec[unit] = {**spec[unit], "management": {"credentialsSecretRef": {"name": "login"}}}
    return PairTarget(PairIdentity(*KEY, "u-1"), LoadMasterPairSpec.model_validate(spec))


def seen(state, serving):
    diagnosis = Diagnosis(
        PairHealth.ACTIVE_STANDBY, Active.MASTER, {Role.MASTER: state}, True, "x", serving=serving
    )
    return WatchSituation(diagnosis, {})


class Bells:
    def __init__(self, status=None):
        self.azure, self.units, self.watch = [], [], []
        self.exchange = Exchange(
            wake_azure=self.azure.append,
            wake_units=self.units.append,
            refresh_watch=self.watch.append,
            stored=lambda _: status or {},
        )

    def rung(self):
        found = (len(self.azure), len(self.units))
        self.azure.clear()
        self.units.clear()
        return found


def test_azure_wakes_the_units_when_it_shows_them_something_else():
    bells = Bells()
    view = AzureView(addresses=ADDRESSES, ports=Present(frozenset({8444})))
    bells.exchange.azure_seen(KEY, view)
    assert bells.rung() == (0, 1)
    bells.exchange.azure_seen(KEY, AzureView(addresses=dict(ADDRESSES), ports=Present(frozenset({8444}))))
    assert bells.rung() == (0, 0)
    bells.exchange.azure_seen(KEY, AzureView(addresses=ADDRESSES, ports=Present(frozenset({8445}))))
    assert bells.rung() == (0, 1)


def test_units_wake_azure_when_a_service_that_it_waits_for_is_ready_and_not_else():
    bells = Bells()
    bells.exchange.azure_seen(KEY, AzureView(addresses=ADDRESSES, waiting=frozenset({"https"})))
    bells.rung()
    bells.exchange.units_seen(KEY, UnitsView(ready=frozenset({"other"})))
    assert bells.rung() == (0, 0)
    bells.exchange.units_seen(KEY, UnitsView(ready=frozenset({"other", "https"})))
    assert bells.rung() == (1, 0)
    bells.exchange.units_seen(KEY, UnitsView(ready=frozenset({"other", "https"})))
    assert bells.rung() == (0, 0)
    bells.exchange.units_seen(KEY, UnitsView(ready=frozenset()))
    assert bells.rung() == (0, 0), "what was published is not taken back because a server is down"


def test_the_check_port_wakes_azure_only_where_azure_has_another_one():
    bells = Bells()
    bells.exchange.azure_seen(KEY, AzureView(ports=Present(frozenset({8444}))))
    bells.rung()
    bells.exchange.units_seen(KEY, UnitsView(ready=frozenset(), check_port=8444))
    assert bells.rung() == (0, 0)
    bells.exchange.units_seen(KEY, UnitsView(ready=frozenset(), check_port=8445))
    assert bells.rung() == (1, 0)


def test_the_end_of_a_clean_up_wakes_the_other_side_once():
    bells = Bells()
    bells.exchange.azure_cleaned(KEY, cleaned=True)
    bells.exchange.azure_cleaned(KEY, cleaned=True)
    assert bells.rung() == (0, 1)
    bells.exchange.units_seen(KEY, UnitsView(cleaned=True))
    bells.exchange.units_seen(KEY, UnitsView(cleaned=True))
    assert bells.rung() == (1, 0)


def test_a_change_of_what_units_do_wakes_the_units_lane():
    bells = Bells()
    assert bells.exchange.frontend_serves(KEY) == Absent()
    bells.exchange.watched(KEY, seen(ObservedState.ACTIVE, True))
    assert bells.rung() == (0, 0), "the first word is no change"
    bells.exchange.watched(KEY, seen(ObservedState.ACTIVE, True))
    assert bells.rung() == (0, 0)
    bells.exchange.watched(KEY, seen(ObservedState.UNKNOWN, None))
    assert bells.rung() == (0, 1)
    assert isinstance(bells.exchange.frontend_serves(KEY), Unknown)


def test_a_pair_is_watched_as_soon_as_its_manifest_is_known_and_only_if_it_is_managed():
    bells = Bells()
    assert bells.exchange.watch_facts(KEY) is None
    bells.exchange.wanted(KEY, target(managed=False))
    assert bells.exchange.watch_facts(KEY) is None
    bells.exchange.wanted(KEY, target())
    facts = bells.exchange.watch_facts(KEY)
    assert facts is not None
    assert facts.check_port == 8444
    assert bells.watch
    bells.exchange.forget(KEY)
    assert bells.exchange.watch_facts(KEY) is None


def test_after_a_restart_without_azure_the_stored_addresses_are_watched():
    rows = [{"role": role.value, "address": address} for role, address in ADDRESSES.items()]
    bells = Bells({"units": rows, "frontend": {"address": "10.0.2.100"}})
    bells.exchange.wanted(KEY, target())
    facts = bells.exchange.watch_facts(KEY)
    assert facts is not None
    assert (facts.addresses, facts.frontend) == (ADDRESSES, "10.0.2.100")
    moved = {Role.MASTER: "10.0.2.9"}
    bells.exchange.azure_seen(KEY, AzureView(addresses=moved, frontend=Present("10.0.2.7")))
    facts = bells.exchange.watch_facts(KEY)
    assert facts is not None
    assert facts.addresses == {**ADDRESSES, **moved}
    assert facts.frontend == "10.0.2.7"


def test_the_last_fail_over_of_an_earlier_process_is_remembered_with_its_time():
    last = {"to": "Slave", "time": "2026-01-02T03:04:05Z"}
    found = Bells({"active": "Both", "lastFailover": last}).exchange.stored_watch(KEY)
    assert (found.last_failover_to, found.last_failover_at) == (Role.SLAVE, 1767323045.0)
    assert Bells().exchange.stored_watch(KEY).last_failover_at is None


def test_that_a_service_was_told_to_be_down_is_remembered():
    told = {"type": "PairHealthy", "status": "False", "reason": "ServiceUnreachable"}
    assert Bells({"conditions": [told]}).exchange.stored_watch(KEY).services_down
    other = {**told, "type": "Available"}
    assert not Bells({"conditions": [other]}).exchange.stored_watch(KEY).services_down
    assert not Bells().exchange.stored_watch(KEY).services_down


def test_the_watch_lane_hears_when_services_were_written():
    bells = Bells()
    bells.exchange.wanted(KEY, target())
    bells.exchange.units_seen(KEY, UnitsView(services_written_at=7.0))
    facts = bells.exchange.watch_facts(KEY)
    assert facts is not None
    assert facts.services_written_at == 7.0


def announced(bells, seen, told):
    bells.exchange.units_seen(KEY, UnitsView(settings=dict.fromkeys(Role, seen)))
    for role in Role:
        bells.exchange.settings_told(KEY, role, told)
    return bells.rung()[1]


def test_units_that_announce_settings_which_were_not_looked_at_are_visited():
    bells = Bells()
    assert announced(bells, seen=3, told=3) == 0
    assert bells.exchange.settings_are_watched(KEY)
    assert announced(bells, seen=3, told=4) == 2
    bells.exchange.units_seen(KEY, UnitsView(settings=dict.fromkeys(Role, 4)))
    assert bells.rung()[1] == 0


def test_what_was_announced_during_a_look_is_looked_at_once_more():
    bells = Bells()
    bells.exchange.settings_told(KEY, Role.MASTER, 4)
    assert bells.rung()[1] == 0
    bells.exchange.units_seen(KEY, UnitsView(settings={Role.MASTER: 3}))
    assert bells.rung()[1] == 1


def test_a_unit_that_is_silent_because_it_is_rebooted_is_waited_for_anyway():
    bells = Bells()
    assert announced(bells, seen=3, told=3) == 0
    bells.exchange.units_seen(KEY, UnitsView(settings=dict.fromkeys(Role, 3), changing=True))
    bells.rung()
    bells.exchange.settings_told(KEY, Role.SLAVE, None)
    assert bells.rung()[1] == 0


def test_a_unit_that_was_away_is_visited_whatever_it_announces_and_not_watched_meanwhile():
    bells = Bells()
    assert announced(bells, seen=3, told=3) == 0
    bells.exchange.settings_told(KEY, Role.SLAVE, None)
    assert not bells.exchange.settings_are_watched(KEY)
    assert bells.rung()[1] == 1, "whoever announces nothing any more is looked at"
    bells.exchange.settings_told(KEY, Role.SLAVE, None)
    assert bells.rung()[1] == 0, "once"
    bells.exchange.settings_told(KEY, Role.SLAVE, 3)
    assert bells.rung()[1] == 1
    assert bells.exchange.settings_are_watched(KEY)


def test_units_that_announce_nothing_are_not_relied_on():
    bells = Bells()
    bells.exchange.units_seen(KEY, UnitsView())
    for role in Role:
        bells.exchange.settings_told(KEY, role, None)
    assert not bells.exchange.settings_are_watched(KEY)
