"""What is asked of the world before anybody is moved, by ramps, ``plan`` and ``doctor``: reading only, never failing.

Every answer is what was seen or, in words, why it could not be seen.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from activities.metrics import PrometheusMetrics
from tailramp.calibrating import with_matcher
from tailramp.checks import all_checks, slot_match
from tailramp.errors import Refused
from tailramp.forms import SlotName
from tailramp.spec import PlatformFile, RampSpec

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)


@dataclass(frozen=True)
class MeasuredRates:
    """``rates``: answers per second of the baseline, by check, over the last ``seconds``; None: no answer, see
    ``faults``."""

    seconds: int
    rates: dict[str, float | None]
    faults: dict[str, str]


async def models_of(http: aiohttp.ClientSession, url: str) -> frozenset[str]:
    """The model names that a slot's own server answers to; empty if it does not answer."""
    try:
        async with http.get(f"{url.rstrip('/')}/v1/models", timeout=_TIMEOUT) as response:
            response.raise_for_status()
            listed = await response.json(content_type=None)
        return frozenset(str(entry["id"]) for entry in listed["data"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        return frozenset()


async def served_models(http: aiohttp.ClientSession, platform: PlatformFile) -> Mapping[SlotName, frozenset[str]]:
    """The same of every slot."""
    answers = await asyncio.gather(*(models_of(http, slot.url) for slot in platform.slots.values()))
    return dict(zip(platform.slots, answers, strict=True))


async def measured_rates(
    spec: RampSpec, slot: str, *, matcher: str = "", seconds: int = 300, looks: int = 20
) -> MeasuredRates:
    """Count what each check counts for ``slot`` over the last ``seconds``, as the judges count it.

    ``matcher``: of the series that this label matcher selects only.
    """
    prometheus, match = spec.platform.prometheus, slot_match(spec.platform, slot)
    match = with_matcher(match, matcher, slot) if matcher else match
    checks = all_checks(spec)
    step = max(1, seconds // looks)
    end = int(time.time() - prometheus.scrape_interval.total_seconds())
    try:
        metrics = PrometheusMetrics.of(prometheus)
    except Refused as error:  # a secret that this process does not have
        names = [check.name for check in checks]
        return MeasuredRates(seconds, dict.fromkeys(names), dict.fromkeys(names, str(error)))
    try:
        readings = await metrics.read_range(checks, [match], end - seconds, end, step)
    finally:
        metrics.close()
    rates: dict[str, float | None] = {}
    faults: dict[str, str] = {}
    for check in checks:
        arm, fault, queries = check.arm(), "", check.queries(match)
        for number, reading in enumerate(readings):
            answers = {part: reading.answers[query] for part, query in queries.items()}
            fault = next((answer.fault for answer in answers.values() if answer.fault), "")
            if not fault:
                arm.take({part: answer.samples for part, answer in answers.items()}, starting=number == 0)
        rates[check.name] = None if fault else arm.total.n / (len(readings) - 1) / step
        if fault:
            faults[check.name] = fault
    return MeasuredRates(seconds=seconds, rates=rates, faults=faults)
