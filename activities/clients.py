"""The connections of one process, made once and shared by all of its activities."""

from pathlib import Path
from typing import TYPE_CHECKING, Self

from activities.kube.client import KubeClient
from tailramp.spec import Prometheus

if TYPE_CHECKING:
    import aiohttp

    from activities.metrics import PrometheusMetrics


class Clients:
    """``http`` belongs to the caller; what is made here is closed by ``close``.

    ``kubeconfig`` is the file that contexts are looked up in; None means the usual one, or the cluster that this
    process runs in.
    """

    def __init__(self, http: "aiohttp.ClientSession", kubeconfig: Path | None = None) -> None:
        self.http = http
        self._kubeconfig = kubeconfig
        self._kube: dict[str | None, KubeClient] = {}
        self._prometheus: dict[str, PrometheusMetrics] = {}

    def kube(self, context: str | None) -> KubeClient:
        """The cluster of a kubeconfig's context; None means its current one, or the cluster around."""
        return self._kube.setdefault(context, KubeClient(self._kubeconfig, context))

    def prometheus(self, settings: Prometheus) -> "PrometheusMetrics":
        """The Prometheus of the platform file, with one set of connections and one limit of queries at once.

        Prometheus takes 512 connections and lets every further one wait without a word: a hundred ramps with eight
        each of their own would blind one another. Raises Refused for a secret that this process does not have.
        """
        key = settings.model_dump_json()
        if (known := self._prometheus.get(key)) is None:
            from activities.metrics import PrometheusMetrics

            known = self._prometheus[key] = PrometheusMetrics.of(settings)
        return known

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for client in self._kube.values():
            await client.close()
        for metrics in self._prometheus.values():
            metrics.close()
