"""The log-ratios that are considered, and which of them are called a regression.

All quantities of the sequential test live on one grid of the log-ratio between the candidate's rate of bad answers
and the baseline's, in steps of 0.02. The user effect, the effects of a regression and the confidence interval are
stretches of that one grid, so that a tick needs the likelihood once.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEP = 0.02
"""Distance of two neighbouring log-ratios; the log of a ratio of about 1.02."""

USER_POINTS = 121
USER = np.round(STEP * (np.arange(USER_POINTS) - USER_POINTS // 2), 10)
"""Log-ratios that may lie between two sets of users without any regression: from -1.2 to 1.2, shape (121,)."""

EFFECT_OFFSETS = np.array([8, 13, 20, 35, 55, 80])
"""Effects of a regression in steps of the grid: ratios of 1.17, 1.30, 1.49, 2.01, 3.00 and 4.95 beyond the tolerance.
The largest is bounded so that one user's session cannot make evidence without end."""

EFFECTS = STEP * EFFECT_OFFSETS
"""The same as log-ratios, shape (6,)."""

_LOW, _HIGH = -65, 140
OFFSETS = STEP * np.arange(_LOW, _HIGH + 1)
"""All log-ratios that are considered, relative to the tolerance, shape (206,)."""

AT_TOLERANCE = -_LOW
USER_SLICE = slice(AT_TOLERANCE - USER_POINTS // 2, AT_TOLERANCE + USER_POINTS // 2 + 1)
RATIO_SLICE = slice(0, AT_TOLERANCE + 135)
"""The stretch of `OFFSETS` on which the ratio itself is estimated: with a tolerance of 1.10 from 0.30 to 16."""

CHANGED = USER_SLICE.start + EFFECT_OFFSETS[:, None] + np.arange(USER_POINTS)
"""Indices into `OFFSETS` of every user effect under every effect of a regression, shape (6, 121)."""
