"""For how long nobody, or both, may answer: the formulas that `docs/failure-modes-units.md` states.

`interval` and `threshold` are the balancer's probe, the other names are the agent's configuration. `margin`
is what machines and networks need besides: a second.
"""

from dataclasses import dataclass
from functools import lru_cache

from tests.simulation.ha.setting import Setting

MARGIN = 1.0


@dataclass(frozen=True)
class Bound:
    """A time that must not be exceeded, in seconds."""

    formula: str
    what: str

    def seconds(self, setting: Setting) -> float:
        """Its value for this setting."""
        return _value(self.formula, setting)


@lru_cache(maxsize=4096)
def _value(formula: str, setting: Setting) -> float:
    names = {
        "interval": setting.probe_interval,
        "threshold": setting.probe_threshold,
        "heartbeat": setting.heartbeat_interval,
        "partnerTimeout": setting.partner_timeout,
        "witnessTimeout": setting.witness_timeout,
        "lease": setting.lease,
        "returns": setting.returns_after,
        "margin": MARGIN,
        "max": max,
    }
    return float(eval(formula, {"__builtins__": {}}, names))  # noqa: S307 - the formulas below


TOLD = Bound(
    "max(lease, 2.5 * heartbeat) + heartbeat + margin",
    "nobody answers 200: the other unit's host still says that it does not serve",
)
SILENT = Bound(
    "partnerTimeout + 4 * witnessTimeout + 2 * margin",
    "nobody answers 200: the other unit says nothing at all",
)
UNSEEN = Bound(
    "(threshold + 1.5) * interval + heartbeat + margin",
    "nobody whom the balancer reaches answers 200: the other unit is well but not probed",
)
START = Bound("partnerTimeout + margin", "a starting unit looks for its partner first")
SEEN = Bound(
    "returns * interval + margin", "from the first possible 200 until the balancer sends new connections"
)
CHANGING = Bound(
    "(threshold + 1) * interval + partnerTimeout + 2.5 * heartbeat + margin",
    "both answer 200: a switch-over, or both find out that both are active",
)
UNNOTICED = Bound(
    "(threshold + 1) * interval + partnerTimeout + 40 * witnessTimeout",
    "both answer 200: neither sees the other, the slave reaches the frontend",
)
"""Each question to the frontend is mapped to the other unit with chance 1/2; twenty in a row miss it once in
1e6."""

ALL = {
    "told": TOLD,
    "silent": SILENT,
    "unseen": UNSEEN,
    "start": START,
    "seen": SEEN,
    "changing": CHANGING,
    "unnoticed": UNNOTICED,
}
