"""Evidence that may be looked at after every tick.

For every row (a metric: a bucket edge, errors, toxicity) the process keeps an e-value: a number that starts at 1, and
that a candidate which is no worse than the tolerance raises above 100 with a probability of at most 1 %, however often
one looks. What is compared is conditional: of the bad answers of a window, how many are the candidate's? Whatever
happens to both versions at once, load or a slow upstream, cancels out, window by window.

Three things are mixed over: how large a regression is (`grids.EFFECTS`), when it began (`ChangeTime`, so that a late
one is found as fast as an early one), and, under the null hypothesis too, how much the two sets of users differ
(`user_sets`). `A` holds the weight of every user effect as long as nothing has changed, `B` of every user effect and
effect since a change; both are scaled so that `A` sums to 1. The e-value is the sum of `B` and of the weight of
changes that have not been placed yet.

The arrays have one row per metric, and as many more as there are runs: a simulation steps thousands of ramps at once
through the very code that guards one.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tailramp.evidence.sequential.dispersion import Dispersion, Noise
from tailramp.evidence.sequential.grids import (
    CHANGED,
    EFFECTS,
    OFFSETS,
    RATIO_SLICE,
    USER,
    USER_POINTS,
    USER_SLICE,
    Array,
    Mask,
)
from tailramp.evidence.sequential.user_sets import UserSets, faded, kernel, prior

DAY = 86_400.0
CAP = 1e200
"""E-values end here: no decision needs a larger one, and a float has no room for it."""

_FAINT = 1e-100
_NOTHING = 1e-300


@dataclass(frozen=True)
class ChangeTime:
    """How the weight of one is spread over the times at which a regression may begin."""

    at_start: float = 0.3
    at_move: float = 0.05
    over_day: float = 0.5


class EvidenceProcess:
    """E-values of several rows, tick after tick."""

    def __init__(
        self, noise: Noise, sets: UserSets, *, tolerance: float = 1.10, change_time: ChangeTime | None = None
    ) -> None:
        """`tolerance`: ratio of the two rates up to which nothing is wrong; above 0."""
        rows = len(noise.tau)
        self._noise = noise
        self._change_time = change_time or ChangeTime()
        self._log_ratios = np.log(tolerance) + OFFSETS
        self._ratios = np.exp(self._log_ratios)
        self._sets = [sets] * rows
        self._a = np.stack([prior(sets, tau) for tau in noise.tau])
        self._law = self._a.copy()
        self._carry = np.zeros(rows)
        self._b = np.zeros((rows, len(EFFECTS), USER_POINTS))
        self._unplaced = np.ones(rows)
        self._due = np.full(rows, self._change_time.at_start)
        self._ratio = np.zeros((rows, len(self._ratios[RATIO_SLICE])))
        self._dispersion = Dispersion(noise)
        self._waiting = np.zeros((2, rows))
        self._foreseen: deque[_Foreseen] = deque()
        self.evidence = np.ones(rows)
        """The e-value of every row, shape (rows,), 0 to `CAP`."""

    @property
    def eta(self) -> Array:
        """The tempering of every row at the moment, 0 to 1."""
        return self._dispersion.eta

    @property
    def ratio_support(self) -> tuple[Array, Array]:
        """Log-ratios, shape (200,), and the log-likelihood of each, shape (rows, 200): see `ratios`."""
        return self._log_ratios[RATIO_SLICE], self._ratio

    def ratio_since(self, row: int) -> float:
        """How many times as often the candidate of a row has bad answers since it became worse, if it did: the mean
        over all effects and times at which that may have been. A ratio of the two rates, above 0.
        """
        weight = self._b[row]
        total = float(weight.sum())
        return float(np.exp((weight * self._log_ratios[CHANGED]).sum() / total)) if total > 0 else 1.0

    @property
    def spread(self) -> Array:
        """Standard deviation of the log-ratio of the two sets of users before the day's counts, shape (rows,)."""
        spread: Array = self._noise.tau * np.sqrt([one.variance for one in self._sets])
        if not self.adjusted.any():
            return spread
        second = self._law @ USER**2
        own: Array = np.sqrt(np.maximum(0.0, second - (self._law @ USER) ** 2))
        return np.where(self.adjusted, own, spread)

    @property
    def centre(self) -> Array:
        """Where that log-ratio is expected, shape (rows,): 0 unless it was learnt from the time before the ramp."""
        return np.where(self.adjusted, self._law @ USER, 0.0)

    @property
    def adjusted(self) -> Mask:
        """The rows whose user effect was learnt from the time before the ramp, shape (rows,)."""
        return self._carry > 0.0

    def expect(self, law: Array, learnt: Mask, sets: UserSets, carry: ArrayLike, *, days: int = 0) -> None:
        """Begin with what is known of the users, in the rows of the mask `learnt`; only before the first window.

        `law`: see `time_before.learnt_law`; it is of the users `sets`, and `days` whole days old and a part of one.
        `carry`: how much of it stays from one day to the next, 0 to 1, of every row or shape (rows,). Where nothing
        stays, nothing is known.
        """
        kept = np.broadcast_to(np.asarray(carry, dtype=float), len(self._sets))
        for row in np.flatnonzero(learnt & (kept > 0.0)):
            tau = float(self._noise.tau[row])
            self._carry[row] = kept[row]
            found = faded(sets, tau, float(kept[row]) ** (days + 1)) @ law[row]
            self._law[row] = found if sets == self._sets[row] else kernel(sets, self._sets[row], tau) @ found
            self._a[row] = self._law[row]

    def move(self, sets: UserSets, rows: Mask | None = None) -> None:
        """Users have passed from one side to the other, in the rows of the mask `rows` (all by default).

        As long as one side has no users nothing can be compared: what was learnt then stays as it is.
        """
        self._foreseen.clear()
        if not sets.comparable:
            return
        groups: dict[tuple[UserSets, float], list[int]] = {}
        for row, (before, tau) in enumerate(zip(self._sets, self._noise.tau, strict=True)):
            if before != sets and (rows is None or rows[row]):
                groups.setdefault((before, float(tau)), []).append(row)
        for (before, tau), members in groups.items():
            passage = kernel(before, sets, tau).T
            self._a[members] = self._a[members] @ passage
            self._b[members] = self._b[members] @ passage
            self._law[members] = self._law[members] @ passage
            self._ratio[members] *= 0.5  # half of what is known was learnt from other users
            self._due[members] += self._change_time.at_move
            moved = np.zeros(len(self._sets), dtype=bool)
            moved[members] = True
            self._dispersion.scale(moved, sets.weight / before.weight)
            for row in members:
                self._sets[row] = sets

    def renew(self) -> None:
        """Begin a new day: its evidence starts at 1 again, so that a ramp may last as long as it likes.

        What was known of the users before the ramp is a day older.
        """
        for row, (sets, tau) in enumerate(zip(self._sets, self._noise.tau, strict=True)):
            known = self._carry[row] > 0.0
            carry = float(self._carry[row])
            self._law[row] = faded(sets, float(tau), carry) @ self._law[row] if known else prior(sets, tau)
        self._a = self._law.copy()
        self._b[:] = 0.0
        self._unplaced[:] = 1.0
        self._due[:] = self._change_time.at_start
        self.evidence = np.ones(len(self._sets))

    def foresee(self, counts: Sequence[Array], seconds: Sequence[float]) -> None:
        """Prepare for windows of which the next ones to be observed are the very first, in this order.

        It changes nothing but the time that they take: what they tell of each ratio is found for many windows in one
        go, up to the one with which the tempering changes, or before the first with anything that is no count.
        """
        self._foreseen.clear()
        windows = np.stack(counts[: self._dispersion.until_over(seconds)])
        sound = _all_counts(windows)
        many = len(sound) if sound.all() else int(sound.argmin())
        if many and not self._waiting.any():
            told, likely = self._likelihood(np.moveaxis(windows[:many], 1, 0), self._dispersion.eta)
            rows = map(_rows_with, windows[:many, 1] + windows[:many, 3])
            self._foreseen.extend(map(_Foreseen, counts[:many], told, likely, rows))

    def foresees(self, counts: Array) -> bool:
        """Whether it is prepared for this very window as the next one; then all of it are counts, with answers."""
        return bool(self._foreseen) and self._foreseen[0].counts is counts

    def _likelihood(self, counts: Array, eta: Array) -> tuple[Array, Array]:
        """The log-likelihood of every ratio, against that of a ratio of 1, and its exponential, of largest value 1.

        `counts` has shape (4, …, rows) and both results (…, rows, 206).
        """
        n_c, x_c, n_b, x_b = counts
        share = n_c / np.maximum(n_c + n_b, _NOTHING)
        told = (eta * x_c)[..., None] * self._log_ratios
        spread = share[..., None] * self._ratios
        spread += (1.0 - share)[..., None]
        np.log(spread, out=spread)
        spread *= (eta * (x_c + x_b))[..., None]
        told -= spread
        likely = told - told.max(axis=-1, keepdims=True)
        np.exp(likely, out=likely)
        return told, likely

    def observe(self, counts: Array, seconds: float) -> Array:
        """Take one window and return the e-values after it.

        `counts` has shape (4, rows): answers and bad answers of the candidate, answers and bad answers of the
        baseline. `seconds` is the length of the window. A row in which an arm has no answers, or a number that is no
        count, says nothing.
        """
        foreseen = None
        if self.foresees(counts):
            foreseen = self._foreseen.popleft()
        else:
            self._foreseen.clear()
            counts = self._sound(counts)
        self._place(seconds)
        if foreseen is not None:
            rows = foreseen.rows
            if isinstance(rows, slice) or len(rows):
                self._update(rows, foreseen.told[rows], foreseen.likely[rows])
        else:
            rows = _rows_with(counts[1] + counts[3])
            if isinstance(rows, slice) or len(rows):
                self._update(rows, *self._likelihood(counts[:, rows], self._dispersion.eta[rows]))
        self._dispersion.add(counts, seconds)
        total: Array = self._b.sum(axis=(1, 2)) + self._unplaced
        if total.max() > CAP:
            high = total > CAP
            self._b[high] *= (CAP / total[high])[:, None, None]
            total = np.minimum(total, CAP)
        self.evidence = total
        return total

    def _sound(self, counts: Array) -> Array:
        """Only what can be counts.

        A bad answer may be seen a tick before the answer that it belongs to is counted: it waits for it, one tick.
        """
        counts = np.asarray(counts, dtype=float)
        # Nearly every window: all of it are counts, and no answer waits for another.
        if _all_counts(counts) and not self._waiting.any():
            return counts
        usable = (np.isfinite(counts) & (counts >= 0.0)).all(axis=0)
        n = np.where(usable, counts[0::2], 0.0)
        x = np.where(usable, counts[1::2], 0.0) + np.where(usable, self._waiting, 0.0)
        counted = np.minimum(x, n)
        self._waiting = np.where(usable, np.minimum(x - counted, np.where(usable, counts[1::2], 0.0)), 0.0)
        both = (n > 0.0).all(axis=0)
        result = np.empty_like(counts)
        result[0::2] = np.where(both, n, 0.0)
        result[1::2] = np.where(both, counted, 0.0)
        return result

    def _place(self, seconds: float) -> None:
        """Let changes begin now, with the weight that this tick has."""
        weight = np.minimum(self._due + self._change_time.over_day * seconds / DAY, self._unplaced)
        self._due.fill(0.0)
        self._unplaced -= weight
        self._b += (weight / len(EFFECTS))[:, None, None] * self._a[:, None, :]

    def _update(self, active: Any, told: Array, likely: Array) -> None:
        self._ratio[active] += told[:, RATIO_SLICE]
        before_a, before_b = self._a[active], self._b[active]  # views of the whole, or copies of some rows
        total = np.einsum("ij,ij->i", before_a, likely[:, USER_SLICE])
        if told_of_faint := bool(total.min() < _FAINT):
            faint = total < _FAINT
            rows = np.arange(len(self._a))[active][faint]
            exact = _in_logarithms(self._a[rows], self._b[rows], _from_top(told[faint]))
            total[faint] = 1.0
        likely /= total[:, None]
        before_a *= likely[:, USER_SLICE]
        before_b *= likely.take(CHANGED, axis=1)
        if not isinstance(active, slice):
            self._a[active], self._b[active] = before_a, before_b
        if told_of_faint:
            self._a[rows], self._b[rows] = exact

    def checkpoint(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on as if nothing had happened, as plain numbers and lists."""
        own = self._dispersion
        return {
            "sets": [[one.candidate, one.baseline] for one in self._sets],
            **{name: getattr(self, name).tolist() for name in _KEPT},
            "dispersion": {name: getattr(own, name).tolist() for name in _KEPT_OF_DISPERSION},
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Continue from a checkpoint of a process with the same noise."""
        self._foreseen.clear()
        self._sets = [UserSets(*sizes) for sizes in kept["sets"]]
        for name in _KEPT:
            setattr(self, name, np.array(kept[name], dtype=float))
        for name in _KEPT_OF_DISPERSION:
            setattr(self._dispersion, name, np.array(kept["dispersion"][name], dtype=float))


_KEPT = ("_a", "_law", "_carry", "_b", "_unplaced", "_due", "_ratio", "_waiting", "evidence")
_KEPT_OF_DISPERSION = ("_elapsed", "_open", "_seen", "_information", "_variance", "eta")


_Rows = slice | NDArray[np.intp]
"""All rows, or the numbers of some."""


def _rows_with(m: Array) -> _Rows:
    """The rows in which there are bad answers, `m` of shape (rows,)."""
    return slice(None) if m.all() else np.flatnonzero(m)


class _Foreseen(NamedTuple):
    """A window, and what it tells: see `EvidenceProcess._likelihood`."""

    counts: Array
    told: Array
    likely: Array
    rows: "_Rows"


def _all_counts(counts: Array) -> Mask:
    """Whether windows of shape (…, 4, rows) have counts everywhere, with answers on both sides; shape (…)."""
    n, x = counts[..., 0::2, :], counts[..., 1::2, :]
    good = (n > 0.0) & (x >= 0.0) & (x <= n) & (n < np.inf)
    return np.asarray(good.all(axis=(-2, -1)))


def _from_top(told: Array) -> Array:
    return np.asarray(told - told.max(axis=1, keepdims=True))


def _in_logarithms(a: Array, b: Array, told: Array) -> tuple[Array, Array]:
    """The same step where plain numbers are too coarse: a window that tells of nearly impossible counts."""
    log_a = np.log(np.maximum(a, _NOTHING)) + told[:, USER_SLICE]
    with np.errstate(divide="ignore"):
        log_b = np.log(b) + told[:, CHANGED]
    top = log_a.max(axis=1)
    log_total = top + np.log(np.exp(log_a - top[:, None]).sum(axis=1))
    new_a = np.exp(log_a - log_total[:, None])
    new_b = np.exp(np.minimum(log_b - log_total[:, None, None], np.log(CAP)))
    return new_a, new_b
