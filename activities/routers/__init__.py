"""The routers: adapters that apply an assignment to one kind of data plane.

A new data plane is one new module that implements ``Router`` and one line in ``make_router``.
"""

import aiohttp

from activities.routers.envoy_file import EnvoyFile
from activities.routers.protocol import Clearing, Router, RouteView, Served
from tailramp.spec import PlatformFile

__all__ = ["Clearing", "RouteView", "Router", "Served", "make_router"]


def make_router(platform: PlatformFile, http: aiohttp.ClientSession | None) -> Router:
    """The router that the platform file names.

    ``http`` may be None for a caller that only clears (``kill``): reading what the data plane has loaded needs it.
    """
    match platform.router.kind:
        case "envoy-file":
            return EnvoyFile(platform.router, http)
