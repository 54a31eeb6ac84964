"""What the sequential test costs: one tick of nine metrics, its growth with time, and a day from its counts."""

import time
from collections.abc import Iterator

import numpy as np

from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.process import EvidenceProcess
from tailramp.evidence.sequential.user_sets import UserSets

_METRICS = 9
_TICKS_A_DAY = 5760


def timings() -> Iterator[str]:
    """Milliseconds of processor time per tick, early and late in a day, and seconds for the whole day."""
    random = np.random.default_rng(1)
    n_c, n_b = random.poisson(75, (_TICKS_A_DAY, _METRICS)), random.poisson(1425, (_TICKS_A_DAY, _METRICS))
    windows = np.stack([n_c, random.poisson(n_c * 0.02), n_b, random.poisson(n_b * 0.02)], axis=1).astype(float)
    process = EvidenceProcess(Noise.of(np.linspace(0.07, 0.32, _METRICS), 1.0, 0.1), UserSets.of_share(5))
    took = np.empty(_TICKS_A_DAY)
    for tick, counts in enumerate(windows):
        since = time.process_time_ns()
        process.observe(counts, 15.0)
        took[tick] = (time.process_time_ns() - since) / 1e6
    early, late = np.median(took[:500]), np.median(took[-500:])
    yield f"one tick of {_METRICS} metrics: {early:.3f} ms at the start of a day, {late:.3f} ms at its end"
    yield f"24 hours of ticks, rebuilt: {took.sum() / 1000:.2f} s"
