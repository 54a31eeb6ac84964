"""Temporal: reachable, prepared, served by workers, and free of reported problems."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.doctor.findings import Result, finding, good, unseen
from cli.temporal import RPC_TIMEOUT, connect, register_command
from tailramp.activity_names import ROLLBACK_QUEUE, WATCH_QUEUE, WORKFLOW_QUEUE
from tailramp.errors import Unreachable
from workflows import search_attributes

_AREA: Final = "Temporal"
_QUEUES: Final = {
    WORKFLOW_QUEUE: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    ROLLBACK_QUEUE: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    WATCH_QUEUE: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


async def examine_temporal() -> AsyncIterator[Result]:
    try:
        client = await connect()
        address = client.service_client.config.target_host
        describe = DescribeNamespaceRequest(namespace=client.namespace)
        await client.workflow_service.describe_namespace(describe, timeout=RPC_TIMEOUT)
    except Unreachable as error:
        yield finding(_AREA, str(error), "Start it, or set TEMPORAL_ADDRESS; `tailramp kill` works without it")
        return
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            yield finding(
                _AREA,
                f"there is no namespace {client.namespace} at {address}",
                f"Create it: `temporal operator namespace create {client.namespace}`, or set TEMPORAL_NAMESPACE",
            )
        else:
            yield finding(_AREA, f"{address} refuses: {error.message}", "Check TEMPORAL_API_KEY and TEMPORAL_TLS_*")
        return
    yield good(_AREA, f"{address} answers, namespace {client.namespace}")
    yield await _search_attributes(client)
    for result in await asyncio.gather(*(_queue(client, name, kind) for name, kind in _QUEUES.items())):
        yield result
    yield await _reported(client)


async def _search_attributes(client: Client) -> Result:
    try:
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
        )
    except RPCError as error:
        return unseen(_AREA, f"the search attributes cannot be listed: {error.message}")
    missing = [key.name for key in search_attributes.ALL if key.name not in listed.custom_attributes]
    if missing:
        return finding(_AREA, f"search attributes are missing: {', '.join(missing)}", register_command(client))
    return good(_AREA, "the search attributes are registered")


async def _queue(client: Client, name: str, kind: "TaskQueueType.ValueType") -> Result:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=name), task_queue_type=kind
    )
    try:
        described = await client.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        return unseen(_AREA, f"the queue {name} cannot be described: {error.message}")
    pollers = {poller.identity for poller in described.pollers}
    if not pollers:
        return finding(_AREA, f"no worker polls {name}", "Run `tailramp worker`")
    return good(_AREA, f"{len(pollers)} of {name}: {', '.join(sorted(pollers))}")


async def _reported(client: Client) -> Result:
    query = 'WorkflowType="Ramp" AND ExecutionStatus="Running" AND TemporalReportedProblems IS NOT NULL'
    try:
        troubled = [execution.id async for execution in client.list_workflows(query, limit=20)]
    except RPCError as error:
        return unseen(_AREA, f"reported problems cannot be asked for: {error.message}")
    if troubled:
        names = ", ".join(name.removeprefix("ramp/") for name in troubled)
        mend = "Look at the ramp in Temporal's UI: a worker with a defect, or of another version, runs it"
        return finding(_AREA, f"Temporal reports problems of {names}", mend)
    return good(_AREA, "no ramp has reported problems")
