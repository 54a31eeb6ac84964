"""All of our gateways in front of one route, found by their host name.

A headless Service gives a name an address for each pod, so that nothing has to be asked of the Kubernetes API to know
them all.  What is said of a route is only true if every one of them says it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from activities.routers.envoy_admin import EnvoyAdmin
from activities.routers.protocol import Served
from tailramp.errors import Unreachable
from tailramp.proof import Answer, Finding

if TYPE_CHECKING:
    import aiohttp

_HTTP = 80

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host name and port → the addresses behind it; raises OSError."""


@dataclass(frozen=True)
class Member:
    """One of them, an Envoy or what answers as one; ``name`` is its address, for people."""

    name: str
    admin: EnvoyAdmin


async def addresses_of(host: str, port: int) -> list[str]:
    """Every address of a host name, as the system resolves it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GatewayFleet:
    """``url`` is the admin address that the platform file names.  Every method asks all members at once."""

    def __init__(self, url: str, http: "aiohttp.ClientSession", resolve: Resolve = addresses_of) -> None:
        self._url = url
        self._http = http
        self._resolve = resolve

    async def members(self) -> list[Member]:
        """Raises Unreachable if the name leads nowhere."""
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or _HTTP
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise Unreachable(f"router.admin: {host} leads to no gateway ({error.strerror or error})") from None
        if not addresses:
            raise Unreachable(f"router.admin: {host} leads to no gateway")
        named = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses]
        return [Member(name, EnvoyAdmin(f"{parts.scheme}://{name}", self._http)) for name in named]

    async def hold(self, route: str, version: str) -> list[Finding]:
        """Whether each of them serves ``version``; one finding for each."""
        try:
            members = await self.members()
        except Unreachable as error:
            return [Finding(question=f"the gateways serve version {version}", answer=Answer.UNKNOWN, seen=str(error))]
        return list(await asyncio.gather(*(_holds(member, route, version) for member in members)))

    async def known(self, route: str) -> list[dict[str, Any]]:
        """What each of them knows of the route record.  Raises Unreachable unless all answer."""
        members = await self.members()
        return [said or {} for said in await asyncio.gather(*(member.admin.metadata(route) for member in members))]

    async def served(self, slot: str) -> Served | None:
        """Requests sent to a slot by all of them; None as soon as one of them does not tell."""
        try:
            counts = await asyncio.gather(*(_served(member, slot) for member in await self.members()))
        except Unreachable:
            return None
        known = [count for count in counts if count is not None]
        if len(known) != len(counts):
            return None
        return Served(sum(count.count for count in known), min(count.uptime for count in known))

    async def ready(self, slot: str) -> bool | None:
        """Whether any of them sees a ready server of the slot; False only if all of them see none."""
        try:
            answers = await asyncio.gather(*(member.admin.ready(slot) for member in await self.members()))
        except Unreachable:
            return None
        if any(answers):
            return True
        return None if None in answers else False


async def _holds(member: Member, route: str, version: str) -> Finding:
    question = f"gateway {member.name} serves version {version}"
    try:
        loaded = await member.admin.loaded_version(route)
    except Unreachable as error:
        return Finding(question=question, answer=Answer.UNKNOWN, seen=str(error))
    answer = Answer.YES if loaded == version else Answer.NO
    return Finding(question=question, answer=answer, seen=f"version {loaded}")


async def _served(member: Member, slot: str) -> Served | None:
    # Those that were sent, and those that a dead server refused.
    sent = await member.admin.counter(f"cluster.{slot}.upstream_rq_total")
    refused = await member.admin.counter(f"cluster.{slot}.upstream_rq_pending_failure_eject")
    if sent is None or refused is None:
        return None
    return Served(sent + refused, await member.admin.uptime())
