"""``${VAR}``: how the two files name a secret without holding it.

The spec travels through Temporal's history, through plans and through error messages.  So it carries only the name of
the variable; the process that needs the secret resolves it at the last moment, and nothing else ever has it.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from tailramp.errors import Refused, WrongValue

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _only_a_reference(value: str) -> str:
    if _REFERENCE.fullmatch(value) is None:
        raise WrongValue(
            "a secret stands in a variable, never in the file",
            "Write a reference such as ${TAILRAMP_PROBE_SECRET}, and set that variable for the worker",
        )
    return value


SecretReference = Annotated[
    str, AfterValidator(_only_a_reference), Field(json_schema_extra={"pattern": f"^{_REFERENCE.pattern}$"})
]


def is_reference(value: str) -> bool:
    """Whether ``value`` names a secret rather than being a value itself."""
    return _REFERENCE.fullmatch(value) is not None


def resolve(reference: str, environment: Mapping[str, str]) -> str:
    """The secret that ``${VAR}`` stands for.  Raises Refused, naming the variable, when it is unset or empty."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise Refused("a secret is named by a reference such as ${TAILRAMP_PROBE_SECRET}; this is none")
    name = match.group(1)
    secret = environment.get(name, "")
    if not secret:
        raise Refused(f"the variable {name} is not set in this process. Set it for every worker, then restart them")
    return secret
