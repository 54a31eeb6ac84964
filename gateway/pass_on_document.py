"""The routes of an Envoy that computes the bucket and decides nothing: everyone is handed on to the gateway behind."""

import json

BEHIND = "behind"
"""The cluster that is the gateway behind."""


def pass_on_document(route: str) -> str:
    """The route file, in which ``route`` is the name of the route configuration.  It never changes."""
    entry = {"match": {"prefix": "/"}, "route": {"cluster": BEHIND, "timeout": "0s"}}
    config = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": route,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [entry]}],
    }
    return json.dumps({"version_info": "0", "resources": [config]}, indent=2) + "\n"
