"""What is told to the data plane's process arrives as it was."""

import json

from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.emulator.dataplane.configuration import (
    Configuration,
    Member,
    Probe,
    Rule,
    SecurityRule,
    Target,
)

PAIRS = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=3).map(tuple)
SECURITY_RULES = st.builds(
    SecurityRule, st.booleans(), st.sampled_from(["*", "tcp"]), PAIRS, PAIRS, PAIRS, st.booleans()
)
GROUPS = st.lists(st.lists(SECURITY_RULES, max_size=3).map(tuple), max_size=2).map(tuple)
TARGETS = st.lists(st.builds(Target, st.text(), st.sampled_from(["None", "Up", "Down"])), max_size=3).map(
    tuple
)
PROBES = st.builds(
    Probe, st.text(), st.text(), st.integers(), st.text(), st.floats(0.01, 1e6), st.integers(), st.booleans()
)
CONFIGURATIONS = st.builds(
    Configuration,
    st.dictionaries(st.text(), st.builds(Member, st.text(), st.text(), st.booleans(), GROUPS), max_size=3),
    st.dictionaries(st.text(), PROBES, max_size=3),
    st.dictionaries(
        st.text(),
        st.builds(
            Rule, st.text(), st.text(), st.sampled_from(["tcp", "udp"]), st.text(), st.integers(),
            st.integers(), TARGETS,
        ),
        max_size=3,
    ),
)  # fmt: skip


def by_id(configuration):
    """Keys are the ids, as `topology` makes them."""
    parts = (configuration.members, configuration.probes, configuration.rules)
    return Configuration(*({item.id: item for item in part.values()} for part in parts))


@given(CONFIGURATIONS.map(by_id))
def test_it_survives_json(configuration):
    read = Configuration.from_json(json.loads(json.dumps(configuration.to_json())))
    assert (dict(read.members), dict(read.probes), dict(read.rules)) == (
        dict(configuration.members),
        dict(configuration.probes),
        dict(configuration.rules),
    )
