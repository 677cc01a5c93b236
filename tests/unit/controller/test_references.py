"""Who refers to what: out of a manifest, and as an index that is never out of step."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.support.pairs import changed, managed_pair, short_pair

from loadmaster_ha.controller.references import NODES, Kind, Reference, References, references_of
from loadmaster_ha.controller.registry import PairKey
from loadmaster_ha.resources.loadmasterpair import LoadMasterPairSpec


def of(manifest):
    return references_of("edge", LoadMasterPairSpec.model_validate(manifest["spec"]))


def secret(name):
    return Reference(Kind.SECRET, "edge", name)


def test_a_pair_without_credentials_refers_to_nothing():
    with_secret = changed(short_pair(), {"spec.highAvailability.sharedSecretRef.name": "partner"})
    assert of(with_secret) == frozenset()


def test_everything_that_a_manifest_names_is_found():
    manifest = changed(
        managed_pair(),
        {
            "spec.slave.management.tls.caSecretRef.name": "lm-ca",
            "spec.highAvailability.sharedSecretRef.name": "partner",
            "spec.services": [
                {"name": "bare", "port": 80},
                {"name": "fixed", "port": 81, "virtualService": {}},
                {
                    "name": "pods",
                    "port": 443,
                    "virtualService": {
                        "tls": {"certificateSecretRef": {"name": "shop-tls"}},
                        "realServersFrom": {"service": {"name": "shop", "port": "http"}},
                    },
                },
            ],
        },
    )
    names = ("lm-0-login", "lm-1-login", "lm-ca", "partner", "shop-tls")
    shop = Reference(Kind.SERVICE, "edge", "shop")
    assert of(manifest) == {shop, *map(secret, names)}


def test_nodes_are_needed_only_where_they_are_asked_for():
    manifest = changed(
        managed_pair(),
        {
            "spec.services": [
                {
                    "name": "ports",
                    "port": 443,
                    "virtualService": {
                        "realServersFrom": {"service": {"name": "shop", "port": "http"}, "mode": "Nodes"}
                    },
                }
            ]
        },
    )
    assert {each for each in of(manifest) if each.kind is not Kind.SECRET} == {
        NODES,
        Reference(Kind.SERVICE, "edge", "shop"),
    }


KEYS = st.builds(PairKey, st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"]))
REFERENCES = st.builds(Reference, st.sampled_from(Kind), st.sampled_from(["a", "b"]), st.sampled_from("pqr"))


class Index(RuleBasedStateMachine):
    """The index beside a plain mapping."""

    def __init__(self):
        super().__init__()
        self.index, self.model = References(), {}

    @rule(pair=KEYS, references=st.frozensets(REFERENCES, max_size=5))
    def put(self, pair, references):
        assert self.index.put(pair, references) is (self.model.get(pair, frozenset()) != references)
        self.model[pair] = references

    @rule(pair=KEYS)
    def remove(self, pair):
        assert self.index.remove(pair) is bool(self.model.pop(pair, None))

    @invariant()
    def holders_are_those_that_refer(self):
        everything = {reference for references in self.model.values() for reference in references}
        for reference in everything | {Reference(Kind.SECRET, "z", "z")}:
            wanted = {pair for pair, references in self.model.items() if reference in references}
            assert self.index.holders(reference) == wanted
        for kind in Kind:
            assert self.index.in_use(kind) == {each for each in everything if each.kind is kind}


TestIndex = Index.TestCase
TestIndex.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
