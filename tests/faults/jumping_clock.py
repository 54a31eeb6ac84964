"""A worker role whose time of day can be set while it runs: ``python jumping_clock.py FILE ROLE [ARGUMENT...]``.

The seconds that stand in FILE are added to every time of day that the process asks for, from the moment at which they
are written there.  The monotonic clock goes on, as it does when somebody sets a machine's clock.
"""

import os
import sys
import time
from pathlib import Path

SHIFT = Path(sys.argv.pop(1))
_real_ns = time.time_ns


def _shifted_ns() -> int:
    return _real_ns() + round(float(SHIFT.read_text(encoding="utf-8")) * 1e9)


time.time_ns = _shifted_ns
time.time = lambda: _shifted_ns() / 1e9

if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` has it
    from worker.__main__ import main

    main()
