"""The numbers of the sequential test for one check, and safe ones for a service that has not been measured yet."""

from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

LADDER = (0.50, 0.75, 0.90, 0.95, 0.99)
"""Quantiles of the baseline whose nearest bucket edges are compared, beside the limit's edge."""

UNMEASURED_CARRY = 0.5
"""Of what is known of the users from before a ramp, what is taken to be left a day later as long as nobody has measured
it. Of users of whom nothing is left the allowance is then exceeded 1.3 times, which `CAUTION` covers.
"""

CAUTION = 1.5
"""Before a service has been measured its noise is taken to be so many times what is usual."""


class UsualNoise(NamedTuple):
    """`tau`, `phi0` and `sigma0` of one check (see `dispersion.Noise`): one number each, or one per rung of the ladder,
    the limit's last.
    """

    tau: tuple[float, ...]
    phi0: tuple[float, ...]
    sigma0: tuple[float, ...]

    @property
    def cautious(self) -> "UsualNoise":
        """`CAUTION` times the spreads."""
        return UsualNoise(
            tuple(CAUTION * tau for tau in self.tau), self.phi0, tuple(CAUTION * sigma for sigma in self.sigma0)
        )


TIMES = UsualNoise((0.07, 0.13, 0.16, 0.19, 0.24, 0.32), (1.0,) * 6, (0.035, 0.065, 0.08, 0.095, 0.12, 0.16))
FAILURES = UsualNoise((0.17,), (1.0,), (0.14,))
SESSIONS = UsualNoise((0.28,), (3.0,), (0.05,))
"""Of what comes in bursts, like toxic answers of one user."""


class SequentialRule(BaseModel):
    """How one check of one candidate is tested.

    The check fails when `weight` times its evidence reaches 1/`alpha`, or when the weighted evidence of all checks of
    the candidate together does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(gt=0, lt=1, description="probability of a false FAIL, per candidate and 24 h, of all checks")
    weight: float = Field(default=1.0, gt=0, le=1, description="this check's part of the evidence")
    tolerance: float = Field(default=1.1, ge=1, description="ratio of the two rates up to which nothing is wrong")
    carry: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = Field(
        default=None,
        min_length=1,
        description="of what is learnt of the users before the ramp, what is left a day later; null if nobody asks",
    )
    tau: tuple[float, ...] = Field(min_length=1)
    phi0: tuple[float, ...] = Field(min_length=1)
    sigma0: tuple[float, ...] = Field(min_length=1)

    @field_validator("carry", mode="before")
    @classmethod
    def _of_every_rung(cls, value: object) -> object:
        """Older records have one number."""
        return (value,) if isinstance(value, int | float) else value

    @property
    def needed(self) -> float:
        """The weighted evidence at which the candidate is taken back."""
        return 1.0 / self.alpha

    def noise_of(self, rung: int) -> tuple[float, float, float]:
        """`tau`, `phi0` and `sigma0` of a rung of the ladder, 0 to 5."""
        tau, phi0, sigma0 = (part[min(rung, len(part) - 1)] for part in (self.tau, self.phi0, self.sigma0))
        return tau, phi0, sigma0

    def carry_of(self, rung: int) -> float:
        """`carry` of a rung of the ladder; 0 if nobody asks."""
        return 0.0 if self.carry is None else self.carry[min(rung, len(self.carry) - 1)]
