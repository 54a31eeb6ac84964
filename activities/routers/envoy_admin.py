"""Envoy's admin interface: what it has loaded, and how many requests it has sent where.

Our nginx answers the same questions in the same words.
"""

from typing import TYPE_CHECKING, Any

from tailramp.errors import Unreachable

if TYPE_CHECKING:
    import aiohttp

_SECONDS = 2.0


class EnvoyAdmin:
    """Reads only.  Every method raises Unreachable if it does not answer within two seconds."""

    def __init__(self, url: str, http: "aiohttp.ClientSession") -> None:
        self._url = url.rstrip("/")
        self._http = http

    async def loaded_version(self, route_config: str) -> str | None:
        """``version_info`` of the route configuration that serves now, or None if it was never loaded."""
        entry = await self._loaded(route_config)
        return None if entry is None else str(entry.get("version_info", ""))

    async def metadata(self, route_config: str) -> dict[str, Any] | None:
        """What tailramp wrote into the route configuration that serves now, beside its rules."""
        entry = await self._loaded(route_config)
        if entry is None:
            return None
        filters = entry["route_config"].get("metadata", {}).get("filter_metadata", {})
        found = filters.get("tailramp")
        return found if isinstance(found, dict) else None

    async def _loaded(self, route_config: str) -> dict[str, Any] | None:
        dump = await self._get("/config_dump", resource="dynamic_route_configs")
        for entry in dump.get("configs", []):
            if isinstance(entry, dict) and entry.get("route_config", {}).get("name") == route_config:
                return entry
        return None

    async def counter(self, name: str) -> int | None:
        """The value of one counter, or None if Envoy has no such counter."""
        escaped = name.replace(".", r"\.")
        stats = await self._get("/stats", filter=f"^{escaped}$", format="json")
        for stat in stats.get("stats", []):
            if stat.get("name") == name:
                return int(stat["value"])
        return None

    async def counters_ending(self, ending: str) -> int:
        """The sum of all counters whose name ends so."""
        escaped = ending.replace(".", r"\.")
        stats = await self._get("/stats", filter=f"{escaped}$", format="json")
        return sum(int(stat.get("value", 0)) for stat in stats.get("stats", []))

    async def ready(self, cluster: str) -> bool | None:
        """Whether any server of the cluster passes its health checks; None if Envoy knows no such cluster."""
        known = await self._get("/clusters", format="json")
        for found in known.get("cluster_statuses", []):
            if found.get("name") == cluster:
                hosts = found.get("host_statuses", [])
                return any(not host.get("health_status", {}).get("failed_active_health_check") for host in hosts)
        return None

    async def uptime(self) -> float:
        """Seconds since this Envoy started."""
        info = await self._get("/server_info")
        return float(str(info["uptime_current_epoch"]).removesuffix("s"))

    async def _get(self, path: str, **query: str) -> dict[str, Any]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with self._http.get(f"{self._url}{path}", params=query, timeout=timeout) as response:
                response.raise_for_status()
                data = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(
                f"the gateway's admin interface {self._url} does not answer: {str(error) or type(error).__name__}"
            ) from None
        return data if isinstance(data, dict) else {}
