"""Who wins, the file or the management API: what the file says anew, else what the API set."""

import pytest

from loadmaster_ha.agent.configuration import Configuration, InvalidConfiguration
from loadmaster_ha.agent.process.seeding import seeded
from loadmaster_ha.agent.settings.store import Store
from loadmaster_ha.agent.unit_settings import AgentSettings, HaSettings, partner_secret
from loadmaster_ha.domain.ha import Mode, PreferredHost


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "settings.db")
    yield opened
    opened.close()


def start(store, **said):
    """What a start with this file does."""
    changes = seeded(Configuration(**said), store.snapshot)
    store.commit(changes)
    return changes


def test_the_first_start_applies_what_the_file_says_and_leaves_the_rest_alone(store):
    start(store, mode="Master", partner_address="10.0.2.5", preferred_host="None", probe_interval=7)
    ha, agent = HaSettings.of(store.snapshot), AgentSettings.of(store.snapshot)
    assert (ha.mode, ha.partner, ha.preferred_host) == (Mode.MASTER, "10.0.2.5", PreferredHost.NONE)
    assert (ha.check_port, agent.probe_interval, agent.frontend) == (None, 7, None)


def test_what_the_api_set_stays_while_the_file_says_the_same(store):
    start(store, partner_address="10.0.2.5")
    store.commit([HaSettings.put({"partner": "10.0.2.6"})])
    assert start(store, partner_address="10.0.2.5") == []
    assert HaSettings.of(store.snapshot).partner == "10.0.2.6"


def test_what_the_file_says_anew_wins_and_only_that(store):
    start(store, partner_address="10.0.2.5", check_port=8444)
    store.commit([HaSettings.put({"partner": "10.0.2.6", "check_port": 8555})])
    start(store, partner_address="10.0.2.7", check_port=8444)
    assert HaSettings.of(store.snapshot).partner == "10.0.2.7"
    assert HaSettings.of(store.snapshot).check_port == 8555


def test_a_setting_taken_out_of_the_file_stays_as_it_is_and_is_new_when_it_comes_back(store):
    start(store, frontend="10.0.2.100")
    start(store)
    assert AgentSettings.of(store.snapshot).frontend == "10.0.2.100"
    store.commit([AgentSettings.put({"frontend": "10.0.2.101"})])
    start(store, frontend="10.0.2.100")
    assert AgentSettings.of(store.snapshot).frontend == "10.0.2.100"


def test_a_changed_secret_in_the_same_file_is_new(store, tmp_path):
    file = tmp_path / "secret"
    file.write_text("first-secret\n", encoding="ascii")
    start(store, partner_secret_file=str(file))
    assert partner_secret(store.snapshot) == "first-secret"
    assert start(store, partner_secret_file=str(file)) == []
    file.write_text("second-secret\n", encoding="ascii")
    start(store, partner_secret_file=str(file))
    assert partner_secret(store.snapshot) == "second-secret"


def test_a_secret_that_cannot_be_read_changes_nothing(store, tmp_path):
    with pytest.raises(InvalidConfiguration):
        start(store, mode="Slave", partner_secret_file=str(tmp_path / "nothing"))
    assert HaSettings.of(store.snapshot).mode is Mode.SINGLE
