"""Which ramp a worker's line is about.

What an activity was asked for carries route, ramp and epoch; they are put on every line that is written while it runs,
the libraries' lines included.  A workflow says it itself.
"""

from contextvars import ContextVar
from typing import Any

from temporalio import workflow
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from tailramp.activity_contract import Request
from tailramp.decision import Decision
from worker.logging_setup import About

_about: ContextVar[About | None] = ContextVar("about", default=None)


class NamesRamp(Interceptor):
    """Worker interceptor: every line of an activity names its ramp."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _NamesRamp(super().intercept_activity(next))


class _NamesRamp(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the base class's name
        # Not reset: the activity is a task of its own, and the SDK's line on its failure comes after this.
        _about.set(asked(input.args[0]) if input.args else None)
        return await super().execute_activity(input)


def asked(request: object) -> About | None:
    """The ramp of what an activity was asked for; None for what is of none."""
    if isinstance(request, Decision):
        return About(request.route, request.ramp, request.epoch)
    if isinstance(request, Request):
        return About(request.spec.platform.route.full_name, request.ramp, getattr(request, "epoch", None))
    return None


def about_here() -> About | None:
    """The ramp whose activity or workflow runs here."""
    return _about.get() or _of_workflow()


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
