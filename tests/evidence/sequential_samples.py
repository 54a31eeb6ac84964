"""A sequential check, its dossier, and a jury that is shown counts tick by tick."""

import numpy as np
from evidence_samples import ANCHOR, RULE

from tailramp.evidence import ArmCounts, CheckTick, Verdict
from tailramp.evidence.checks import Check
from tailramp.evidence.judge import JudgeName
from tailramp.evidence.jury import Jury
from tailramp.evidence.sequential.dossier import Dossier
from tailramp.evidence.sequential.rule import FAILURES, SequentialRule, UsualNoise
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.usual_checks import gateway_errors

FIVE = UserSets.of_share(5)
BOTH = (JudgeName.THRESHOLD, JudgeName.SEQUENTIAL)
ALONE = (JudgeName.SEQUENTIAL,)


def rule(noise: UsualNoise = FAILURES.cautious, weight: float = 1.0) -> SequentialRule:
    return SequentialRule(alpha=0.01, weight=weight, tau=noise.tau, phi0=noise.phi0, sigma0=noise.sigma0)


def errors(judges: tuple[JudgeName, ...] = ALONE, weight: float = 1.0) -> Check:
    return gateway_errors(rule=RULE).model_copy(update={"judges": judges, "sequential": rule(weight=weight)})


def begun(check: Check, sets: UserSets = FIVE) -> Dossier:
    dossier = check.dossier(ANCHOR)
    dossier.begin(sets, ANCHOR)
    return dossier


class Shown:
    """A jury that is shown counts tick by tick, every 5 s."""

    def __init__(
        self, check: Check, dossier: Dossier | None = None, *, start: int = 0, listening: bool = False
    ) -> None:
        self.dossier = dossier or begun(check if check.is_sequential else errors())
        sequential = self.dossier if check.is_sequential else None
        self.jury: Jury = check.judge("green", 0, sequential, listening=listening)
        self._index = start
        self.verdict = self.tick((0, 0), (0, 0))

    def tick(self, candidate: tuple[float, float], baseline: tuple[float, float], blind: str = "") -> Verdict:
        at = ANCHOR + 5 * self._index
        tick = CheckTick(self._index, at, ArmCounts(*candidate), ArmCounts(*baseline), blind)
        self._index += 1
        self.verdict = self.jury.observe(tick)
        return self.verdict

    def healthy(self, ticks: int, seed: int = 1) -> Verdict:
        random = np.random.default_rng(seed)
        for _ in range(ticks):
            self.tick((25, random.poisson(25 * 0.005)), (475, random.poisson(475 * 0.005)))
        return self.verdict
