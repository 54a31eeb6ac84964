"""How often and how soon a call that may be repeated is repeated."""

from aiohttp import ClientResponse
from aiohttp_retry import RetryOptionsBase

_FIRST_SECONDS = 0.05
_MOST_SECONDS = 2.0
"""A rollback that waits longer for one call had better try another way."""


class HonourRetryAfter(RetryOptionsBase):
    """Wait as long as the server says, at most two seconds; where it says nothing 50 ms, twice that, and so on."""

    def __init__(self, attempts: int) -> None:
        super().__init__(attempts=attempts, statuses={429}, methods={"GET", "DELETE"})

    def get_timeout(self, attempt: int, response: ClientResponse | None = None) -> float:
        said = None if response is None else response.headers.get("Retry-After")
        seconds = float(said) if said is not None and said.isdecimal() else _FIRST_SECONDS * 2 ** (attempt - 1)
        return min(seconds, _MOST_SECONDS)
