"""Which files and which route a command is about.

The researcher's file is named on the command line or is ``deploy/canary.yaml``.  The platform file is the
``tailramp.yaml`` beside it, else ``--platform``, else ``$TAILRAMP_PLATFORM``: one route per pair, so a ``--platform``
that names another file than the one beside the researcher's is an error, never silently ignored.  Commands that need no
researcher's file take ``--platform`` first.
"""

import math
import os
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tailramp.errors import InvalidFile, Problem

if TYPE_CHECKING:
    from tailramp.buckets import BucketFunction
    from tailramp.spec import Identity

Function = TypeVar("Function", bound=Callable[..., Any])

CANARY: Final = Path("deploy/canary.yaml")
PLATFORM_NAME: Final = "tailramp.yaml"
PLATFORM_VARIABLE: Final = "TAILRAMP_PLATFORM"

_LONGEST_TEXT: Final = 4000
_NAME = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ROUTE = re.compile(rf"(?:(?P<namespace>{_NAME})/)?(?P<name>{_NAME})")


class RouteType(click.ParamType[str]):
    """``chat`` or ``team/chat`` → the full name, ``default/chat`` or ``team/chat``."""

    name = "route"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        match = _ROUTE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no route: write its name, or <namespace>/<name>, in a-z, 0-9 and -", param, ctx)
        return f"{match['namespace'] or 'default'}/{match['name']}"


class DurationType(click.ParamType[timedelta]):
    """``90s``, ``10m``, ``1h30m`` → timedelta."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from tailramp.units import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class ShareType(click.ParamType[float]):
    """``5%`` or ``0.05``, above 0 and below 1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from tailramp.units import parse_share

        try:
            share = parse_share(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if not 0 < share < 1 or math.isnan(share):
            self.fail(f"{value!r} leaves nobody on one side: write for example 5%", param, ctx)
        return share


class TextType(click.ParamType[str]):
    """Text that files, records and messages can hold.  The shell hands over any bytes, and these need not be UTF-8."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            self.fail("this is not UTF-8", param, ctx)
        if size > _LONGEST_TEXT:
            self.fail(f"this has {size} bytes: write at most {_LONGEST_TEXT}", param, ctx)
        return text


STRATEGIES: Final = ("sha256", "legacy_base36", "tail2")
"""As ``tailramp.buckets.Strategy`` has them, without importing it for a help page."""


def known_slot(option: str, slot: str, slots: Iterable[str]) -> str:
    """``slot``, which ``option`` names.  Raises UsageError if it is none of ``slots``."""
    known = list(slots)
    if slot not in known:
        raise click.UsageError(f"{option} is {slot}: the slots are {', '.join(known)}")
    return slot


def bucket_function(
    salt: str | None, resolution: str | None, strategy: str | None, platform: Path | None
) -> "BucketFunction":
    """The function of the platform file, or of the options alone where they say enough.

    Raises UsageError, InvalidFile.
    """
    from tailramp.buckets import BucketFunction, Resolution, Strategy

    chosen: dict[str, Resolution] = {"100": 100, "10000": 10000}
    how = Strategy(strategy or Strategy.SHA256)
    try:
        if salt is not None or not how.is_salted:
            return BucketFunction(salt or "", chosen[resolution or "100"], how)
        identity = identity_of(platform)
        how = Strategy(strategy or identity.strategy)
        lists = {"allow": identity.allow, "deny": identity.deny}
        return BucketFunction(identity.salt, chosen[resolution] if resolution else identity.resolution, how, **lists)
    except ValueError as error:
        raise click.UsageError(f"{error}: it has 100 buckets") from None


def identity_of(platform: Path | None) -> "Identity":
    """How the platform file computes buckets.  Raises UsageError, InvalidFile."""
    from tailramp.spec import load_platform

    try:
        path = find_platform(platform)
    except click.UsageError as error:
        raise click.UsageError(f"Which salt? Give --salt. {error.message}") from None
    return load_platform(path).identity


def platform_option(function: Function) -> Function:
    """``--platform FILE``, as the argument ``platform``."""
    return click.option(
        "--platform",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"The platform file; else {CANARY.parent / PLATFORM_NAME}, else ${PLATFORM_VARIABLE}.",
    )(function)


def wait_option(function: Function) -> Function:
    """``--wait D``, as the argument ``wait``: a timedelta or None."""
    return click.option(
        "--wait", type=DurationType(), help="Follow it until the target is reached, at most so long: 2h."
    )(function)


def override_option(function: Function) -> Function:
    """``--override REASON``, as the argument ``override``."""
    return click.option(
        "--override", type=TextType(), metavar="REASON", help="Try a candidate again that was taken out before."
    )(function)


def route_argument(function: Function) -> Function:
    """``[ROUTE]``, as the argument ``route``: a full name or None."""
    return click.argument("route", type=RouteType(), required=False)(function)


def platform_beside(canary: Path, given: Path | None) -> Path:
    """The platform file that goes with the researcher's file ``canary``.

    Raises UsageError if there is none, InvalidFile if there is neither.
    """
    beside = canary.parent / PLATFORM_NAME
    if beside.exists():
        if given is not None and given.resolve() != beside.resolve():
            raise click.UsageError(
                f"--platform names {given}, but {beside} lies beside {canary} and goes with it. Leave --platform out, "
                "or keep the pair you mean in a folder of its own"
            )
        return beside
    found = given or _from_environment()
    if found is not None:
        return found
    if not canary.exists():
        mend = "Name the researcher's file; `tailramp init` writes one to start from"
        raise InvalidFile([Problem("(file)", "there is no such file", mend, file=canary)])
    raise click.UsageError(f"There is no platform file: {beside} does not exist. {_MEND}")


def find_platform(given: Path | None) -> Path:
    """The platform file of a command that needs no researcher's file.  Raises UsageError if there is none."""
    found = given or _nearby() or _from_environment()
    if found is None:
        raise click.UsageError(f"There is no platform file: {CANARY.parent / PLATFORM_NAME} does not exist. {_MEND}")
    return found


def resolve_route(route: str | None, platform: Path | None) -> str:
    """``route``, or the route of the platform file.  Raises UsageError if neither is there, InvalidFile."""
    if route is not None:
        return route
    try:
        path = find_platform(platform)
    except click.UsageError as error:
        raise click.UsageError(f"Which route? Name it, as in `default/chat`. {error.message}") from None
    from tailramp.spec import load_platform

    return load_platform(path).route.full_name


_MEND = f"Name one with --platform or ${PLATFORM_VARIABLE}"


def _nearby() -> Path | None:
    path = CANARY.parent / PLATFORM_NAME
    return path if path.exists() else None


def _from_environment() -> Path | None:
    value = os.environ.get(PLATFORM_VARIABLE)
    return Path(value) if value else None
