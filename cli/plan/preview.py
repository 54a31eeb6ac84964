"""A plan with what it means: how many users and answers each step takes, and what the checks can tell in it."""

from dataclasses import dataclass
from datetime import timedelta

from cli.plan.differences import Difference, label_differences, object_differences, route_file_differences
from cli.plan.world import World
from tailramp.checks import checks_by_slot
from tailramp.errors import Refused
from tailramp.evidence import Check
from tailramp.forms import SlotName
from tailramp.plan import Plan, Step
from tailramp.planning import make_plan
from tailramp.power import Power, threshold_power
from tailramp.spec import EnvoyFileRouter, GatewayLabelRouter, RampSpec


@dataclass(frozen=True)
class StepPreview:
    """``users`` and ``answers`` (of the candidate, within the hold) are None where nothing is known to compute them
    from; ``power`` is by check."""

    step: Step
    users: float | None
    answers: float | None
    power: dict[str, Power]


@dataclass(frozen=True)
class Preview:
    spec: RampSpec
    world: World
    plan: Plan
    steps: tuple[StepPreview, ...]
    differences: tuple[Difference, ...]

    @property
    def rate(self) -> float | None:
        """Requests per second of the whole route: what the check that counts most of them counts."""
        return max((rate for rate in self.world.rates.values() if rate is not None), default=None)

    @property
    def weakest(self) -> tuple[str, int, float] | None:
        """The check, the step and the rate below which some step cannot tell a bad candidate within its hold."""
        needed = [
            (power.least_rate, check, step.step.index)
            for step in self.steps
            for check, power in step.power.items()
            if power.least_rate is not None
        ]
        if not needed:
            return None
        rate, check, index = max(needed)
        return check, index, rate

    @property
    def powerless(self) -> list[tuple[int, str]]:
        """Steps and checks that can tell nothing within the hold at any rate."""
        return [(s.step.index, check) for s in self.steps for check, power in s.power.items() if not power.least_rate]

    @property
    def longest(self) -> timedelta:
        """The shortest duration with all the time that settling may take."""
        settling = self.spec.platform.ramp.max_settle * len(self.plan.steps)
        return self.plan.shortest + settling


def preview_of(spec: RampSpec, world: World, *, users: int | None, override: str | None) -> Preview:
    """Raises Refused for what no world could make work; what this world refuses is added to ``world.problems``."""
    plan = make_plan(spec, default=world.default, candidates=world.candidates)
    differences: list[Difference] = []
    try:
        if world.sight is not None:
            differences = object_differences(world.sight, spec, plan, override)
        elif world.record is not None and isinstance(spec.platform.router, GatewayLabelRouter):
            differences = label_differences(world.record, spec, plan, override)
        elif world.record is not None and isinstance(spec.platform.router, EnvoyFileRouter):
            differences = route_file_differences(spec.platform.router.file, spec, plan, override)
    except Refused as error:
        world.problems.append(str(error))
    rate = max((known for known in world.rates.values() if known is not None), default=None)
    steps = tuple(
        StepPreview(
            step=step,
            users=None if users is None else users * step.share,
            answers=None if rate is None else rate * step.share * step.hold.total_seconds(),
            power={
                _named(plan, slot, check): _power(check, spec, step, slot, world.rates.get(check.name))
                for slot, checks in checks_by_slot(spec, plan).items()
                for check in checks
            },
        )
        for step in plan.steps
    )
    return Preview(spec, world, plan, steps, tuple(differences))


def _named(plan: Plan, slot: SlotName, check: Check) -> str:
    """The check's name; with several candidates, whose it is too."""
    return check.name if len(plan.slots) == 1 else f"{slot} {check.name}"


def _power(check: Check, spec: RampSpec, step: Step, slot: SlotName, rate: float | None) -> Power:
    """The power of the judge that can fail the check first."""
    tick, share = spec.platform.checks.tick.total_seconds(), step.assignment.share_of(slot)
    return threshold_power(check.rule, tick=tick, share=share, hold=step.hold.total_seconds(), rate=rate)
