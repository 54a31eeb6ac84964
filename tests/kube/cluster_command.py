"""A `tailramp` command as a person types it who has a kubeconfig and nothing else."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


async def run(kubeconfig: Path, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors.  ``cwd`` is the kubeconfig's folder if it is not said."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "LOGNAME": "ada", "PYTHONPATH": str(_ROOT)}
    environment.pop("TAILRAMP_PLATFORM", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *arguments,
        env=environment,
        cwd=cwd or kubeconfig.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()
