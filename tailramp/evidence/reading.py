"""What Prometheus answered at one grid time: the raw material, before anything is counted.

A reading is keyed by the text of the query, so that two checks that ask the same question share one answer, and so
that what was asked can be shown to a person who wants to ask it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
"""The labels of one series, sorted by name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of one series (a raw, ever-growing counter) at one grid time."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query returned: its samples, or in `fault` why it could not be asked. No samples and no fault means no
    series.
    """

    samples: tuple[Sample, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """All answers of one grid time `at` (unix seconds), by the text of the query. A query that is missing was not
    asked.
    """

    at: int
    answers: Mapping[str, Answer]
