"""What the rules of other tools would have done with the same counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tailramp.evidence.checks import HistogramCheck
from tailramp.evidence.judge import CheckTick
from tailramp.evidence.sequential.grids import Array
from tailramp.forms import SlotName
from tailramp.peer_rules import ArgoStyle, Edges, FlaggerStyle, KayentaStyle, Limit, PeerRule, PlainThreshold
from tailramp.replay.ticks import Counted


@dataclass(frozen=True)
class PeerDecision:
    """``at``: unix time of the tick at which the rule would have rolled the candidate in ``slot`` back; None: never."""

    rule: str
    slot: SlotName
    at: int | None


def compare(counts: Sequence[Counted], tick: int) -> list[PeerDecision]:
    """The decisions of all rules about each candidate; ``tick``: seconds between two counts."""
    found = []
    for slot in dict.fromkeys(one.slot for one in counts):
        own = [one for one in counts if one.slot == slot and one.ticks]
        if own:
            found += _decisions(slot, own, tick)
    return found


def _decisions(slot: SlotName, own: Sequence[Counted], tick: int) -> list[PeerDecision]:
    table = _Table(own)
    rules: dict[str, PeerRule] = {
        "plain threshold, windows of 1 min, 3 in a row": PlainThreshold(1, table.limits, 60, tick),
        "plain threshold, windows of 5 min, 3 in a row": PlainThreshold(1, table.limits, 300, tick),
        "Argo style: every 5 min, failureLimit 3": ArgoStyle(1, table.limits),
        "Flagger style: every 1 min, threshold 5": FlaggerStyle(1, table.limits),
        "Kayenta style: hourly Mann-Whitney of minutes": KayentaStyle(1, table.histograms, table.ratios),
    }
    at: dict[str, int | None] = dict.fromkeys(rules)
    before = None
    for time, counts in table.rows():
        seconds = float(tick if before is None else time - before)
        before = time
        for name, rule in rules.items():
            if at[name] is None:
                rule.observe(counts, seconds)
                at[name] = time if rule.alarmed[0] else None
    return [PeerDecision(name, slot, at[name]) for name in rules]


class _Table:
    """The counts of all checks of one candidate as columns."""

    def __init__(self, own: Sequence[Counted]) -> None:
        self._own = own
        self.limits: list[Limit] = []
        self.histograms: list[Edges] = []
        self.ratios: list[int] = []
        self._columns: list[tuple[int, float | None]] = []
        for number, one in enumerate(own):
            first, check = len(self._columns), one.check
            if isinstance(check, HistogramCheck):
                edges = sorted({edge for tick in one.ticks for edge in tick.candidate_edges.above} | {check.edge})
                self._columns += [(number, edge) for edge in edges]
                self.histograms.append(Edges(tuple(range(first, first + len(edges))), tuple(edges)))
                self.limits.append(Limit(first + edges.index(check.edge), check.limit))
            else:
                self._columns.append((number, None))
                self.ratios.append(first)
                self.limits.append(Limit(first, check.limit))

    def rows(self) -> Iterator[tuple[int, Array]]:
        """Time and counts, shape (4, 1, columns), of every tick; a check that was blind then has none."""
        ticks = [{tick.at: tick for tick in one.ticks} for one in self._own]
        for at in sorted({at for known in ticks for at in known}):
            counts = np.zeros((4, 1, len(self._columns)))
            for column, (number, edge) in enumerate(self._columns):
                if (tick := ticks[number].get(at)) is not None:
                    counts[:, 0, column] = _counts(tick, edge)
            yield at, counts


def _counts(tick: CheckTick, edge: float | None) -> tuple[float, float, float, float]:
    candidate, baseline = tick.candidate, tick.baseline
    bad, others = candidate.bad, baseline.bad
    if edge is not None:
        bad = tick.candidate_edges.above.get(edge, bad)
        others = tick.baseline_edges.above.get(edge, others)
    return candidate.n, max(0.0, bad), baseline.n, max(0.0, others)
