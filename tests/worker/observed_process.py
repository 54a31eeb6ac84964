"""Asks a real worker process what an operator's tools ask it."""

import re

import aiohttp

from lab.process import ManagedProcess


async def address(process: ManagedProcess, name: str) -> str:
    """Where ``name`` serves its three paths, as its log says."""
    pattern = re.compile(rf"{name}: /healthz, /readyz and /metrics are at (http://\S+)")
    await process.wait_ready(lambda: pattern.search(process.tail(200)), 45, f"{name} says where it answers")
    found = pattern.findall(process.tail(200))
    return str(found[-1])


async def ask(url: str) -> tuple[int, str]:
    """Status and body of a GET; status 0 if nobody answers."""
    try:
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return response.status, await response.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, repr(error)


async def status(url: str) -> int:
    return (await ask(url))[0]
