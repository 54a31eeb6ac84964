"""How many servers stand ready behind a Service, as its EndpointSlices tell."""

from activities.kube import KubeClient
from activities.kube.resources import ENDPOINT_SLICES, SERVICES
from tailramp.errors import TailrampError


async def ready_endpoints(client: KubeClient, namespace: str, service: str) -> int | None:
    """None where that is not known: nobody computes the endpoints of a Service that selects nothing."""
    try:
        slices = await client.find_all(ENDPOINT_SLICES, namespace, f"kubernetes.io/service-name={service}")
        if not slices:
            found = await client.find(SERVICES, namespace, service)
            return None if found is not None and not found["spec"].get("selector") else 0
    except TailrampError:
        return None
    endpoints = [endpoint for part in slices for endpoint in part.get("endpoints") or []]
    # Absent means ready, says the API.
    return sum((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints)
