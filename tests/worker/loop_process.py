"""A process whose event loop blocks for as long as it is told: ``python loop_process.py SECONDS [SECONDS]...``.

It is guarded and observed as a worker is; before each block it waits until the file ``go-<number>`` exists.
"""

import asyncio
import sys
import time
from pathlib import Path

from lab.process import wait_until
from worker.logging_setup import configure_logging
from worker.settings import load_settings
from worker.status_server import observed


async def an_activity_that_blocks(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - the fault that the tests are about


async def main(blocks: list[float]) -> None:
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    async with observed("trial", settings.control_http, settings, "has not begun") as readiness:
        readiness.confirm(3600)
        for number, seconds in enumerate(blocks):
            await wait_until(Path(f"go-{number}").exists, 3600, "the word to block", interval=0.02)
            await an_activity_that_blocks(seconds)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main([float(argument) for argument in sys.argv[1:]]))
