"""The command line's connection to Temporal, and Temporal's errors in tailramp's words."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from tailramp.errors import Refused, TailrampError, Unreachable
from worker.connection import connect as connect_client
from workflows import search_attributes

RPC_TIMEOUT: Final = timedelta(seconds=5)
_CONNECT_SECONDS: Final = 10.0
_SILENT = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.UNKNOWN,
}
_FORBIDDEN = {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}


class NoRamp(Refused):
    """The route has no ramp that the server remembers."""


class AlreadyOver(Refused):
    """The ramp has ended: it takes no message any more."""


class NoWorker(Unreachable):
    """The server answers, and no worker does."""


async def connect() -> Client:
    """Connect as the environment says.  Raises Unreachable, also for a server that accepts and then keeps silent."""
    # The client's own log of its retries would stand between the lines of the answer.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await connect_client()
    except TimeoutError:
        raise Unreachable(
            f"Temporal accepts the connection and does not answer within {_CONNECT_SECONDS:g} s. "
            "TEMPORAL_ADDRESS names the server"
        ) from None


@contextlib.contextmanager
def in_words(client: Client, route: str) -> Iterator[None]:
    """Raise what the server says about ``route`` as an error of tailramp's own."""
    try:
        yield
    except RPCError as error:
        words = _in_words(error, client, route)
        if words is None:
            raise
        raise words from error


def _in_words(error: RPCError, client: Client, route: str) -> TailrampError | None:
    address, message = client.service_client.config.target_host, error.message
    words: TailrampError | None = None
    if error.status is RPCStatusCode.NOT_FOUND and "already completed" in message:
        words = AlreadyOver(f"the ramp of {route} is over")
    elif error.status is RPCStatusCode.NOT_FOUND and message.startswith("Namespace"):
        words = Unreachable(f"Temporal at {address} has no namespace {client.namespace}: TEMPORAL_NAMESPACE names it")
    elif error.status is RPCStatusCode.NOT_FOUND:
        words = NoRamp(f"Temporal at {address} knows no ramp of {route}: `tailramp start` starts one")
    elif error.status is RPCStatusCode.FAILED_PRECONDITION and "no poller" in message:
        words = NoWorker(f"no worker answers for {route}: `tailramp worker` runs one")
    elif "no mapping defined for search attribute" in message:
        words = Refused(
            f"Temporal's namespace {client.namespace} lacks search attributes: {message}. {register_command(client)}"
        )
    elif error.status in _FORBIDDEN:
        words = Unreachable(f"Temporal at {address} refuses: {message}. Check TEMPORAL_API_KEY and TEMPORAL_TLS_*")
    elif error.status in _SILENT:
        words = Unreachable(f"Temporal at {address} does not answer: {message}")
    return words


def register_command(client: Client) -> str:
    """How the search attributes of ramps are registered."""
    attributes = " ".join(
        f"--name {key.name} --type {key.indexed_value_type.name.title()}" for key in search_attributes.ALL
    )
    return f"Register them: `temporal operator search-attribute create -n {client.namespace} {attributes}`"
