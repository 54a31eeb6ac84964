"""Envoy as tailramp's gateway: the bootstrap with which it starts.

Everything that may change during a ramp is in the route file, which belongs to the router; everything here is fixed for
the life of the process. That split is what lets a rollback be one rename, and it is why each slot's cluster exists from
the start: the counters that prove a candidate unserved must never appear or vanish with a rule.
"""

from pathlib import Path

from gateway.addresses import host_and_port, is_ip, socket_address
from gateway.label_document import LABEL_HEADER
from gateway.settings import GatewaySettings
from gateway.tokens import verification

STAT_PREFIX = "gateway"

_TYPES = "type.googleapis.com/envoy"
# What the router, the sentinel and a scrape read. The rest of the admin interface can stop the process or set counters
# back to zero, and the counters are evidence.
_ADMIN_READS = (
    {"exact": "/ready"},
    {"exact": "/server_info"},
    {"prefix": "/clusters"},
    {"prefix": "/stats"},
    {"prefix": "/config_dump"},
)


class EnvoyGateway(GatewaySettings):
    """One Envoy in front of one route's slots.

    Frozen. Raises pydantic.ValidationError, naming the field and the mend, for values with which Envoy would not start,
    or would start and put everybody on the default.
    """

    def bootstrap(self) -> dict[str, object]:
        """The whole bootstrap, ready for `json.dump` and `envoy -c FILE.json`.

        `/server_info` of the running Envoy shows `node.metadata.tailramp`: how this gateway computes buckets, with the
        salt's id instead of the salt.
        """
        return {
            "node": {
                "id": "tailramp-gateway",
                "cluster": "tailramp-gateway",
                "metadata": {"tailramp": self.described},
            },
            "admin": {
                "address": socket_address(self.admin_host, self.admin_port),
                "allow_paths": list(_ADMIN_READS),
            },
            "static_resources": {
                "listeners": [
                    {
                        "name": STAT_PREFIX,
                        "address": socket_address(self.listener_host, self.listener_port),
                        # Shared, a port would let a forgotten second gateway take half of the traffic unnoticed.
                        "enable_reuse_port": False,
                        "filter_chains": [
                            {
                                "filters": [
                                    _typed("envoy.filters.network.http_connection_manager", self._connection_manager())
                                ]
                            }
                        ],
                    }
                ],
                "clusters": [self._cluster(slot, endpoint) for slot, endpoint in self.clusters.items()],
            },
        }

    def _connection_manager(self) -> dict[str, object]:
        manager: dict[str, object] = {
            "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": STAT_PREFIX,
            "generate_request_id": False,
            # Clients are not other Envoys, so their x-envoy-* headers, which can ask for retries, are not obeyed. That
            # needs internal_address_config to be absent: without it Envoy trusts nobody, with an empty one everybody.
            "use_remote_address": True,
            "common_http_protocol_options": {
                # Dropped, not refused: the header is useless to us and may be the harmless habit of an honest client.
                "headers_with_underscores_action": "DROP_HEADER",
            },
            "stream_idle_timeout": _duration(self.stream_idle_timeout),
            "request_timeout": "0s",
            "rds": {
                "route_config_name": self.route_config_name,
                "config_source": {
                    "resource_api_version": "V3",
                    "path_config_source": {
                        "path": str(self.route_file),
                        "watched_directory": {"path": str(self.route_file.parent)},
                    },
                },
            },
            "http_filters": [
                *([] if self.jwt is None else [_typed("envoy.filters.http.jwt_authn", verification(self.jwt))]),
                _typed(
                    "envoy.filters.http.lua",
                    {
                        "@type": f"{_TYPES}.extensions.filters.http.lua.v3.Lua",
                        "default_source_code": {"inline_string": self.script()},
                    },
                ),
                _typed(
                    "envoy.filters.http.router",
                    {
                        "@type": f"{_TYPES}.extensions.filters.http.router.v3.Router",
                        "suppress_envoy_headers": True,
                    },
                ),
            ],
        }
        if self.access_log is not None:
            manager["access_log"] = [_typed("envoy.access_loggers.file", _access_log(self.access_log))]
        return manager

    def _cluster(self, slot: str, endpoint: str) -> dict[str, object]:
        host, port = host_and_port(endpoint)
        return {
            "name": slot,
            "type": "STATIC" if is_ip(host) else "STRICT_DNS",
            "dns_lookup_family": "V4_PREFERRED",
            "connect_timeout": _duration(self.connect_timeout),
            "load_assignment": {
                "cluster_name": slot,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(host, port)}}]}],
            },
            # They only tell whether anybody is there to go back to.  Envoy sends users on all the same when all servers
            # of a slot look ill ("panic"), so that a slow answer to a check turns nobody away.
            "health_checks": [
                {
                    "timeout": "1s",
                    "interval": "1s",
                    "no_traffic_interval": "1s",
                    "unhealthy_threshold": 3,
                    "healthy_threshold": 1,
                    "http_health_check": self._health_check(slot),
                }
            ],
            # Envoy's defaults refuse the 1025th concurrent stream, which on a slot that has just been given all traffic
            # would look like the model's failure. Retries are left to clients: one would count as a second request.
            "circuit_breakers": {
                "thresholds": [
                    {"max_connections": 65536, "max_pending_requests": 65536, "max_requests": 65536, "max_retries": 0}
                ]
            },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "common_http_protocol_options": {"idle_timeout": _duration(self.upstream_idle_timeout)},
                    "explicit_http_config": {"http_protocol_options": {}},
                }
            },
        }

    def _health_check(self, slot: str) -> dict[str, object]:
        check: dict[str, object] = {"path": self.probe_path}
        if self.lease_file is not None:  # every slot has the same address, and the label tells them apart
            label = {"header": {"key": LABEL_HEADER, "value": slot}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            check["request_headers_to_add"] = [label]
        if self.behind_host is not None:
            check["host"] = self.behind_host
        return check


def _access_log(path: Path) -> dict[str, object]:
    return {
        "@type": f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {
            "json_format": {
                "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
                "method": "%REQ(:METHOD)%",
                "path": "%PATH(NQ:PATH)%",
                "bucket": "%REQ(X-USER-BUCKET)%",
                "route": "%ROUTE_NAME%",
                "slot": "%UPSTREAM_CLUSTER%",
                "status": "%RESPONSE_CODE%",
                "flags": "%RESPONSE_FLAGS%",
                "details": "%RESPONSE_CODE_DETAILS%",
                "duration_ms": "%DURATION%",
                "bytes_sent": "%BYTES_SENT%",
            }
        },
    }


def _typed(name: str, config: dict[str, object]) -> dict[str, object]:
    return {"name": name, "typed_config": config}


def _duration(seconds: float) -> str:
    return f"{seconds:.3f}s"
