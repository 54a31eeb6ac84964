"""A workflow as small as can be that logs, and asks for an activity that logs."""

import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from types import SimpleNamespace

    from tailramp.decision import Decision

WORK = "work"


@workflow.defn(name="Trial")
class Trial:
    """``status`` answers as a ramp's does, as far as a log line needs it."""

    @workflow.run
    async def run(self, request: Decision) -> None:
        workflow.logger.warning("from the workflow")
        once = RetryPolicy(maximum_attempts=1)
        with contextlib.suppress(ActivityError):
            await workflow.execute_activity(
                WORK, request, start_to_close_timeout=timedelta(seconds=20), retry_policy=once, result_type=type(None)
            )

    @workflow.query
    def status(self) -> SimpleNamespace:
        return SimpleNamespace(epoch=9)
