"""A ramp by the name of its route, for everyone who looks at one or sends it a message.

By names alone: the workflow's own code, with all that it needs, is not wanted by whoever only asks it.
"""

from typing import TYPE_CHECKING, TypeAlias

from temporalio.client import Client, WorkflowHandle

from workflows.answers import RampResult

if TYPE_CHECKING:
    from workflows.ramp import RampWorkflow

RampHandle: TypeAlias = "WorkflowHandle[RampWorkflow, RampResult]"


def workflow_id(route: str) -> str:
    """The id of every ramp of ``route`` (``<namespace>/<name>``): one open workflow per id is the lock."""
    return f"ramp/{route}"


def ramp_handle(client: Client, route: str, run_id: str | None = None) -> RampHandle:
    """The latest ramp of ``route``, live or ended; or one run of it."""
    return client.get_workflow_handle(workflow_id(route), run_id=run_id, result_type=RampResult)
