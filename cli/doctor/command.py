"""The command ``tailramp doctor``."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import files
from cli.console import Console, one_line, output_option
from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cli.doctor.findings import Result

_MARKS = {"good": "ok", "finding": "!!", "unseen": "??"}


@click.command("doctor")
@files.platform_option
@click.option("--sentinel", metavar="URL", help="Where a sentinel serves /readyz.")
@output_option
@click.pass_obj
def doctor_command(console: Console, platform: Path | None, sentinel: str | None) -> ExitCode:
    """Check the surroundings of a route.

    Temporal, its search attributes and workers; the route file, its marks and leases; what the gateway has loaded and
    how it answers signed probes and forged headers; the slots; every query of the checks; clocks. It reads and sends
    probes, and changes nothing. Without a platform file only Temporal is looked at.

    Each finding comes with its mend. Exits with 5 if there is any.
    """
    results = asyncio.run(_examined(console, platform, sentinel))
    found = [result for result in results if result.state == "finding"]
    data = [
        {"area": result.area, "state": str(result.state), "text": result.text, "mend": result.mend or None}
        for result in results
    ]
    summary = f"{len(found)} of {len(results)} need mending" if found else f"all is well, {len(results)} looked at"
    console.answer(summary, {"results": data})
    return ExitCode.REFUSED if found else ExitCode.DONE


async def _examined(console: Console, platform: Path | None, sentinel: str | None) -> "list[Result]":
    results = []
    async for result in _examinations(platform, sentinel):
        results.append(result)
        if not console.is_json:
            say = console.say
            line = f"{_MARKS[result.state]}  {say(result.area)}: {say(one_line(result.text))}"
            console.answer(f"{line}\n    → {say(result.mend)}" if result.mend else line, None, said=True)
    return results


async def _examinations(platform: Path | None, sentinel: str | None) -> "AsyncIterator[Result]":
    from cli.doctor.findings import unseen
    from cli.doctor.route_side import examine_route
    from cli.doctor.temporal_side import examine_temporal
    from tailramp.spec import load_platform

    async for result in examine_temporal():
        yield result
    try:
        path = files.find_platform(platform)
    except click.UsageError as error:
        yield unseen("route", error.message)
        return
    async for result in examine_route(load_platform(path), path.parent / files.CANARY.name, sentinel):
        yield result
