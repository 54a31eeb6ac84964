"""Numbers and sentences of verdicts, as a person on call reads them."""

from dataclasses import dataclass

from tailramp.evidence.counts import ArmCounts


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one check.

    `breach` is what is claimed when the limit is broken (`p99 above 2 s`), `unit` what is counted (`answers`), `bad`
    what a bad one is (`slower than 2 s`).
    """

    breach: str
    unit: str
    bad: str

    @property
    def bad_ones(self) -> str:
        """What is counted against the candidate: `answers slower than 2 s`, `failed answers`."""
        return f"{self.unit} {self.bad}" if " " in self.bad else f"{self.bad} {self.unit}"


def percent(fraction: float) -> str:
    """Return a measured fraction as a percentage: one decimal, more where one would say 0.0."""
    value = fraction * 100
    return f"{value:.1f} %" if value >= 0.1 or value == 0 else f"{value:.2g} %"


def limit_percent(limit: float) -> str:
    """Return a limit as a percentage, as it was written: no decimals that nobody set."""
    return f"{limit * 100:.6g} %"


def count(number: float) -> str:
    """Return a whole count with separators."""
    return f"{round(number):,}"


def amount(evidence: float) -> str:
    """Return how much evidence there is, in as many digits as it is worth."""
    if evidence >= 1e6:
        return "over a million"
    return f"{evidence:,.0f}" if evidence >= 10 else f"{evidence:.1f}"


def rate(counts: ArmCounts) -> float | None:
    """Return the bad fraction, at most 1; None where nothing was counted."""
    return min(1.0, max(0.0, counts.bad) / counts.n) if counts.n > 0 else None


def of(counts: ArmCounts, words: Wording, limit: float) -> str:
    """Return `37 of 112 answers (33.0 %, limit 1 %)`."""
    share = rate(counts)
    told = "none" if share is None else percent(share)
    return f"{count(counts.bad)} of {count(counts.n)} {words.unit} ({told}, limit {limit_percent(limit)})"


def beside(baseline: ArmCounts) -> str:
    """Return the baseline's share for the end of a sentence."""
    share = rate(baseline)
    return "no baseline beside it" if share is None else f"baseline {percent(share)}"
