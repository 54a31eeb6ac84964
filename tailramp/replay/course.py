"""A whole ramp over counts that were kept: the planner, the watch and the judges of a live one, without a world.

A live watch rebuilds what it knows from Prometheus whenever a step begins; here the counts are there already, so what
was learnt is carried on, and rebuilt only where a live ramp would have forgotten a part of it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tailramp import ramp
from tailramp.activity_contract import WatchRequest
from tailramp.checks import shelf_of
from tailramp.dossiers import Dossiers, dossiers_of, filing_shelf_of
from tailramp.evidence import RUN_UP, Grid, Verdict, VerdictKind
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.sequential.dossier import teach
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.shelf import Shelf
from tailramp.evidence.verdicts import Said, in_full
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.ramp import Phase, RampState, Reason, WatchMode, WatchOutcome
from tailramp.replay.source import Source
from tailramp.spec import RampSpec
from tailramp.watch_request import watch_request
from tailramp.watching import Outcome, Watching

_SEEN_SECONDS: Final = 86_400
"""Of verdicts that are kept, beside those of the hold, for a watch that is asked again: one that observes a live route
has no end."""


@dataclass(frozen=True)
class Decided:
    """One decision, at unix time ``at``: the ramp ``before`` it and ``after`` it, under ``plan``, and on what it rests.

    ``outcome`` is None where no watch decided: a step was served, the candidate became the default, a person's approval
    was taken for granted, the ramp ended.
    """

    at: int
    plan: Plan
    before: RampState
    after: RampState
    outcome: Outcome | None = None
    verdicts: tuple[Verdict, ...] = ()
    approved: bool = False


@dataclass(frozen=True)
class Course:
    """What the policy would have done from unix time ``first`` to ``last``.

    ``state`` is where it stood at the end; a phase that is not over means that the counts ended first.  ``verdicts``
    are those of the last tick, and ``ticks`` how many were judged.
    """

    first: int
    last: int
    state: RampState
    plan: Plan
    decided: tuple[Decided, ...]
    verdicts: tuple[Verdict, ...]
    ticks: int

    @property
    def promoted_at(self) -> int | None:
        """When everyone was on the candidate; None if that was never so, or was taken back."""
        if self.rolled_back_at is not None:
            return None
        return next((one.at for one in self.decided if one.after.phase is Phase.BAKING), None)

    @property
    def rolled_back_at(self) -> int | None:
        return next((one.at for one in self.decided if one.after.stop is not None), None)

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """Those for which everyone was taken back."""
        ends = (one for one in self.decided if one.after.stop is not None)
        return tuple(v.check for one in ends for v in one.verdicts if v.kind is VerdictKind.FAIL)

    @property
    def blocked_at(self) -> int | None:
        """When the ramp first had to wait for something that only a person or better evidence ends."""
        return next((one.at for one in self.decided if one.after.blocked_by or one.after.paused), None)


def play(
    spec: RampSpec,
    plan: Plan,
    source: Source,
    told: Callable[[int], None] = lambda _: None,
    heard: Callable[[Decided], None] = lambda _: None,
    *,
    earlier: TimeBefore | None = None,
) -> Course:
    """Run the ramp of ``spec`` and ``plan`` over ``source``.

    ``told`` hears every tick's time and ``heard`` every decision, for whoever waits.  ``earlier``: what is known of the
    first step's users, if the source does not know it.
    """
    return _Playing(spec, plan, source, told, heard, earlier).run()


@dataclass
class _Stretch:
    """The ticks of one time grid, of one set of checks, so far."""

    anchor: int
    settling: bool
    slots: tuple[SlotName, ...]
    grid: Grid
    shelf: Shelf
    next: int
    seen: deque[tuple[int, tuple[Said, ...]]]


class _Playing:
    def __init__(
        self,
        spec: RampSpec,
        plan: Plan,
        source: Source,
        told: Callable[[int], None],
        heard: Callable[[Decided], None],
        earlier: TimeBefore | None,
    ) -> None:
        self._spec, self._plan, self._source, self._told, self._heard = spec, plan, source, told, heard
        self._earlier = earlier
        self._tick = int(spec.platform.checks.tick.total_seconds())
        self._now = source.first
        self._state = ramp.preflight_passed(RampState(), epoch=1, applied=plan.baseline_only)
        self._decided: list[Decided] = []
        self._stretch: _Stretch | None = None
        self._dossiers: Dossiers = {}
        self._filed: tuple[Any, ...] = ()
        self._ticks = 0
        self._followed = True

    def run(self) -> Course:
        while self._act():
            pass
        verdicts = () if self._stretch is None else tuple(self._stretch.shelf.restate())
        source = self._source
        return Course(source.first, source.last, self._state, self._plan, tuple(self._decided), verdicts, self._ticks)

    def _act(self) -> bool:
        """One action of the planner; False when there is nothing more to do or to see."""
        plan, state = self._plan, self._state
        match ramp.next_action(plan, state):
            case ramp.Shift(step):
                self._now = self._served_at(step.assignment)
                self._decide(ramp.shifted(state, step.assignment, self._moment))
            case ramp.Watch(mode):
                return self._watch(mode)
            case ramp.Advance():
                self._state = ramp.advanced(plan, state)
            case ramp.MoveDefault():  # a step on the way to the bake, which no watch and no recording sees by itself
                self._state = ramp.default_moved(state, plan.promoting)
            case ramp.RemoveRules():
                self._now = self._served_at(plan.baking)
                self._decide(ramp.rules_removed(state, plan.baking, self._moment))
            case ramp.EndHoldBack():
                self._state = ramp.hold_back_ended(state, plan.promoted)
            case ramp.Conclude():
                self._decide(ramp.concluded(state))
            case ramp.Withdraw(_, assignment):
                self._state = ramp.taken_back(state, assignment)
            case ramp.RollBack():
                self._state = ramp.rolled_back(ramp.rolling_back(state, state.epoch + 1), plan.baseline_only)
            case ramp.Finish():
                return False
            case action:
                raise AssertionError(f"nobody sends messages to a replay, yet it has to {action}")
        return True

    @property
    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now, UTC)

    def _served_at(self, assignment: Any) -> int:
        """When the recorded ramp served it, as long as this one does what that one did; else at once."""
        at = self._source.served_from(assignment, self._now) if self._followed else None
        self._followed = at is not None
        return self._now if at is None else at

    def _decide(
        self,
        after: RampState,
        outcome: Outcome | None = None,
        verdicts: tuple[Verdict, ...] = (),
        *,
        approved: bool = False,
    ) -> None:
        before, self._state = self._state, after
        decided = Decided(self._now, self._plan, before, after, outcome, verdicts, approved)
        self._decided.append(decided)
        self._heard(decided)

    def _watch(self, mode: WatchMode) -> bool:
        """Judge tick after tick until something is decided; False when the counts are over."""
        request = watch_request(self._spec, self._plan, self._state, mode, ramp="replay", segment=timedelta())
        shares = self._source.shares(self._plan, request.anchor)
        watching = Watching(request, self._moment, shares)
        stretch = self._stretch_of(request)
        for at, verdicts in stretch.seen:  # as a live watch that is asked again sees what it had seen
            if (outcome := watching.observe(at, verdicts)) is not None:
                return self._take(at, outcome, tuple(map(in_full, verdicts)))
        while (at := stretch.grid.time(stretch.next)) <= self._source.last:
            stretch.shelf.speak_briefly(not watching.weighs_risks(at))
            self._source.show(stretch.shelf, stretch.grid, stretch.next)
            stretch.next += 1
            if at < request.anchor:
                continue
            self._ticks += 1
            self._told(at)
            verdicts = tuple(stretch.shelf.sayings)
            stretch.seen.append((at, verdicts))
            if (outcome := watching.observe(at, verdicts, frozenset())) is not None:
                return self._take(at, outcome, tuple(stretch.shelf.restate()))
        self._now = self._source.last
        return False

    def _take(self, at: int, outcome: Outcome, verdicts: tuple[Verdict, ...]) -> bool:
        """What the workflow does with the outcome of a watch."""
        self._now = at
        plan, state, platform = self._plan, self._state, self._spec.platform
        match outcome.kind:
            case WatchOutcome.FAILED:
                automatic = {v.slot for v in plan.candidates if self._spec.candidate_of(v.model).auto_rollback}
                after = ramp.check_failed(
                    plan,
                    state,
                    outcome.failed,
                    outcome.sentence,
                    automatic=automatic,
                    now=self._moment,
                    causes=outcome.causes,
                )
                self._decide(after, outcome, verdicts)
                if gone := after.withdrawn.keys() - state.withdrawn.keys():
                    self._plan = plan.without(gone)
            case WatchOutcome.BLIND:
                goes_back = platform.ramp.on_blind == "rollback"
                stopped = ramp.stopped(state, Reason.BLIND, outcome.sentence)
                after = stopped if goes_back else ramp.blinded(state, outcome.causes)
                self._decide(after, outcome, verdicts)
            case WatchOutcome.BLOCKS_CHANGED:
                self._decide(ramp.blocks_changed(state, outcome.blocks, outcome.causes), outcome, verdicts)
            case kind:
                after = ramp.watched(
                    plan, state, kind, self._moment, next_step=outcome.next_step, causes=outcome.causes
                )
                self._decide(after, outcome, verdicts)
                if ramp.Block.APPROVAL in after.blocked_by:
                    self._decide(ramp.promoted(after, after.step), approved=True)
        return True

    def _stretch_of(self, request: WatchRequest) -> _Stretch:
        """The books of the request: those that are open already, if they are of the same checks and time grid."""
        settling, slots, known = request.mode is WatchMode.SETTLE, self._plan.slots, self._stretch
        if known is not None and known.settling is settling and (known.anchor, known.slots) == (request.anchor, slots):
            return known
        grid = Grid(anchor=request.anchor, tick=self._tick)
        self._remember(request, known)
        shelf = shelf_of(self._spec, self._plan, grid, self._dossiers, settling=settling)
        first = -grid.ticks_in(RUN_UP)
        kept = grid.ticks_in(_SEEN_SECONDS + (request.hold or timedelta()).total_seconds())
        self._stretch = _Stretch(request.anchor, settling, slots, grid, shelf, first, deque(maxlen=kept))
        return self._stretch

    def _remember(self, request: WatchRequest, known: _Stretch | None) -> None:
        """Bring the dossiers to the anchor of the request.

        Going on from the stretch before gives what a rebuild from all earlier ones gives, unless a day of evidence is
        over, a check failed, or other checks are asked.
        """
        earlier, since = request.earlier, request.since or request.anchor
        goes_on = (
            known is not None
            and known.slots == self._plan.slots
            and bool(earlier)
            and known.anchor == earlier[-1].anchor
            and known.settling is earlier[-1].settling
            and self._filed == (since, earlier[:-1])
        )
        if goes_on and known is not None:
            last = known.grid.last_due(earlier[-1].until, 0)
            while known.next <= last:
                self._source.show(known.shelf, known.grid, known.next)
                known.next += 1
            goes_on = not any(verdict.kind is VerdictKind.FAIL for verdict in known.shelf.sayings)
        if not goes_on:
            self._dossiers = dossiers_of(self._spec, self._plan, since)
            if (began := self._state.began) is not None:
                teach(self._dossiers, self._earlier or self._source.before(began.assignment))
            for stretch in earlier:
                self._begin(stretch.anchor)
                grid = Grid(anchor=stretch.anchor, tick=self._tick)
                shelf = filing_shelf_of(self._spec, self._plan, grid, self._dossiers, settling=stretch.settling)
                last = grid.last_due(stretch.until, 0)
                if shelf is None or last < 1:
                    continue
                for index in range(-grid.ticks_in(RUN_UP), last + 1):
                    self._source.show(shelf, grid, index)
        self._begin(request.anchor)
        self._filed = (since, earlier)

    def _begin(self, at: int) -> None:
        shares: Mapping[SlotName, float] = self._source.shares(self._plan, at)
        for (candidate, _), dossier in self._dossiers.items():
            dossier.begin(UserSets(100 * shares[candidate], 100 * shares[self._plan.baseline]), at)
