"""The command with limits of time that are a test's own.

To learn that nobody answers takes it no five seconds; and where a server and a worker are there, they are waited for
however busy the machine is.

Run as a program, this module is the command from cold: its first argument holds the limits.
"""

import json
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LIMITS: Final[Mapping[str, float]] = {
    "cli.act_commands.CONFIRM_SECONDS": 1.0,
    "cli.following.IDLE_SECONDS": 1.0,
    "cli.following.looks.IDLE_SECONDS": 1.0,
    "cli.ramps._QUERY_TIMEOUT": 0.5,
    "cli.temporal._CONNECT_SECONDS": 1.0,
}
"""Seconds by the name of the constant.  For tests without a worker: one that is busy may need more to answer."""

PATIENT: Final[Mapping[str, float]] = {
    "cli.act_commands.CONFIRM_SECONDS": 40.0,
    "cli.following.IDLE_SECONDS": 40.0,
    "cli.following.looks.IDLE_SECONDS": 40.0,
    "cli.ramps._QUERY_TIMEOUT": 20.0,
    "cli.ramps.RPC_TIMEOUT": 20.0,
    "cli.temporal.RPC_TIMEOUT": 20.0,
    "cli.temporal._CONNECT_SECONDS": 40.0,
}
"""The same for tests in which everybody is there who is asked."""


def command_line(limits: Mapping[str, float], *arguments: str) -> list[str]:
    """What starts ``tailramp`` from cold, with these limits if there are any."""
    how = [__file__, json.dumps(dict(limits))] if limits else ["-m", "cli"]
    return [sys.executable, *how, *arguments]


if __name__ == "__main__":
    from cli.__main__ import entry_point

    # Not imported: the folders of tests/ have the names of packages.
    warm_commands = runpy.run_path(str(Path(__file__).parents[1] / "warm_commands.py"))
    warm_commands["set_limits"](json.loads(sys.argv.pop(1)))
    entry_point()
