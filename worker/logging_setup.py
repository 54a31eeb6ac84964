"""Log lines on standard error that say which ramp they are about.

A worker serves many ramps at once, and a line such as "the lease could not be renewed" is of no use at night without
its route.  What an activity was asked for carries route, ramp and epoch; they are put on every line that is written
while it runs, the libraries' lines included.
"""

import json
import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from temporalio import workflow
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from tailramp.activity_contract import Request
from tailramp.decision import Decision
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

    @classmethod
    def asked(cls, request: object) -> "About | None":
        if isinstance(request, Decision):
            return cls(request.route, request.ramp, request.epoch)
        if isinstance(request, Request):
            return cls(request.spec.platform.route.full_name, request.ramp, getattr(request, "epoch", None))
        return None

    @property
    def fields(self) -> dict[str, str | int]:
        """What a line shows, without what is not known."""
        given = {"route": self.route, "ramp": self.ramp[:8], "epoch": self.epoch}
        return {name: value for name, value in given.items() if value is not None}


_about: ContextVar[About | None] = ContextVar("about", default=None)


class NamesRamp(Interceptor):
    """Worker interceptor: every line of an activity names its ramp."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _NamesRamp(super().intercept_activity(next))


class _NamesRamp(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the base class's name
        # Not reset: the activity is a task of its own, and the SDK's line on its failure comes after this.
        _about.set(About.asked(input.args[0]) if input.args else None)
        return await super().execute_activity(input)


def _of_workflow() -> About | None:
    if not workflow.in_workflow():
        return None
    info = workflow.info()
    about = About(info.workflow_id.removeprefix("ramp/"), info.first_execution_run_id)
    try:
        status = workflow.get_query_handler("status")
        return About(about.route, about.ramp, status().epoch if status else None)
    except Exception:  # a ramp that failed at its first instruction has no status, and its line matters most
        return about


class _AddRamp(logging.Filter):
    """Puts ``about`` on every record; a line may bring its own by ``extra={"about": About(...)}``."""

    def filter(self, record: logging.LogRecord) -> bool:
        about = getattr(record, "about", None) or _about.get() or _of_workflow()
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


def configure_logging(level: str, log_format: LogFormat = LogFormat.TEXT, *, for_program: bool = False) -> None:
    """Log lines on standard error: time, level, logger, process, the ramp, and the message; or the same as JSON.

    ``for_program``: as JSON, and on standard output.
    """
    handler = logging.StreamHandler(sys.stdout if for_program else sys.stderr)
    handler.addFilter(_AddRamp())
    handler.setFormatter(
        _JsonLines()
        if for_program or log_format is LogFormat.JSON
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s[%(process)d] %(ramp_words)s%(message)s")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
