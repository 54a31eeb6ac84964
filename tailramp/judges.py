"""Who judges each check, and with which numbers: the promise of few false rollbacks is shared here.

At most ``alpha`` of healthy candidates are taken back per day, by all judges, checks and candidates together. A fifth
of that is kept for the rules that promise nothing by themselves; the sequential tests divide the rest.
"""

from collections.abc import Mapping, Sequence

from tailramp.evidence import Check, HangingCheck, HistogramCheck
from tailramp.evidence.judge import JudgeName
from tailramp.evidence.sequential.combination import weights_of
from tailramp.evidence.sequential.rule import (
    FAILURES,
    SESSIONS,
    TIMES,
    UNMEASURED_CARRY,
    SequentialRule,
    UsualNoise,
)
from tailramp.evidence.usual_checks import TOKENS_PER_ANSWER
from tailramp.presets import Counted
from tailramp.spec import PlatformFile

KEPT_BACK = 0.2
"""Of ``alpha``, if other judges guard beside the sequential test."""


def with_judges(checks: Sequence[Check], platform: PlatformFile, candidates: int) -> tuple[Check, ...]:
    """The checks of one of ``candidates``, each with its judges."""
    settings = platform.checks
    own = {check.name: check.judge for check in settings.custom if check.judge is not None}
    judges = {check.name: _judges_of(check, settings.judges, own) for check in checks}
    tested = {name for name, named in judges.items() if JudgeName.SEQUENTIAL in named}
    if not tested:
        return tuple(check.model_copy(update={"judges": judges[check.name]}) for check in checks)
    weights = weights_of({check.name: _part(check) for check in checks if check.name in tested})
    others = any(set(named) - {JudgeName.SEQUENTIAL} for named in judges.values())
    alpha = settings.sequential.alpha * (1 - KEPT_BACK * others) / candidates
    found: list[Check] = []
    for check in checks:
        update: dict[str, object] = {"judges": judges[check.name]}
        if check.name in tested:
            noise = noise_of(check, platform)
            update["sequential"] = SequentialRule(
                alpha=alpha,
                weight=weights[check.name],
                tolerance=settings.sequential.tolerance,
                carry=carry_of(check, platform),
                tau=noise.tau,
                phi0=noise.phi0,
                sigma0=noise.sigma0,
            )
            if isinstance(check, HistogramCheck):
                update["ladder"] = settings.sequential.edges
        found.append(check.model_copy(update=update))
    return tuple(found)


def noise_of(check: Check, platform: PlatformFile) -> UsualNoise:
    """The noise that the sequential test allows for: as calibrated, else 1.5 times what is usual."""
    usual = cautious_noise(check)
    if (known := platform.checks.sequential.noise.get(check.name)) is None:
        return usual
    return UsualNoise(known.tau or usual.tau, known.phi0 or usual.phi0, known.sigma0 or usual.sigma0)


def carry_of(check: Check, platform: PlatformFile) -> tuple[float, ...] | None:
    """Of what is known of the users from before a ramp, what is left a day later: as the file says, else as calibrated,
    else `UNMEASURED_CARRY`. None if nobody asks what is known.
    """
    history = platform.checks.sequential.history
    if history is None:
        return None
    if history.carry is not None:
        return (history.carry,)
    known = platform.checks.sequential.noise.get(check.name)
    return (known.carry if known is not None else None) or (UNMEASURED_CARRY,)


def carry_is_assumed(check: Check, platform: PlatformFile) -> bool:
    """Whether nobody has measured or said how much the check's users change from day to day, where that matters."""
    history, known = platform.checks.sequential.history, platform.checks.sequential.noise.get(check.name)
    return history is not None and history.carry is None and (known is None or known.carry is None)


def assumed_noise(check: Check, platform: PlatformFile) -> tuple[str, ...]:
    """What of the check's noise is not calibrated: names among ``tau``, ``phi0`` and ``sigma0``."""
    known = platform.checks.sequential.noise.get(check.name)
    return tuple(name for name in UsualNoise._fields if known is None or getattr(known, name) is None)


def cautious_noise(check: Check) -> UsualNoise:
    """The noise to allow for as long as nobody has measured it: 1.5 times what is usual."""
    if isinstance(check, HistogramCheck):
        usual = TIMES.cautious
        tokens = check.unit == Counted.TOKENS
        return usual._replace(phi0=(float(TOKENS_PER_ANSWER),) * len(usual.phi0)) if tokens else usual
    failures = check.name in {"errors", "server-errors"}
    return FAILURES.cautious if failures else SESSIONS.cautious


def _judges_of(check: Check, judges: tuple[JudgeName, ...], own: Mapping[str, JudgeName]) -> tuple[JudgeName, ...]:
    if check.name in own:
        return (own[check.name],)
    # A request that hangs is counted at every tick, so its counts are no sample of anything: the limit alone judges.
    return (JudgeName.THRESHOLD,) if isinstance(check, HangingCheck) else judges


def _part(check: Check) -> float:
    """Of the evidence: the whole distribution of a time tells more than one ratio."""
    return 2.0 if isinstance(check, HistogramCheck) else 1.0
