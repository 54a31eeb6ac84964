"""How far a ramp may go on the evidence that it has.

A clock gives every candidate the same time at every step, the good and the bad, and so the step that can tell least,
1 %, lasts as long as any. Risk is a better measure: if the candidate were as bad as it still may be, how many users
would meet a bad answer before the ramp could react? The next share is the largest for which that stays within a
budget. The smaller the ratio still possible, the more may be risked; with no traffic nothing is ruled out, and the
ramp stays where it is.
"""

from collections.abc import Iterable, Sequence

MOST_GROWTH = 5.0
"""A share grows at most to this many times itself at once."""

NEGLIGIBLE = 0.1
"""Of the budget.  What nearly never happens on either side is never known to be as rare on one as on the other: that
it would hardly harm anybody if it were as frequent as it still may be is enough for a promotion."""

Risk = tuple[float, float]
"""The largest ratio to the baseline that is still possible, and the baseline's rate of bad answers, 0 to 1."""


def harm(risk: Risk, share: float, reaction: float) -> float:
    """Return the extra bad answers, per answer per second of the route, that a share (0 to 1) may bring.

    A rollback takes effect after `reaction` seconds.
    """
    upper, base = risk
    return max(0.0, upper - 1.0) * base * share * reaction


def largest_share(
    shares: Sequence[float], now: float, risks: Iterable[Risk], *, budget: float, reaction: float
) -> float:
    """Return the largest of `shares` (0 to 1) that all risks allow, or `now` if none larger is allowed.

    `budget`: extra bad answers at most, per answer per second of the route; 0.3 are 30 bad answers at 100 answers/s.
    """
    known = list(risks)
    return max(
        (
            share
            for share in shares
            if now < share <= MOST_GROWTH * now + 1e-12 and all(harm(risk, share, reaction) <= budget for risk in known)
        ),
        default=now,
    )
