"""Envoy as tailramp's gateway: the bootstrap with which it starts.

Everything that may change during a ramp is in the route file, which belongs to the router; everything here is fixed for
the life of the process. That split is what lets a rollback be one rename, and it is why each slot's cluster exists from
the start: the counters that prove a candidate unserved must never appear or vanish with a rule.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from gateway.addresses import host_and_port, is_ip, socket_address
from gateway.label_document import LABEL_HEADER, STALE_HEADER
from gateway.lua import LuaValue, bucket_script
from gateway.tokens import TokenIssuer, verification
from tailramp.buckets import Strategy
from tailramp.forms import SlotName
from tailramp.probe_token import MIN_SECRET_BYTES, WINDOW_MS

STAT_PREFIX = "gateway"

_TYPES = "type.googleapis.com/envoy"
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^`|~-]+")
_SET_BY_GATEWAY = frozenset(
    {
        "x-user-bucket",
        "x-user-bucket-2d",
        "x-tailramp-probe",
        "x-tailramp-probe-echo",
        "x-tailramp-variant",
        LABEL_HEADER,
        STALE_HEADER,
    }
)
_NOT_AN_IDENTITY = _SET_BY_GATEWAY | {"connection", "content-length", "host", "te", "transfer-encoding", "upgrade"}

# What the router, the sentinel and a scrape read. The rest of the admin interface can stop the process or set counters
# back to zero, and the counters are evidence.
_ADMIN_READS = (
    {"exact": "/ready"},
    {"exact": "/server_info"},
    {"prefix": "/clusters"},
    {"prefix": "/stats"},
    {"prefix": "/config_dump"},
)

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]


class EnvoyGateway(BaseModel):
    """One Envoy in front of one route's slots.

    Frozen. Raises pydantic.ValidationError, naming the field and the mend, for values with which Envoy would not start,
    or would start and put everybody on the default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listener_host: str = "127.0.0.1"
    listener_port: Port
    admin_host: str = "127.0.0.1"
    admin_port: Port
    route_config_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$")]
    route_file: Path
    """Absolute. Must exist when Envoy starts; replaced by renaming over it."""
    identity_header: str = "x-user-id"
    """The trusted header with the user id, unless one of the next three names another place for it."""
    identity_cookie: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")] | None = None
    identity_claim: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """A claim of the token that `jwt` verifies. A token that is missing, expired or forged leaves a user without an id,
    and is otherwise the service's own affair."""
    identity_api_key: str | None = None
    """The header with the caller's API key, `Bearer` before it or not."""
    jwt: TokenIssuer | None = None
    identity_max_bytes: Annotated[int, Field(ge=1, le=8192)] = 512
    """A longer user id counts as none."""
    strategy: Strategy = Strategy.SHA256
    salt: str
    salt_id: Annotated[str, StringConstraints(min_length=1)]
    resolution: Literal[100, 10000] = 100
    allow: tuple[Digest, ...] = ()
    """Digests of users who are in the first bucket, whatever their ids say."""
    deny: tuple[Digest, ...] = ()
    """Digests of users who have no bucket."""
    clusters: Annotated[dict[SlotName, str], Field(min_length=1)]
    """Slot to `host:port`; an IPv6 address in brackets."""
    probe_path: Annotated[str, StringConstraints(pattern=r"^/[!-\"$-~]*$", max_length=1024)] = "/v1/models"
    """The one path, with its query if it has one, on which signed probes are accepted."""
    probe_secret_file: Path | None = None
    """Absolute. Envoy reads the secret when it starts, so that it stands neither here nor in /config_dump. Where the
    file is missing or the secret too short, Envoy says so on its standard error, serves users and accepts no probe."""
    connect_timeout: Seconds = 0.25
    upstream_idle_timeout: Seconds = 4.0
    """Seconds after which an unused connection to a server is closed. Below the 5 s of uvicorn, which vLLM and SGLang
    run on: a connection that both ends close at the same time costs a user a 503 that the slot is then blamed for."""
    stream_idle_timeout: Seconds = 300.0
    """Seconds without a byte in either direction before a stream is cut. There is no limit on a stream's length."""
    lease_file: Path | None = None
    """Absolute. For a gateway that names the slot to another one behind it: until when its assignment may be trusted,
    in milliseconds of this machine's clock. Once that has passed, or without the file, nobody is on a candidate."""
    behind_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:\[\]_-]+$")] | None = None
    """The host name by which the gateway behind knows the route; health checks ask for it, users bring their own."""
    access_log: Path | None = None
    """File for one JSON line per request, without the user id; none by default."""

    @field_validator("route_file", "probe_secret_file", "lease_file", "access_log")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError(f"{str(value)!r} is relative, and Envoy may run in another folder: give an absolute path")
        return value

    @field_validator("listener_host", "admin_host")
    @classmethod
    def _address(cls, value: str) -> str:
        if not is_ip(value):
            raise ValueError(f"{value!r} is not an IP address: Envoy listens on addresses, for example 0.0.0.0")
        return value

    @field_validator("identity_header", "identity_api_key")
    @classmethod
    def _identity(cls, value: str | None) -> str | None:
        if value is None:
            return None
        name = value.lower()
        if "_" in name:
            raise ValueError(
                f"{value!r} has an underscore, and the gateway drops such headers because servers read X_User_Bucket as"
                " X-User-Bucket: let clients send the name with hyphens"
            )
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{value!r} is not a header name: use letters, digits and hyphens, for example x-user-id")
        if name in _NOT_AN_IDENTITY:
            raise ValueError(
                f"{value!r} has a meaning of its own and cannot hold the user id: use for example x-user-id"
            )
        return name

    @field_validator("salt")
    @classmethod
    def _encodable(cls, value: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the salt cannot be written as UTF-8 ({error.reason}): choose another") from None
        return value

    @field_validator("clusters")
    @classmethod
    def _endpoints(cls, value: dict[str, str]) -> dict[str, str]:
        for slot, endpoint in value.items():
            try:
                host_and_port(endpoint)
            except ValueError as error:
                raise ValueError(f"slot {slot}: {error}") from None
        return value

    @model_validator(mode="after")
    def _id_stands_in_one_place(self) -> Self:
        places = [self.identity_cookie, self.identity_claim, self.identity_api_key]
        if sum(place is not None for place in places) > 1:
            raise ValueError("name one of identity_cookie, identity_claim and identity_api_key: the id is in one place")
        if (self.identity_claim is None) != (self.jwt is None):
            raise ValueError("identity_claim and jwt belong together: a claim counts only in a verified token")
        return self

    @model_validator(mode="after")
    def _strategy_has_what_it_needs(self) -> Self:
        if self.strategy.is_salted and not self.salt:
            raise ValueError(f"{self.strategy} needs a salt: give the one of the platform file")
        if self.resolution not in self.strategy.resolutions:
            raise ValueError(f"{self.strategy} has 100 buckets: use resolution 100, or strategy sha256")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.listener_port == self.admin_port and self.listener_host == self.admin_host:
            raise ValueError(
                f"listener_port and admin_port are both {self.admin_port}: give the admin interface its own"
            )
        return self

    def bootstrap(self) -> dict[str, object]:
        """The whole bootstrap, ready for `json.dump` and `envoy -c FILE.json`.

        `/server_info` of the running Envoy shows `node.metadata.tailramp`: how this gateway computes buckets, with the
        salt's id instead of the salt.
        """
        return {
            "node": {
                "id": "tailramp-gateway",
                "cluster": "tailramp-gateway",
                "metadata": {
                    "tailramp": {
                        "route_config_name": self.route_config_name,
                        "identity": {"kind": self._identity_place[0], "name": self._identity_place[1]},
                        "strategy": self.strategy.value,
                        "salt_id": self.salt_id,
                        "resolution": self.resolution,
                    }
                },
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

    @property
    def _identity_place(self) -> tuple[str, str]:
        """The kind of place where the user id stands, and its name."""
        places = {"cookie": self.identity_cookie, "claim": self.identity_claim, "api_key": self.identity_api_key}
        return next(((kind, name) for kind, name in places.items() if name), ("header", self.identity_header))

    def script(self) -> str:
        """The Lua text with this gateway's settings."""
        probe: dict[str, LuaValue] = {
            "route": self.route_config_name,
            "path": self.probe_path,
            "window_ms": WINDOW_MS,
            "min_secret_bytes": MIN_SECRET_BYTES,
        }
        if self.probe_secret_file is not None:
            probe["secret_file"] = str(self.probe_secret_file)
        kind, name = self._identity_place
        return bucket_script(
            {
                "strategy": self.strategy.value,
                "salt": self.salt,
                "resolution": self.resolution,
                "allow": dict.fromkeys(self.allow, True),
                "deny": dict.fromkeys(self.deny, True),
                "identity": {"kind": kind, "name": name, "max_bytes": self.identity_max_bytes},
                "probe": probe,
                **({} if self.lease_file is None else {"lease_file": str(self.lease_file)}),
            }
        )

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
