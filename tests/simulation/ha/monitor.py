"""What must hold in every run, seen from outside: by what the balancer would be told, not by what engines
believe.

It knows the truth (who is alive, which ways are open) and holds the pair to the bounds in `bounds.py`,
counted from the last thing that happened to it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.ha import bounds
from tests.simulation.ha.bounds import Bound
from tests.simulation.ha.setting import Happening, Trouble

from loadmaster_ha.agent.ha import timing
from loadmaster_ha.agent.ha.model import HandoverKind, Notice, SwitchoverEnded, Transition
from loadmaster_ha.domain.ha import PreferredHost, Role, UnitState

if TYPE_CHECKING:
    from tests.simulation.ha.unit import Unit
    from tests.simulation.ha.world import World

ASKED_FOR = frozenset(
    {
        Trouble.SWITCHOVER,
        Trouble.UNDO,
        Trouble.DRAIN,
        Trouble.STOP,
        Trouble.PREFER_MASTER,
        Trouble.PREFER_NONE,
    }
)
HARMLESS = frozenset({Trouble.POLL, Trouble.UNDO})
NEVER = float("-inf")


class Violation(AssertionError):  # noqa: N818 - reads as what is the case
    """Something that must never happen did."""


@dataclass
class Since:
    """Since when something is so; None: it is not."""

    at: float | None = None
    forgives: float = 0.0
    """An interruption that is not longer than this does not count."""
    _before: float | None = None
    _lost: float = NEVER

    def update(self, now: float, *, holds: bool) -> None:
        """Note whether it holds now."""
        if not holds:
            if self.at is not None:
                self._before, self._lost, self.at = self.at, now, None
        elif self.at is None:
            forgiven = self._before is not None and now - self._lost <= self.forgives
            self.at = self._before if forgiven else now

    def lasts(self, now: float) -> float:
        """How long it has been so."""
        return 0.0 if self.at is None else now - self.at


class Monitor:
    """Watches one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.transitions: list[tuple[float, Role, Transition]] = []
        self.outcomes: list[tuple[float, Role, SwitchoverEnded]] = []
        self.notices: list[tuple[float, Role, Notice]] = []
        self.gap = 0.0
        """The longest time so far in which the balancer had no member that serves."""
        self._changed_at = 0.0
        self._asked_at = NEVER
        self._well = {role: Since() for role in Role}
        self._serves = {role: Since() for role in Role}
        self._answers = {role: Since(forgives=world.setting.lease + 1.0) for role in Role}
        self._clock_stood = False
        self._old_words_until = NEVER
        """Until then a machine that stood still with its clock may act on what was in its buffers."""
        self._both_open: dict[str, Since] = {way: Since() for way in ("page", "link")}
        self._frontend = {role: Since() for role in Role}
        self._path = {role: Since() for role in Role}
        self._member = {role: Since() for role in Role}
        self._quiet_network = Since(0.0)
        self._all_open = Since(0.0)
        """Every way is open and the prober probes."""
        self._handing_at = NEVER
        """When a switch-over was last under way, or a unit took over from one that the balancer missed."""
        self._nobody = Since()
        self._nobody_up = Since()
        self._both = Since()
        self._both_at_all = Since(forgives=world.setting.lease + 1.0)
        self._unwell_at = dict.fromkeys(Role, 0.0)
        self._active_at = dict.fromkeys(Role, NEVER)
        self._counted_at = dict.fromkeys(Role, 0)
        self._activations: list[float] = []
        self._haproxy_failing = False
        self._haproxy_at = 0.0
        """When the master last knew its HAProxy to be well again."""
        self._last_active: Role | None = None

    # What happens

    def disturbed(self, happening: Happening) -> None:
        """Something befalls the pair."""
        now = self._world.simulator.now
        if happening.trouble not in HARMLESS:
            self.look()
            self._changed_at = now
        if happening.trouble is Trouble.SUSPEND_MACHINE:
            self._clock_stood = True
            woken = now + happening.duration
            self._old_words_until = max(self._old_words_until, woken + self._bound(bounds.CHANGING))
        if happening.trouble in ASKED_FOR or happening.trouble is Trouble.STOP_PROBER:
            self._asked_at = now

    def calmer(self) -> None:
        """Something is about to be over."""
        self.look()
        self._changed_at = self._world.simulator.now

    def notice(self, unit: "Unit", notice: Notice) -> None:
        """A unit tells people something."""
        self.notices.append((self._world.simulator.now, unit.role, notice))

    def switchover_ended(self, unit: "Unit", ended: SwitchoverEnded) -> None:
        """A switch-over is over."""
        now = self._world.simulator.now
        self.outcomes.append((now, unit.role, ended))

    def transition(self, unit: "Unit", change: Transition) -> None:
        """A unit changes its state."""
        now, role = self._world.simulator.now, unit.role
        self.transitions.append((now, role, change))
        if change.new is UnitState.ACTIVE:
            if change.reason == "HandoverTaken" and role is Role.MASTER:
                self._check_failback(now)
            self._check_takeover(unit, change, now)
            self._check_no_preferred_host(role, change, now)
            if role is Role.SLAVE:
                self._activations.append(now)
            if change.reason == "PartnerCutOff":
                self._handing_at = now
            self._active_at[role] = now
            self._last_active = role
            self._counted_at[role] = self._world.balancer.counted[role]
        elif change.old is UnitState.ACTIVE:
            self._check_yield(role, change, now)

    # The truth

    def look(self) -> None:
        """Check what has lasted, then see what is so now."""
        now = self._world.simulator.now
        self._check_lasting(now)
        world = self._world
        network, balancer = world.network, world.balancer
        serving = 0
        well_members = 0
        answering = 0
        for role, unit in world.units.items():
            well = unit.well
            reached = network.passes("balancer", role)
            says = unit.answers_200 and reached
            serves = says and not unit.haproxy_failures
            self._well[role].update(now, holds=well)
            self._serves[role].update(now, holds=serves)
            self._answers[role].update(now, holds=unit.answers_200)
            if unit.responder(to_balancer=False)[1] == 200 and unit.state is not UnitState.ACTIVE:
                self._fail(f"{role} answers 200 to everybody although it is {unit.state}")
            self._frontend[role].update(now, holds=network.passes("frontend", role) and unit.runs)
            self._path[role].update(now, holds=reached)
            self._member[role].update(now, holds=balancer.up[role])
            if not well:
                self._unwell_at[role] = now
            serving += serves
            answering += says
            well_members += (
                balancer.up[role] and reached and unit.answers_kernel and not unit.haproxy_failures
            )
        for way, since in self._both_open.items():
            # Which port the partner uses is known from its heartbeats only.
            known = way == "link" or world.setting.equal_ports
            since.update(now, holds=known and network.passes_both(way))
        self._quiet_network.update(now, holds=not network.slow and not network.lossy)
        ways = all(network.passes_both(way) for way in self._both_open)
        probed = all(network.passes("balancer", role) for role in Role) and not balancer.stopped
        quiet = not network.slow and not network.lossy and world.setting.equal_ports
        self._all_open.update(now, holds=ways and probed and quiet)
        nodes = [unit.node for unit in world.units.values() if unit.node is not None]
        if any(node.handover is not None or node.taking is not None for node in nodes):
            self._handing_at = now
        master = world.units[Role.MASTER].node
        failing = master is not None and master.healthy is False
        if self._haproxy_failing and not failing:
            self._haproxy_at = now
        self._haproxy_failing = failing
        if self._nobody_up.at is not None and well_members:
            self.gap = max(self.gap, now - self._nobody_up.at)
        self._nobody.update(now, holds=serving == 0)
        self._nobody_up.update(now, holds=well_members == 0)
        self._both.update(now, holds=answering == 2)
        self._both_at_all.update(now, holds=answering == 2)

    def _fail(self, what: str) -> None:
        raise Violation(f"at {self._world.simulator.now:.3f}: {what}")

    def _bound(self, bound: Bound) -> float:
        return bound.seconds(self._world.setting)

    # What lasts

    def _check_lasting(self, now: float) -> None:
        network = self._world.network
        if network.slow or network.lossy or self._world.balancer.stopped:
            self._changed_at = now
            return
        # Of two with equal modes who does not serve refuses to, so somebody is not promised.
        nobody = self._nobody.at is not None or self._nobody_up.at is not None
        if nobody and not self._world.setting.equal_modes:
            for role, since in self._well.items():
                if since.at is not None:
                    self._check_nobody(role, since.at, now)
        if self._both.at is not None:
            self._check_both(self._both.at, now)

    def _check_nobody(self, role: Role, well_since: float, now: float) -> None:
        started = self._world.units[role].started_at + self._bound(bounds.START)
        base = max(well_since, started, self._changed_at)
        bound, why = self._takeover_bound(role)
        if self._nobody.at is not None:
            lasted = now - max(self._nobody.at, base)
            if lasted > bound:
                self._fail(
                    f"nobody answers for {lasted:.2f} s although {role} is well; bound {bound:.2f} ({why})"
                )
        if self._nobody_up.at is not None:
            lasted = now - max(self._nobody_up.at, base)
            bound += self._bound(bounds.SEEN)
            if lasted > bound:
                self._fail(
                    f"no member serves for {lasted:.2f} s although {role} is well; bound {bound:.2f} ({why})"
                )

    def _takeover_bound(self, role: Role) -> tuple[float, str]:
        """How long this unit, which is well, may take until it serves."""
        world = self._world
        other = world.units[role.partner]
        told, silent, unseen = (self._bound(item) for item in (bounds.TOLD, bounds.SILENT, bounds.UNSEEN))
        page = world.network.passes_both("page") and world.setting.equal_ports
        clear = page and world.network.passes_both("link")
        if not other.runs:
            return (told, "told") if other.answers_kernel and page else (silent, "silent")
        if not clear and other.answers_200 and not world.network.passes("balancer", role.partner):
            # Two failures at once: cut off from the balancer, and no link to tell it. As long as they last.
            return float("inf"), "cut off twice"
        if not clear:
            return max(silent, unseen), "silent or unseen"
        waits = other.answers_200 or (role is Role.SLAVE and other.state is not UnitState.FAILED)
        return (max(told, unseen), "unseen") if waits else (told, "told")

    def _check_both(self, both_since: float, now: float) -> None:
        world = self._world
        self._check_both_without_cause(self._both_at_all.at or both_since, now)
        lasted = now - max(both_since, self._changed_at)
        network = world.network
        by_page = network.passes_both("page") and world.setting.equal_ports and not world.setting.equal_modes
        if (world.link.both_up and network.passes_both("link")) or by_page:
            bound, why = self._bound(bounds.CHANGING), "they see each other"
        elif world.setting.equal_modes:
            return  # neither is the slave, whom page or witness would tell
        elif world.setting.witness and network.passes("frontend", Role.SLAVE):
            bound, why = self._bound(bounds.UNNOTICED), "the slave reaches the frontend"
        else:
            return  # a partition that the witness cannot see into: as long as it lasts
        if lasted > bound:
            self._fail(f"both answer 200 for {lasted:.2f} s; bound {bound:.2f} ({why})")

    def _check_both_without_cause(self, both_since: float, now: float) -> None:
        """While every way is open and nobody hands over, who serves knows of the other one first.

        Also a unit that stood still and wakes: its partner has taken over, and it looks before it serves.
        """
        told = self._bound(bounds.TOLD)
        if self._clock_stood or self._world.setting.equal_modes:
            return  # no process can know that its machine stood still together with its clock
        open_before = self._all_open.at is not None and self._all_open.at < both_since - told
        if not open_before or self._handing_at >= both_since - 1.0:
            return
        apart = abs(self._active_at[Role.MASTER] - self._active_at[Role.SLAVE])
        if apart < 1.0:
            return  # both at the same instant, on what each of them had just asked
        if now - both_since > told:
            self._fail(f"both answer 200 for {now - both_since:.2f} s although every way is open")

    # What happens once

    def _check_takeover(self, unit: "Unit", change: Transition, now: float) -> None:
        """Nobody takes over from a unit that serves while there is a way to know that it does."""
        if change.reason in ("HandoverTaken", "PartnerCutOff"):
            return
        other = unit.role.partner
        enough = self._bound(bounds.START) + 1.0
        if self._serves[other].lasts(now) < enough or self._quiet_network.lasts(now) < enough:
            return
        if now - unit.started_at < enough or self._well[unit.role].lasts(now) < enough:
            return
        if now - self._active_at[other] < 1.0:
            return  # both at the same instant: `_check_both` sees to it
        if self._both_open["page"].lasts(now) > enough:
            self._fail(f"{unit.role} took over ({change.reason}) although {other}'s health port says 200")
        vouched = min(self._member[other].lasts(now), self._frontend[unit.role].lasts(now))
        if self._world.setting.witness and vouched > enough and not self._world.balancer.up[unit.role]:
            self._fail(f"{unit.role} took over ({change.reason}) although the frontend answers for {other}")

    def _check_no_preferred_host(self, role: Role, change: Transition, now: float) -> None:
        """No Preferred Host never moves without a failure, or without being asked."""
        other = role.partner
        if self._last_active is not other or change.old is UnitState.ACTIVE:
            return
        if any(u.configuration.preferred_host is not PreferredHost.NONE for u in self._world.units.values()):
            return
        since = self._active_at[other]
        if now - since < 1.0 or now < self._old_words_until:
            return  # both at the same instant: `_check_both` sees to it; or old words out of buffers
        if max(self._unwell_at[other], self._asked_at) >= since - 1.0 or not self._quiet_network.at:
            return
        if self._quiet_network.at > since or not self._connected(role):
            return
        self._fail(
            f"No Preferred Host: moved to {role} ({change.reason}) although nothing happened to {other}"
        )

    def _connected(self, role: Role) -> bool:
        """Whether this unit has had some way to see the other one."""
        now, enough = self._world.simulator.now, self._bound(bounds.SILENT)
        ways = [self._both_open["page"].lasts(now)]
        if self._world.setting.witness:
            ways.append(min(self._frontend[role].lasts(now), self._member[role.partner].lasts(now)))
        return max(ways) > enough

    def _check_yield(self, role: Role, change: Transition, now: float) -> None:
        """A unit that could serve yields only when the balancer has seen the other one."""
        balancer, other = self._world.balancer, role.partner
        if change.reason == "HandedOver":
            counted = balancer.counted[other] - self._counted_at[other]
            # Whose clock stood still with its machine may find an old `ready` in its buffers.
            if counted < self._world.setting.probe_threshold and now >= self._old_words_until:
                self._fail(
                    f"{role} yielded although the balancer's probes found 200 at {other} {counted} times"
                )
        elif change.reason == "ConflictYielded":
            calm = now - self._changed_at > timing.confirmation(self._world.units[role].configuration)
            reached = self._path[other].lasts(now) > self._bound(bounds.UNSEEN)
            if calm and reached and not balancer.stopped and not balancer.up[other]:
                self._fail(f"{role} yielded to {other}, which the balancer holds down")
            self._check_seniority(role, now)

    def _check_seniority(self, role: Role, now: float) -> None:
        """No Preferred Host: whom the balancer has had as active for longer stays; of equals the master."""
        units = self._world.units
        if any(unit.configuration.preferred_host is not PreferredHost.NONE for unit in units.values()):
            return
        if self._world.setting.equal_modes:
            return  # by their ids
        long = self._bound(bounds.UNSEEN)
        if self._well[role].lasts(now) <= long or self._path[role.partner].lasts(now) <= long:
            return
        if (
            self._world.balancer.stopped
            or not self._quiet_network.lasts(now) > 30
            or self._asked_at > now - 60
        ):
            return
        if self._clock_stood:
            return  # no process can know that its machine stood still together with its clock
        if self._both_open["link"].at is None:
            return  # by their health ports alone a slave yields to its master, however old
        # At least so long the one that yields was probed as active, and at most so long the other one.
        reached = self._path[role].lasts(now) - self._world.setting.probe_interval
        older = min(self._answers[role].lasts(now), reached) - self._answers[role.partner].lasts(now)
        if older > timing.TIE + 1.0:
            self._fail(f"No Preferred Host: {role} yielded although it had served {older:.1f} s longer")

    def _check_failback(self, now: float) -> None:
        """Prefer Master moves back only to a master that has been well for as long as the damping demands."""
        units = self._world.units
        slave, master = units[Role.SLAVE], units[Role.MASTER]
        handover = slave.node.handover if slave.node is not None else None
        if handover is None or handover.kind is not HandoverKind.FAILBACK:
            return
        recent = [
            at for at in self._activations if at >= max(slave.started_at, now - timing.DAMPING_WINDOW + 30)
        ]
        setting = self._world.setting
        demanded = max(
            setting.failback_delay,
            min(setting.damping_limit, setting.failback_delay * 2.0 ** max(0, len(recent) - 1)),
        )
        well_for = now - max(master.started_at, self._haproxy_at)
        if well_for < demanded:
            self._fail(f"fell back to a master well for {well_for:.1f} s; {demanded:.1f} s are demanded")

    # The end

    def unsettled(self) -> str | None:
        """Why the pair is not as it should be when nothing is wrong any more; None: it is."""
        world = self._world
        active = [role for role, unit in world.units.items() if unit.state is UnitState.ACTIVE]
        if world.setting.equal_modes:
            return self._unsettled_equals(active)
        return self._unsettled_pair(active)

    def _unsettled_pair(self, active: list[Role]) -> str | None:
        world = self._world
        if len(active) != 1:
            return f"active: {', '.join(active) or 'nobody'}"
        up = [role for role in Role if world.balancer.up[role]]
        if up != active:
            return f"active: {active[0]}; the balancer holds up: {', '.join(up) or 'nobody'}"
        master, slave = world.units[Role.MASTER].node, world.units[Role.SLAVE].node
        prefers = world.units[Role.MASTER].configuration.preferred_host is PreferredHost.MASTER
        held = slave is not None and slave.hold is not None
        if master is None or slave is None:
            return "a node process does not run"
        if (
            prefers
            and not held
            and active[0] is not Role.MASTER
            and world.network.passes("balancer", Role.MASTER)
        ):
            return "Prefer Master, and the slave is active"
        handover = master.handover or slave.handover
        if handover is not None and handover.kind is not HandoverKind.FAILBACK:
            return f"switch-over {handover.id} is under way"
        return None

    def _unsettled_equals(self, active: list[Role]) -> str | None:
        """The same for two units of equal mode: at most one serves, and who does not has refused."""
        world = self._world
        if len(active) > 1:
            return "both are active although they have the same mode"
        up = [role for role in Role if world.balancer.up[role]]
        if up != active:
            return f"equal modes, active: {active}; the balancer holds up: {', '.join(up) or 'nobody'}"
        wrong = [
            unit
            for role, unit in world.units.items()
            if role not in active and unit.state is not UnitState.FAILED
        ]
        return f"equal modes, and {wrong[0].role} is {wrong[0].state}" if wrong else None
