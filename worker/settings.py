"""Settings of the worker processes, from the environment."""

import ipaddress
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from tailramp.errors import InvalidFile, Problem

PREFIX = "TAILRAMP_"


class Role(StrEnum):
    """A worker process of its own: rollback shares neither queue nor process with the watchers that could delay it."""

    CONTROL = "control"
    WATCH = "watch"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class Address(NamedTuple):
    """An IP address and a TCP port to listen on; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    try:
        host = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError("is not IP:PORT, such as 127.0.0.1:9464 or [::1]:9464") from None
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("has no port between 0 and 65535 after its last colon")
    return Address(host, int(port))


Listen = Annotated[Address | None, BeforeValidator(_address)]
"""``IP:PORT``; None listens nowhere."""


class WorkerSettings(BaseModel):
    """Each field is the environment variable ``TAILRAMP_<FIELD>``; unset or empty means the default."""

    model_config = ConfigDict(frozen=True)

    records: Path = Field(default=Path(".tailramp/records"), description="folder of the decision log")
    max_ramps: int = Field(default=100, ge=1, le=10_000, description="live ramps that one watch process can carry")
    shutdown_seconds: float = Field(default=5.0, ge=0, le=3600, description="grace of running activities on SIGTERM")
    routes: str = Field(default="", description="what the sentinel watches: paths or globs of route files, by comma")
    sentinel_poll: float = Field(default=2.0, gt=0, le=60, description="seconds between two looks of the sentinel")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: LogFormat = LogFormat.TEXT
    control_http: Listen = Field(default=None, description="where control serves /healthz, /readyz and /metrics")
    watch_http: Listen = Field(default=None, description="the same of watch")
    sentinel_http: Listen = Field(default=None, description="the same of the sentinel")
    follower_http: Listen = Field(default=None, description="the same of `tailramp follow`")
    control_sdk_metrics: Listen = Field(default=None, description="where control serves the Temporal SDK's own metrics")
    watch_sdk_metrics: Listen = Field(default=None, description="the same of watch")
    stuck_seconds: float = Field(default=10.0, ge=0.5, le=3600, description="a loop stuck this long is not healthy")
    stuck_exit_seconds: float = Field(default=30.0, ge=1, le=3600, description="one stuck this long ends its process")

    @field_validator("stuck_exit_seconds")
    @classmethod
    def _later_than_unhealthy(cls, value: float, info: ValidationInfo) -> float:
        unhealthy = info.data.get("stuck_seconds")
        if unhealthy is not None and value < unhealthy:
            raise ValueError(f"is less than {PREFIX}STUCK_SECONDS, {unhealthy:g}: the process would end while healthy")
        return value


def load_settings(environment: Mapping[str, str] = os.environ) -> WorkerSettings:
    """Raises InvalidFile naming every variable that cannot be used."""
    names = {field: f"{PREFIX}{field.upper()}" for field in WorkerSettings.model_fields}
    given = {field: environment[name] for field, name in names.items() if environment.get(name)}
    try:
        return WorkerSettings.model_validate(given)
    except ValidationError as error:
        problems = [
            Problem(
                names[str(details["loc"][0])],
                details["msg"].removeprefix("Value error, "),
                "Change or unset the variable",
                value=str(details["input"]),
            )
            for details in error.errors()
        ]
        raise InvalidFile(problems) from None
