"""What each word of the diagnosis means and what a person should do; docs/diagnosis.md is made of it."""

from dataclasses import dataclass
from typing import Final

from loadmaster_ha.planning.diagnosis.model import PairHealth


@dataclass(frozen=True, slots=True)
class Explanation:
    """`healthy` is the status of the condition PairHealthy; None is Unknown. `guide` is Kemp's section."""

    healthy: bool | None
    meaning: str
    remedy: str
    guide: str = ""


CATALOGUE: Final[dict[PairHealth, Explanation]] = {
    PairHealth.MIXED_UNITS: Explanation(
        healthy=False,
        meaning="One unit is an appliance, the other one a node agent. They cannot synchronise.",
        remedy="Make both of the same kind.",
    ),
    PairHealth.LICENSING_FAILED: Explanation(
        healthy=False,
        meaning="Licensing failed with a message about the default gateway. The gateway is a red herring: "
        "Azure does not answer the ping of older firmware.",
        remedy="Check Kemp ID and password, and that the unit reaches the licensing server.",
        guide="10.3",
    ),
    PairHealth.UNLICENSED: Explanation(
        healthy=False,
        meaning="A unit has no licence, or its licence agreement has not been accepted.",
        remedy="License it in its web user interface (guide, 3.2), or use a pay-per-use image.",
        guide="3.2",
    ),
    PairHealth.BOOTING: Explanation(
        healthy=False,
        meaning="A unit starts. A virtual machine takes about five minutes to become reachable.",
        remedy="Wait. If it takes longer than ten minutes, see the machine's console.",
        guide="10.4",
    ),
    PairHealth.NOT_CONFIGURED: Explanation(
        healthy=False,
        meaning="A unit is in single mode: HA has not been set, or was taken away, or another unit is in its "
        "place. If it cannot be asked, its health page tells.",
        remedy="Nothing while the operator builds the pair; else see HASynced, which says what keeps the "
        "operator from it.",
        guide="7",
    ),
    PairHealth.MODE_CONFLICT: Explanation(
        healthy=False,
        meaning="Both units have the same mode, or each has the other's: HA does not work.",
        remedy="Nothing, the operator sets it (with policy.mode Observe: set one to master, the other one to "
        "slave, and reboot both).",
        guide="7",
    ),
    PairHealth.PORT_MISMATCH: Explanation(
        healthy=False,
        meaning="The check port is not the same on both units and in the balancer's probe.",
        remedy="Nothing, the operator sets it (with policy.mode Observe: set spec.healthCheck.port on "
        "the unit).",
        guide="2, 7",
    ),
    PairHealth.PARTNER_MISMATCH: Explanation(
        healthy=False,
        meaning="A unit has another partner than the other unit of the pair.",
        remedy="Nothing, the operator sets it. By hand: each unit's partner is the other one; the guide's "
        "section 7 step 8 has a slip there.",
        guide="7",
    ),
    PairHealth.BOTH_ACTIVE: Explanation(
        healthy=False,
        meaning="Both units answer the probe with 200, and the balancer sends traffic to both. During a "
        "planned switch-over that is so on purpose, for some seconds.",
        remedy="If it lasts: see that the units reach each other on the check port and on TCP 6973, and that "
        "both have the other one as partner.",
        guide="7, 10.1",
    ),
    PairHealth.UNCONNECTED: Explanation(
        healthy=False,
        meaning="A unit has not been polled by the balancer since it started, and nobody is active.",
        remedy="Look at the balancer's probe (HTTP, the check port, path /), the rule that uses it, the "
        "pool's members, and whether security groups let AzureLoadBalancer in.",
        guide="10.2",
    ),
    PairHealth.NONE_ACTIVE: Explanation(
        healthy=False,
        meaning="Neither unit answers the probe with 200: nobody is served.",
        remedy="See what each unit says of itself: its data plane, its log, whether it runs at all.",
        guide="10.1",
    ),
    PairHealth.SECRET_MISMATCH: Explanation(
        healthy=False,
        meaning="The units refuse each other, their Partner Shared Secrets differ: nothing is synchronised.",
        remedy="Set spec.highAvailability.sharedSecretRef; the operator writes it to both. Without it, set "
        "the same secret on both units.",
        guide="10.6",
    ),
    PairHealth.PARTNER_UNREACHABLE: Explanation(
        healthy=False,
        meaning="One unit serves and the other one does not answer or certainly cannot serve, or the two do "
        "not reach each other. "
        "There may be nobody to take over.",
        remedy="See to the unit or the network: the virtual machine, security groups for the check port and "
        "TCP 6973 between the units.",
        guide="10.4, 10.5, 10.6",
    ),
    PairHealth.BALANCER_MISCONFIGURED: Explanation(
        healthy=False,
        meaning="The units work, one active and one standby, but Azure sees them otherwise.",
        remedy="Compare the balancer's probe, rules and pool with what AzureSynced says; look at admin "
        "states.",
        guide="10.7",
    ),
    PairHealth.VERSION_SKEW: Explanation(
        healthy=False,
        meaning="The units run different firmware. That is meant for the time of an upgrade only.",
        remedy="Bring both to the same version: the standby first, then switch over, then the other one.",
        guide="1.1, 9",
    ),
    PairHealth.SYNC_STALE: Explanation(
        healthy=False,
        meaning="The units have not agreed on their settings for longer than two synchronisation periods.",
        remedy="Look at TCP 6973 between the units: security groups, and the shared secret. After a "
        "fail-over the other unit would serve older settings.",
        guide="10.6",
    ),
    PairHealth.SERVICE_UNREACHABLE: Explanation(
        healthy=False,
        meaning="The pair works, but a published virtual service is down: its real servers do not answer.",
        remedy="See to the real servers and to what stands between the units and them.",
        guide="10.8",
    ),
    PairHealth.ACTIVE_STANDBY: Explanation(
        healthy=True,
        meaning="One unit answers the probe with 200, the other one is ready to take over.",
        remedy="",
        guide="10.1",
    ),
    PairHealth.UNKNOWN: Explanation(
        healthy=None,
        meaning="It cannot be told who is active, or whether the other unit could take over. Whoever cannot "
        "be asked may serve nevertheless: fail-over does not depend on the operator.",
        remedy="Let the operator reach the units (management port and check port) and the frontend: routes, "
        "security groups, spec.networkSecurity.managementSources, credentials.",
    ),
}


def reference() -> str:
    """The reference page of the diagnosis, in Markdown."""
    lines = [
        "# Who is active, and why: the diagnosis of a pair",
        "",
        "<!-- Generated from operator/loadmaster_ha/planning/diagnosis by",
        "     `python -m loadmaster_ha.cli.reference`; do not edit. -->",
        "",
        "The reasons of the condition `PairHealthy`, in the order in which they count: the first that",
        "applies is the reason, the others are told in its message as evidence. A cause comes before what",
        "it causes.",
        '*Guide* is the section of Kemp\'s "LoadMaster HA for Azure" that is about it.',
        "",
        "| Reason | `PairHealthy` | What it means | What to do | Guide |",
        "| --- | --- | --- | --- | --- |",
    ]
    words = {True: "True", False: "False", None: "Unknown"}
    for health, row in CATALOGUE.items():
        cells = (f"`{health}`", words[row.healthy], row.meaning, row.remedy or "Nothing.", row.guide or "-")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "What can be told and what cannot: a unit that refuses connections is certainly not active, since",
        "its host answers and nothing listens. One that does not answer at all may serve nevertheless, if",
        "only the way from the operator to it is cut; then its state is `Unknown`, and `status.active` is",
        "told by the other unit or by the page behind the balancer, or it is `Unknown` too. Fail-over does",
        "not depend on any of it.",
        "",
        "A unit whose management cannot be asked is judged by its health page. A node agent's says in",
        "words what it is: a standby is one, and the pair is well; `HA is not configured` and `Unit is",
        "unavailable` are none. An appliance's page is asked only once its management has said that HA is",
        "in force there, and no more after the first question without an answer: its 503 is a standby's,",
        "as the guide has it. Any other answer than 200 tells that the unit is not active, and no more",
        "than that: `Unknown`.",
    ]
    return "\n".join([*lines, ""])
