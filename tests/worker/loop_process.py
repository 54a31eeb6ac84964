"""A process whose event loop blocks when it is told, and until it is told: ``python loop_process.py [BLOCKS]``.

It is guarded and observed as a worker is; each block begins when the file ``go-<number>`` exists, and ends with
``end-<number>``.
"""

import asyncio
import sys
import time
from pathlib import Path

from lab.process import wait_until
from worker.logging_setup import configure_logging
from worker.settings import load_settings
from worker.status_server import observed


async def an_activity_that_blocks(end: Path) -> None:
    while not end.exists():  # noqa: ASYNC240 - the fault that the tests are about
        time.sleep(0.02)  # noqa: ASYNC251


async def main(blocks: int) -> None:
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    async with observed("trial", settings.control_http, settings, "has not begun") as readiness:
        readiness.confirm(3600)
        for number in range(blocks):
            await wait_until(Path(f"go-{number}").exists, 3600, "the word to block", interval=0.02)
            await an_activity_that_blocks(Path(f"end-{number}"))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
