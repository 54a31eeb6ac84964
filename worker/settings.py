"""Settings of the worker processes, from the environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailramp.errors import InvalidFile, Problem

PREFIX = "TAILRAMP_"


class WorkerSettings(BaseModel):
    """Each field is the environment variable ``TAILRAMP_<FIELD>``; unset or empty means the default."""

    model_config = ConfigDict(frozen=True)

    records: Path = Field(default=Path(".tailramp/records"), description="folder of the decision log")
    max_ramps: int = Field(default=100, ge=1, le=10_000, description="live ramps that one watch process can carry")
    shutdown_seconds: float = Field(default=5.0, ge=0, le=3600, description="grace of running activities on SIGTERM")
    routes: str = Field(default="", description="what the sentinel watches: paths or globs of route files, by comma")
    sentinel_poll: float = Field(default=2.0, gt=0, description="seconds between two looks of the sentinel")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")


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
                details["msg"],
                "Change or unset the variable",
                value=str(details["input"]),
            )
            for details in error.errors()
        ]
        raise InvalidFile(problems) from None
