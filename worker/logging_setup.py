"""Log lines on standard error that say which ramp they are about.

A worker serves many ramps at once, and a line such as "the lease could not be renewed" is of no use at night without
its route.  Which ramp a line is about, a worker knows by `ramp_lines`; a process without activities says it itself.
"""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from worker.settings import LogFormat


class Event(StrEnum):
    """What a script waits for; a line of JSON names it as ``event`` (``extra={"event": ...}``)."""

    STARTED = "started"
    CLEARED = "cleared"
    WRITTEN = "written"
    ENDED = "ended"


@dataclass(frozen=True)
class About:
    """The ramp that a line is about.  ``epoch`` is None where the request has none."""

    route: str
    ramp: str
    epoch: int | None = None

    @property
    def fields(self) -> dict[str, str | int]:
        """What a line shows, without what is not known."""
        given = {"route": self.route, "ramp": self.ramp[:8], "epoch": self.epoch}
        return {name: value for name, value in given.items() if value is not None}


class _AddRamp(logging.Filter):
    """Puts ``about`` on every record; a line may bring its own by ``extra={"about": About(...)}``."""

    def __init__(self, about: Callable[[], About | None]) -> None:
        super().__init__()
        self._about = about

    def filter(self, record: logging.LogRecord) -> bool:
        about = getattr(record, "about", None) or self._about()
        record.about = about
        record.ramp_words = "".join(f"{name}={value} " for name, value in about.fields.items()) if about else ""
        return True


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "about", None)
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "name": record.name,
            "pid": record.process,
            **(about.fields if about else {}),
            "message": record.getMessage(),
        }
        if (event := getattr(record, "event", None)) is not None:
            line["event"] = event
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(
    level: str,
    log_format: LogFormat = LogFormat.TEXT,
    *,
    for_program: bool = False,
    about: Callable[[], About | None] = lambda: None,
) -> None:
    """Log lines on standard error: time, level, logger, process, the ramp, and the message; or the same as JSON.

    ``for_program``: as JSON, and on standard output.  ``about`` tells the ramp of a line that does not bring its own.
    """
    handler = logging.StreamHandler(sys.stdout if for_program else sys.stderr)
    handler.addFilter(_AddRamp(about))
    handler.setFormatter(
        _JsonLines()
        if for_program or log_format is LogFormat.JSON
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s[%(process)d] %(ramp_words)s%(message)s")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
