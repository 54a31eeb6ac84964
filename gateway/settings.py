"""What every gateway of tailramp's needs to know, whatever program it runs in.

Where users come in, where their ids stand and how these become buckets, where the slots are and how probes are signed:
the same in Envoy and in nginx, so that one platform file describes either.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from gateway.addresses import host_and_port, is_ip
from gateway.label_document import LABEL_HEADER, STALE_HEADER
from gateway.lua import LuaValue, bucket_script
from gateway.tokens import TokenIssuer
from tailramp.buckets import Strategy
from tailramp.forms import SlotName
from tailramp.probe_token import MIN_SECRET_BYTES, WINDOW_MS

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

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]


class GatewaySettings(BaseModel):
    """One gateway in front of one route's slots.

    Frozen. Raises pydantic.ValidationError, naming the field and the mend, for values with which the gateway would not
    start, or would start and put everybody on the default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listener_host: str = "127.0.0.1"
    listener_port: Port
    admin_host: str = "127.0.0.1"
    admin_port: Port
    route_config_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$")]
    route_file: Path
    """Absolute. Must exist when the gateway starts; replaced by renaming over it."""
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
    """Absolute. The gateway reads the secret when it starts, so that it stands in nothing that it shows. Where the
    file is missing or the secret too short, it says so on its standard error, serves users and accepts no probe."""
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
            raise ValueError(
                f"{str(value)!r} is relative, and the gateway may run in another folder: give an absolute path"
            )
        return value

    @field_validator("listener_host", "admin_host")
    @classmethod
    def _address(cls, value: str) -> str:
        if not is_ip(value):
            raise ValueError(f"{value!r} is not an IP address: a gateway listens on addresses, for example 0.0.0.0")
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

    @property
    def described(self) -> dict[str, LuaValue]:
        """How this gateway computes buckets, for everyone who may ask it: with the salt's id instead of the salt."""
        kind, name = self._identity_place
        return {
            "route_config_name": self.route_config_name,
            "identity": {"kind": kind, "name": name},
            "strategy": self.strategy.value,
            "salt_id": self.salt_id,
            "resolution": self.resolution,
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
