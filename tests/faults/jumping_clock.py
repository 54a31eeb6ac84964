"""A worker role whose time of day can be set while it runs: ``python jumping_clock.py FILE ROLE [ARGUMENT...]``.

The seconds that stand in FILE are added to every time of day that the process asks for, from the moment at which they
are written there.  The monotonic clock goes on, as it does when somebody sets a machine's clock.
"""

import os
import sys
import time
from pathlib import Path


def set_wrong_by(shift: Path) -> None:
    """From now on this process's time of day is wrong by the seconds that stand in ``shift`` when it is asked for."""
    right = time.time_ns

    def wrong() -> int:
        return right() + round(float(shift.read_text(encoding="utf-8")) * 1e9)

    time.time_ns = wrong
    time.time = lambda: wrong() / 1e9


if __name__ == "__main__":
    set_wrong_by(Path(sys.argv.pop(1)))
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` has it
    from worker.__main__ import main

    main()
