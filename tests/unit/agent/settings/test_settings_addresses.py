"""Own addresses mean each unit's own; all others mean what they say."""

from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.settings.addresses import resolve, stored_key, symbolic

MASTER = {"eth0": "10.0.2.4", "eth1": "10.0.3.4"}
SLAVE = {"eth0": "10.0.2.5", "eth1": "10.0.3.5"}

addresses = st.one_of(
    st.ip_addresses().map(str), st.sampled_from([*MASTER.values(), *SLAVE.values(), "www.example.com.", ""])
)
owns = st.dictionaries(st.sampled_from(["eth0", "eth1"]), st.ip_addresses().map(str), min_size=1)


def test_an_own_address_of_one_unit_is_the_others_own_on_the_other():
    assert symbolic("10.0.2.4", MASTER) == "@eth0"
    assert resolve("@eth0", SLAVE) == "10.0.2.5"
    assert resolve(symbolic("10.0.3.5", SLAVE), MASTER) == "10.0.3.4"


@given(addresses, owns, owns)
def test_both_units_read_their_own_address_or_the_same_literal_one(address, one, other):
    stored = symbolic(address, one)
    assert resolve(stored, one) == address or address in one.values()
    if stored == address:
        assert resolve(stored, other) == address
    else:
        interface = stored.removeprefix("@")
        assert resolve(stored, one) == one[interface]
        assert resolve(stored, other) == other.get(interface, stored)


@given(addresses, owns, owns)
def test_what_the_other_unit_says_back_is_stored_alike(address, one, other):
    stored = symbolic(address, one)
    if stored.startswith("@") and len(set(other.values())) == len(other) and stored[1:] in other:
        assert symbolic(resolve(stored, other), other) == stored


def test_another_spelling_of_the_own_address_is_the_own_address():
    assert symbolic("2001:db8:0:0::7", {"eth0": "2001:db8::7"}) == "@eth0"
    assert symbolic("2001:DB8::7", {"eth0": "2001:db8::7"}) == "@eth0"
    assert symbolic("10.0.0.9", MASTER) == "10.0.0.9"


def test_an_interface_that_is_not_there_stays_a_name():
    assert resolve("@eth7", SLAVE) == "@eth7"


def test_a_setting_that_named_the_address_before_it_was_own_is_still_found():
    assert stored_key("10.0.2.5", SLAVE, {"10.0.2.5"}) == "10.0.2.5"
    assert stored_key("10.0.2.5", SLAVE, {"@eth0", "10.0.2.5"}) == "@eth0"
    assert stored_key("10.0.2.5", SLAVE, set()) == "@eth0"
    assert stored_key("10.9.9.9", SLAVE, set()) == "10.9.9.9"
