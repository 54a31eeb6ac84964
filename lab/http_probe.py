"""Asks a server of the lab whether it answers yet."""

from __future__ import annotations

import aiohttp

_ATTEMPT = aiohttp.ClientTimeout(total=2)


async def answers_ok(url: str) -> bool:
    """Whether a GET of `url` is answered with status 200 within 2 s; no answer of any kind is False, never an error."""
    try:
        async with aiohttp.ClientSession(timeout=_ATTEMPT) as session, session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
