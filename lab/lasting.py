"""What is started in several steps, lasts for a while, and leaves nothing behind, however far its start came."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import Self


class Lasting(ABC):
    """An async context manager: entered, `_start` has run; left, or if that failed, what it pushed is undone."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    @abstractmethod
    async def _start(self) -> None:
        """Every step pushes onto the stack what ends it."""

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
