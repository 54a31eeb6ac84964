"""What the routers share that keep a route's record in a Lease."""

from abc import ABC, abstractmethod

from activities.kube import KubeClient
from activities.routers.kube.record_lease import RecordLease, Stored
from tailramp.route_record import RouteRecord


class Leased(ABC):
    """The route ``namespace``/``name``; whoever ``owns_client`` closes it."""

    def __init__(self, client: KubeClient, namespace: str, name: str, *, owns_client: bool) -> None:
        self._client = client
        self._namespace = namespace
        self._route = name
        self._full_name = f"{namespace}/{name}"
        self._owns_client = owns_client
        self._lease = RecordLease(client, namespace, name)

    @abstractmethod
    async def _stored(self) -> Stored:
        """What the Lease holds, or what stands for a route that never had one."""

    @property
    def place(self) -> str:
        return self._lease.place

    async def close(self) -> None:
        if self._owns_client:
            await self._client.close()

    async def record(self) -> RouteRecord:
        return (await self._stored()).record
