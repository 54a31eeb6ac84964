"""Evidence: from raw counters on a time grid to verdicts on a candidate. Pure: `activities.metrics` asks Prometheus.

A name is imported from its module when it is first asked for: whoever shows a verdict, such as `tailramp status`,
should not wait for numpy and the judges that came to it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailramp.evidence.book import RUN_UP, CheckBook
    from tailramp.evidence.checks import (
        Check,
        HangingCheck,
        HistogramCheck,
        RatioCheck,
        SlotMatch,
        Source,
    )
    from tailramp.evidence.counts import NO_EDGES, ArmCounts, EdgeCounts, UnknownEdgeError
    from tailramp.evidence.grid import Grid
    from tailramp.evidence.judge import CheckTick, Judge
    from tailramp.evidence.raw_series import RawSeries, Recount, recount
    from tailramp.evidence.reading import Answer, Labels, Reading, Sample
    from tailramp.evidence.threshold import Protection, ThresholdJudge, ThresholdRule
    from tailramp.evidence.usual_checks import gateway_errors, hanging, latency, server_errors, toxicity
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

_HOMES = {
    "book": (
        "RUN_UP",
        "CheckBook",
    ),
    "checks": (
        "Check",
        "HangingCheck",
        "HistogramCheck",
        "RatioCheck",
        "SlotMatch",
        "Source",
    ),
    "counts": (
        "NO_EDGES",
        "ArmCounts",
        "EdgeCounts",
        "UnknownEdgeError",
    ),
    "grid": ("Grid",),
    "judge": (
        "CheckTick",
        "Judge",
    ),
    "reading": (
        "Answer",
        "Labels",
        "Reading",
        "Sample",
    ),
    "raw_series": (
        "RawSeries",
        "Recount",
        "recount",
    ),
    "threshold": (
        "Protection",
        "ThresholdJudge",
        "ThresholdRule",
    ),
    "usual_checks": (
        "gateway_errors",
        "hanging",
        "latency",
        "server_errors",
        "toxicity",
    ),
    "verdicts": (
        "Combination",
        "Numbers",
        "Verdict",
        "VerdictKind",
        "combine",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
