"""One watch for all who want to know of the same kind of objects in the same namespace.

A process may watch hundreds of ramps; a connection for each of them would leave none for what they have to write.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from activities.kube.resources import Resource
from tailramp.errors import TailrampError

if TYPE_CHECKING:
    from activities.kube.client import Event, KubeClient

log = logging.getLogger("tailramp.kube")

_AGAIN_SECONDS = 1.0
_AGAIN_SECONDS_AT_MOST = 30.0


@dataclass
class _Shared:
    listeners: "list[asyncio.Queue[Event]]" = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class WatchHub:
    """See the module.  A watch lives as long as somebody listens to it."""

    def __init__(self, client: "KubeClient", sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._shared: dict[tuple[Resource, str], _Shared] = {}

    @asynccontextmanager
    async def events(self, resource: Resource, namespace: str) -> "AsyncIterator[asyncio.Queue[Event]]":
        """Every event from now on.  ``LISTED`` means that some may have been missed: look for yourself."""
        key = (resource, namespace)
        shared = self._shared.setdefault(key, _Shared())
        queue: asyncio.Queue[Event] = asyncio.Queue()
        shared.listeners.append(queue)
        if shared.task is None:
            shared.task = asyncio.create_task(self._watch(resource, namespace, shared))
        try:
            yield queue
        finally:
            shared.listeners.remove(queue)
            if not shared.listeners:
                self._shared.pop(key, None)
                shared.task.cancel()
                with suppress(asyncio.CancelledError):
                    await shared.task

    async def _watch(self, resource: Resource, namespace: str, shared: _Shared) -> None:
        from activities.kube.client import EventKind  # which has a hub

        told, pause = "", _AGAIN_SECONDS
        while True:
            begun = time.monotonic()
            try:
                async with aclosing(self._client.watch(resource, namespace)) as events:
                    async for event in events:
                        if event.kind is not EventKind.LISTED:  # which also those may see who may not watch
                            told, pause = "", _AGAIN_SECONDS
                        for queue in shared.listeners:
                            queue.put_nowait(event)
            except TailrampError as error:
                if str(error) != told:
                    log.warning("%s in %s cannot be watched: %s", resource.plural, namespace, error)
                told = str(error)
            except Exception:
                log.exception("%s in %s cannot be watched", resource.plural, namespace)
            if time.monotonic() - begun > _AGAIN_SECONDS_AT_MOST:
                pause = _AGAIN_SECONDS
            await self._sleep(pause)
            pause = min(2 * pause, _AGAIN_SECONDS_AT_MOST)
