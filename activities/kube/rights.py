"""What a process may do, by the API server's own answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from activities.kube.client import KubeClient
from activities.kube.resources import Resource


@dataclass(frozen=True)
class Right:
    """``verb`` on the object ``name`` of a kind; "" is all of a namespace.

    A Role may be narrowed to the objects that it names, and whoever asks for all of them is told that he may not.
    """

    verb: str
    resource: Resource
    name: str = ""

    def __str__(self) -> str:
        """``patch deployments/chat-green``."""
        return f"{self.verb} {self.resource.plural}" + (f"/{self.name}" if self.name else "")


async def missing_rights(client: KubeClient, namespace: str, needed: Sequence[Right]) -> list[Right]:
    """Those of ``needed`` that this process does not have.  Raises what ``KubeClient`` does."""
    allowed = await asyncio.gather(
        *(client.review(right.resource, namespace, right.verb, right.name) for right in needed)
    )
    return [right for right, may in zip(needed, allowed, strict=True) if not may]
