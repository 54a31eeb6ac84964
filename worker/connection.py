"""The connection to Temporal, set up as Temporal's own tools do it: environment first, then the profile file."""

import os
import re
from collections.abc import Mapping

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

from tailramp.errors import Unreachable

DEFAULT_ADDRESS = "localhost:7233"

_SAID = re.compile(r'(?:message|error): "([^"\\]+)"')


async def connect(environment: Mapping[str, str] = os.environ) -> Client:
    """Connect to the server that ``TEMPORAL_ADDRESS`` and its like name.  Raises Unreachable, naming the address.

    Empty variables count as unset: an empty ``TEMPORAL_API_KEY``, as docker-compose passes it, would switch TLS on.
    """
    given = {name: value for name, value in environment.items() if value or not name.startswith("TEMPORAL_")}
    try:
        config = ClientConfig.load_client_connect_config(override_env_vars=given)
    except (RuntimeError, ValueError, OSError) as error:
        raise Unreachable(f"Temporal's connection settings cannot be used: {error}") from None
    config.setdefault("target_host", DEFAULT_ADDRESS)
    address = config["target_host"]
    try:
        return await Client.connect(**config, data_converter=pydantic_data_converter)
    except (RuntimeError, ValueError, OSError) as error:
        hint = ""
        if "InvalidContentType" in str(error):
            hint = " It speaks plaintext and TLS was asked for: check TEMPORAL_TLS and TEMPORAL_API_KEY."
        raise Unreachable(
            f"Temporal at {address} cannot be reached: {_cause(str(error))}.{hint} TEMPORAL_ADDRESS names it"
        ) from None


def _cause(text: str) -> str:
    """What the operating system or the server said, out of the nested errors of the SDK's core around it."""
    said = _SAID.findall(text)
    return str(said[-1]) if said else text.splitlines()[0][:200]
