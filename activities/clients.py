"""The connections of one process, made once and shared by all of its activities."""

from pathlib import Path
from typing import TYPE_CHECKING, Self

from activities.kube.client import KubeClient

if TYPE_CHECKING:
    import aiohttp


class Clients:
    """``http`` belongs to the caller; what is made here is closed by ``close``.

    ``kubeconfig`` is the file that contexts are looked up in; None means the usual one, or the cluster that this
    process runs in.
    """

    def __init__(self, http: "aiohttp.ClientSession", kubeconfig: Path | None = None) -> None:
        self.http = http
        self._kubeconfig = kubeconfig
        self._kube: dict[str | None, KubeClient] = {}

    def kube(self, context: str | None) -> KubeClient:
        """The cluster of a kubeconfig's context; None means its current one, or the cluster around."""
        return self._kube.setdefault(context, KubeClient(self._kubeconfig, context))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for client in self._kube.values():
            await client.close()
