"""A `tailramp` command as a person types it who has a kubeconfig and nothing else."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import warm_commands

server: Path | None = None
"""The socket of `warm_commands`, in tests that use the fixture `commands`."""


async def run(kubeconfig: Path, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors.  ``cwd`` is the kubeconfig's folder if it is not said."""
    assert server is not None, "the test does not use the fixture `commands`"
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "LOGNAME": "ada"}
    environment.pop("TAILRAMP_PLATFORM", None)
    return await asyncio.wait_for(warm_commands.run(server, arguments, environment, cwd or kubeconfig.parent), 100)
