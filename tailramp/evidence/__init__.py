"""Evidence: from raw counters on a time grid to verdicts on a candidate. Pure: `activities.metrics` asks Prometheus."""

from tailramp.evidence.book import RUN_UP, CheckBook
from tailramp.evidence.checks import (
    Check,
    HangingCheck,
    HistogramCheck,
    RatioCheck,
    SlotMatch,
    Source,
    gateway_errors,
    hanging,
    latency,
    server_errors,
    toxicity,
)
from tailramp.evidence.counts import NO_EDGES, ArmCounts, EdgeCounts, UnknownEdgeError
from tailramp.evidence.grid import Grid
from tailramp.evidence.judge import CheckTick, Judge
from tailramp.evidence.reading import Answer, Labels, Reading, Sample
from tailramp.evidence.recount import RawSeries, Recount, recount
from tailramp.evidence.threshold import Protection, ThresholdJudge, ThresholdRule
from tailramp.evidence.verdicts import Combination, Numbers, Verdict, VerdictKind, combine

__all__ = [
    "NO_EDGES",
    "RUN_UP",
    "Answer",
    "ArmCounts",
    "Check",
    "CheckBook",
    "CheckTick",
    "Combination",
    "EdgeCounts",
    "Grid",
    "HangingCheck",
    "HistogramCheck",
    "Judge",
    "Labels",
    "Numbers",
    "Protection",
    "RatioCheck",
    "RawSeries",
    "Reading",
    "Recount",
    "Sample",
    "SlotMatch",
    "Source",
    "ThresholdJudge",
    "ThresholdRule",
    "UnknownEdgeError",
    "Verdict",
    "VerdictKind",
    "combine",
    "gateway_errors",
    "hanging",
    "latency",
    "recount",
    "server_errors",
    "toxicity",
]
