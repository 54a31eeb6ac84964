"""How a ramp is started, for everyone who starts one."""

from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from tailramp.activity_names import WORKFLOW_QUEUE
from tailramp.ramp import Phase
from tailramp.spec import RampSpec
from tailramp.units import format_share
from workflows import search_attributes
from workflows.handles import RampHandle, workflow_id
from workflows.messages import RampStart
from workflows.ramp import RampWorkflow
from workflows.spec_wording import limits

TASK_TIMEOUT: Final = timedelta(seconds=3)
"""What a frozen worker costs per poll that it holds; the server's default is 10 s."""


async def start_ramp(client: Client, spec: RampSpec, actor: str, override: str | None = None) -> RampHandle:
    """Start a ramp.  Raises WorkflowAlreadyStartedError if one of this route is live.

    ``override`` is a person's reason to try a candidate that was taken out before.

    Never with an execution or run timeout: both terminate a workflow without giving it a chance to roll back.
    """
    route = spec.platform.route
    return await client.start_workflow(
        RampWorkflow.run,
        RampStart(spec=spec, actor=actor, override=override),
        id=workflow_id(route.full_name),
        task_queue=WORKFLOW_QUEUE,
        task_timeout=TASK_TIMEOUT,
        static_summary=_summary(spec),
        static_details=_details(spec),
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(search_attributes.PHASE, Phase.PREFLIGHT),
                SearchAttributePair(search_attributes.ROUTE, route.full_name),
                SearchAttributePair(search_attributes.REASON, ""),
                SearchAttributePair(search_attributes.SHARE, 0),
            ]
        ),
    )


def _shares(spec: RampSpec) -> str:
    return "/".join(f"{step.share * 100:g}" for step in spec.platform.ramp.steps) + " %"


def _summary(spec: RampSpec) -> str:
    """At most 200 bytes, for the list of workflows."""
    what = " + ".join(f"{candidate.model}: {_shares(spec)} of {candidate.buckets}" for candidate in spec.candidates)
    return f"{spec.platform.route.name} → {what}".encode()[:200].decode(errors="ignore")


def _details(spec: RampSpec) -> str:
    """Markdown beside the workflow: what was asked for, and the digest that pins it."""
    platform = spec.platform
    rows = [("route", platform.route.full_name)]
    for candidate in spec.candidates:
        rows += [
            ("model", candidate.model),
            ("target", f"{candidate.buckets} ({format_share(candidate.buckets.share)} of identified users)"),
            ("if a check fails", "its users go back" if candidate.auto_rollback else "pause and wait for a person"),
        ]
    rows += [
        ("steps", f"{_shares(spec)} of the target"),
        ("limits", limits(spec)),
        ("spec", f"`{spec.digest[:16]}`"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    models = " + ".join(candidate.model for candidate in spec.candidates)
    return f"### {platform.route.full_name} → {models}\n\n| | |\n|---|---|\n{table}\n"
