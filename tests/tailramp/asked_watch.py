"""A watch with the sample files' settings, and verdicts to feed it with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from tailramp.activity_contract import WatchRequest
from tailramp.evidence import Numbers, Verdict, VerdictKind
from tailramp.plan import Plan
from tailramp.ramp import Block, Cause, Interval, WatchMode, WatchOutcome
from tailramp.spec import RampSpec
from tailramp.watching import Outcome, Watching

ANCHOR = 1_760_000_000
TICK, HOLD, WINDOW = 15, 600, 60  # seconds, as in the sample files
CALM: frozenset[Block] = frozenset()
CHECKS = ("errors", "latency", "toxicity")


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(ANCHOR + at, UTC)


def verdict(
    kind: VerdictKind, check: str = "errors", *, shared: bool = False, seen: int = 50, baseline: int = 950
) -> Verdict:
    numbers = Numbers(n=seen, seen=seen, baseline_n=baseline, baseline_seen=baseline)
    reason = f"{check} says {kind.value.lower()}"
    return Verdict(
        kind=kind, check=check, slot="green", judge="threshold", reason=reason, shared=shared, numbers=numbers
    )


def verdicts(kind: VerdictKind, **changes: VerdictKind) -> list[Verdict]:
    return [verdict(changes.get(check, kind), check) for check in CHECKS]


PASS, FAIL = verdicts(VerdictKind.PASS), verdicts(VerdictKind.PASS, latency=VerdictKind.FAIL)
BLIND, LITTLE = verdicts(VerdictKind.BLIND), verdicts(VerdictKind.INCONCLUSIVE)
SHARED = [verdict(VerdictKind.INCONCLUSIVE, "errors", shared=True), *PASS[1:]]


class Asked:
    """A watch with the sample files' settings; ``changes`` are fields of its request."""

    def __init__(self, spec: RampSpec, plan: Plan, mode: WatchMode, **changes: object) -> None:
        step = plan.step(2)
        request = WatchRequest(
            spec=spec,
            ramp="r1",
            plan=plan,
            epoch=4,
            mode=mode,
            assignment=step.assignment,
            anchor=ANCHOR,
            held=(Interval(start=moment(0)),),
            hold=timedelta(seconds=HOLD),
            segment=timedelta(hours=6),
        ).model_copy(update=changes)
        self.watching = Watching(request, moment(0))

    def tick(
        self,
        at: float,
        said: Sequence[Verdict],
        route: frozenset[Block] | None = CALM,
        causes: tuple[Cause, ...] = (),
    ) -> Outcome | None:
        return self.watching.observe(ANCHOR + int(at), said, route, causes)

    def decided(self, said: Sequence[Verdict]) -> Outcome:
        """The first outcome of the same verdicts at every tick."""
        outcomes = (self.tick(at, said) for at in range(0, 4001, TICK))
        return next(outcome for outcome in outcomes if outcome is not None)

    def until_decided(
        self, said: Sequence[Verdict], *, first: int = 0, last: int = 4000, route: frozenset[Block] | None = CALM
    ) -> tuple[WatchOutcome, int] | None:
        """The first outcome of the same verdicts at every tick, with its second."""
        for at in range(first, last + 1, TICK):
            if outcome := self.tick(at, said, route):
                return outcome.kind, at
        return None


Ask = Callable[..., Asked]
