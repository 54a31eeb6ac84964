"""A client of the API server that something else can be done before any one call of: a freeze, a clear, an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from activities.kube import KubeClient


class Stopped(Exception):
    """The process ends here, without a word to anybody."""


class Stepping(KubeClient):
    """A client that calls `before` with the number of each of its calls."""

    def __init__(self, *arguments: Any, before: Callable[[int], Awaitable[None]]) -> None:
        super().__init__(*arguments)
        self.calls = 0
        self._before = before

    async def _call(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        number, self.calls = self.calls, self.calls + 1
        await self._before(number)
        return await super()._call(*arguments, **options)


class At:
    """Does something before one call, or before that and every later one; knows whether it came to that."""

    def __init__(self, point: int, act: Callable[[], Awaitable[object]], *, and_later: bool = False) -> None:
        self._point = point
        self._act = act
        self._and_later = and_later
        self.reached = False

    async def __call__(self, number: int) -> None:
        if number == self._point or (self._and_later and number > self._point):
            self.reached = True
            await self._act()


async def die() -> None:
    raise Stopped
