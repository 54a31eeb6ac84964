"""The route: its record, what its data plane serves, how its gateway answers, and where its evidence comes from."""

import email.utils
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli import files
from cli.doctor.findings import Result, finding, good, unseen
from tailramp.errors import InvalidFile, Refused, TailrampError
from tailramp.evidence import Check, gateway_errors
from tailramp.proof import Answer
from tailramp.spec import EnvoyFileRouter, GatewayLabelRouter, PlatformFile, RampSpec, load_spec

if TYPE_CHECKING:
    import aiohttp

    from activities.routers import Router
    from tailramp.route_record import RouteRecord

_MOST_SKEW: Final = 2.0
"""Seconds; a signed probe is refused at ten."""


async def examine_route(platform: PlatformFile, canary: Path, sentinel: str | None) -> AsyncIterator[Result]:
    import aiohttp

    from activities.clients import Clients
    from activities.routers import make_router
    from cli.doctor.cluster_side import examine_cluster
    from cli.doctor.servers_side import examine_servers

    async with aiohttp.ClientSession() as http, Clients(http) as clients:
        router = make_router(platform, clients)
        record = None
        try:
            record = await router.record()
        except TailrampError as error:
            mend = "Mend router.file, or let the gateway render it anew"
            if not isinstance(platform.router, EnvoyFileRouter):
                mend = "Check route, router and the kubeconfig that this process uses"
            yield finding("route", str(error), mend)
        if record is not None:
            for result in _record(record, platform):
                yield result
            for result in await _data_plane(platform, router):
                yield result
        if isinstance(platform.router, EnvoyFileRouter):
            yield _writable(platform.router.file)
        else:
            for result in await _objects(platform, record, router):
                yield result
            async for result in examine_cluster(platform, record, clients.kube(platform.router.context)):
                yield result
        async for result in _gateway(platform, record, http):
            yield result
        for result in (*await _slots(platform, record, http), *await examine_servers(platform, record, clients)):
            yield result
        if record is not None:
            async for result in _prometheus(platform, record.assignment.default, canary):
                yield result
        for name, url in (("gateway", platform.router.gateway), ("Prometheus", platform.prometheus.url)):
            yield await _clock(name, url, http)
        yield await _sentinel(sentinel, http)


async def _data_plane(platform: PlatformFile, router: "Router") -> list[Result]:
    """What the data plane says of the assignment that the record holds."""
    if isinstance(platform.router, EnvoyFileRouter):
        mend = "Look for update_rejected in Envoy's log, and make Envoy watch this file"
    else:
        mend = "Look at the object's conditions, and at who else writes it"
    try:
        findings = (await router.read()).loaded.findings
    except TailrampError as error:
        return [] if isinstance(platform.router, GatewayLabelRouter) else [finding("gateway", str(error), mend)]
    results = []
    for said in findings:
        text = f"{said.question}: {said.answer} ({said.seen})"
        if said.answer is Answer.YES:
            results.append(good("gateway", text))
        elif not isinstance(platform.router, GatewayLabelRouter):  # of whose gateways preflight says what to mend
            results.append(finding("gateway", text, mend))
    return results


def _record(record: "RouteRecord", platform: PlatformFile) -> list[Result]:
    results = []
    if record.route != platform.route.full_name:
        text = f"the route file holds {record.route}, the platform file names {platform.route.full_name}"
        results.append(finding("route", text, "Every route has a file of its own: check route and router.file"))
    for word, mark in (("shut off", record.kill), ("frozen", record.freeze)):
        if mark is not None:
            text = f"{record.route} is {word} by {mark.by}: {mark.reason or 'no reason given'}"
            results.append(finding("route", text, f"`tailramp lift {record.route} --reason ...` once that is over"))
    if record.candidates and record.closed:
        text = f"{', '.join(record.candidates)} is served, and the ramp that did it is over"
        results.append(finding("route", text, f"`tailramp kill {record.route}` puts everyone back"))
    for slot, lease in record.leases.items():
        if lease.reason is not None:
            text = f"the lease of {slot} was shortened ({lease.reason}), and nobody has rolled back yet"
            results.append(finding("route", text, "Run the sentinel and the workers; `tailramp kill` acts at once"))
    if not results:
        served = ", ".join(record.candidates) or "nobody else"
        results.append(good("route", f"{record.route}: default {record.assignment.default}, candidates: {served}"))
    return results


async def _objects(platform: PlatformFile, record: "RouteRecord | None", router: "Router") -> list[Result]:
    """What preflight would say of the objects, the rights and the Services, whichever slot is tried next."""
    from tailramp.buckets import BucketSet
    from tailramp.plan import Plan, Variant

    slots = list(platform.slots)
    live = record.assignment.default if record is not None else slots[0]
    results: dict[Result, None] = {}
    for slot in slots:
        if slot == live:
            continue
        variant = Variant(slot=slot, model="", buckets=BucketSet.parse("00"))
        plan = Plan(
            route=platform.route.full_name,
            baseline=live,
            candidates=(variant,),
            steps=(),
            promotes=False,
            bake=platform.ramp.bake,
        )
        try:
            problems = await router.preflight(plan)
        except TailrampError as error:
            return [finding("route", str(error), "Mend that first")]
        results |= dict.fromkeys(finding("route", f"{p.field}: {p.reason}", p.mend) for p in problems)
    if results:
        return list(results)
    return [
        good("route", f"{router.place}: the objects, the Services and what this process may do are as a ramp needs")
    ]


def _writable(file: Path) -> Result:
    """Whoever replaces a file by renaming needs to write its folder, and ``pending/`` in it."""
    folder = file.parent
    for place in (folder, folder / "pending", folder / "clearing", folder / "ready"):
        if place.exists() and not os.access(place, os.W_OK | os.X_OK):
            return finding("route", f"{place} cannot be written from here", f"Give this user write access to {place}")
    if not folder.exists():
        return finding("route", f"there is no folder {folder}", "Check router.file")
    return good("route", f"{folder} and its pending/ can be written")


async def _gateway(
    platform: PlatformFile, record: "RouteRecord | None", http: "aiohttp.ClientSession"
) -> AsyncIterator[Result]:
    from activities.preflight import bucket_problems
    from activities.probe import Prober

    prober = Prober(platform, http)
    if prober.signs:
        compared = await prober.compare_buckets()
        for problem in bucket_problems(compared):
            yield finding("gateway", f"{problem.field}: {problem.reason}", problem.mend)
        if compared.answer is Answer.YES:
            count = len(compared.findings)
            yield good("gateway", f"signed probes are echoed, and {count} ids fall into the buckets computed here")
    else:
        yield unseen("gateway", "signed probes: the platform file has no router.probeSecret")
    if record is None:
        return
    probed = await prober.probe(record.assignment)
    wrong = [said for said in probed.findings if said.answer is not Answer.YES]
    for said in wrong[:3]:
        mend = "Check router.gateway, router.probePath and that the route sets X-Tailramp-Variant"
        yield finding("gateway", f"{said.question}: {said.answer} ({said.seen})", mend)
    if not wrong:
        yield good("gateway", f"{len(probed.findings)} probes are answered as the record says, forged headers too")


async def _slots(platform: PlatformFile, record: "RouteRecord | None", http: "aiohttp.ClientSession") -> list[Result]:
    from activities.preflight import public_name_problems
    from activities.surroundings import served_models

    served = await served_models(http, platform)
    results = [_slot(slot, platform.slots[slot].url, models) for slot, models in served.items()]
    live = record.assignment.default if record is not None else ""
    if live in served:
        answering = [slot for slot, models in served.items() if slot != live and models]
        problems = public_name_problems(platform, served, live, answering)
        results += [finding("slots", f"{problem.where}: {problem.reason}", problem.mend) for problem in problems]
    return results


def _slot(slot: str, url: str, models: frozenset[str]) -> Result:
    if models:
        return good("slots", f"{slot} serves {', '.join(sorted(models))}")
    return finding("slots", f"{slot} at {url} does not answer /v1/models", "Start it, or mend slots.*.url")


async def _prometheus(platform: PlatformFile, baseline: str, canary: Path) -> AsyncIterator[Result]:
    from activities.metrics import PrometheusMetrics
    from activities.users import users_problems
    from tailramp.checks import slot_match

    spec = _spec_beside(canary)
    checks, of = _checks(platform, spec, canary)
    settings = platform.prometheus
    try:
        metrics = PrometheusMetrics.of(settings)
    except Refused as error:
        yield finding("Prometheus", str(error), "Set it here, or run this where the worker runs")
        return
    try:
        problems = await metrics.preflight(checks, slot_match(platform, baseline), int(time.time()))
        problems += await users_problems(metrics, platform, baseline, int(time.time())) if not problems else []
    finally:
        metrics.close()
    for problem in problems:
        yield finding("Prometheus", f"{problem.field}: {problem.reason}", problem.mend)
    if not problems:
        names = ", ".join(check.name for check in checks)
        yield good("Prometheus", f"{settings.url} answers for {baseline}: {names} ({of})")
        if spec is not None and platform.checks.sequential.history is not None:
            async for result in _users_before(spec, baseline):
                yield result


async def _users_before(spec: RampSpec, baseline: str) -> AsyncIterator[Result]:
    """By which checks a ramp that began now would know its users, and by which it would not; none if none would ask."""
    from activities.time_before import known_before
    from tailramp.checks import checks_by_slot
    from tailramp.planning import make_plan
    from tailramp.replay.source import seats_of
    from tailramp.time_before import users_said, why_not

    default, candidates = seats_of(spec, baseline)
    plan = make_plan(spec, default=default, candidates=candidates)
    tested = [check.name for checks in checks_by_slot(spec, plan).values() for check in checks if check.is_sequential]
    if not tested:
        return
    known = await known_before(spec, plan)
    said = users_said(plan, tested, known)
    if known:
        yield good("Prometheus", said)
    elif why_not(plan, plan.steps[0].assignment):
        mend = "Let the first step name whole values of the label, or leave checks.sequential.history out"
        yield finding("Prometheus", said, mend)
    else:
        mend = "Name the label that tells the users' buckets, or leave checks.sequential.history out"
        yield finding("Prometheus", said, mend)


def _spec_beside(canary: Path) -> RampSpec | None:
    try:
        return load_spec(canary, canary.parent / files.PLATFORM_NAME)
    except (InvalidFile, OSError):
        return None


def _checks(platform: PlatformFile, spec: RampSpec | None, canary: Path) -> tuple[tuple[Check, ...], str]:
    """The checks of the researcher's file beside, or the one that needs none."""
    from tailramp.checks import all_checks

    if spec is None:
        return (gateway_errors(platform.checks.max_errors or 0.05),), "without a researcher's file"
    return all_checks(spec), str(canary)


async def _clock(name: str, url: str, http: "aiohttp.ClientSession") -> Result:
    import aiohttp

    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=3), allow_redirects=False) as response:
            said = response.headers.get("Date", "")
    except (aiohttp.ClientError, TimeoutError) as error:
        return unseen("clocks", f"the clock of {name} is not known ({str(error) or type(error).__name__})")
    try:
        skew = abs(email.utils.parsedate_to_datetime(said).timestamp() + 0.5 - time.time())
    except (ValueError, TypeError):
        return unseen("clocks", f"the clock of {name} is not known (it sends no Date)")
    if skew > _MOST_SKEW:
        text = f"the clock of {name} and the one here are {skew:.0f} s apart"
        return finding("clocks", text, "Synchronise both with NTP: a signed probe is refused at 10 s")
    return good("clocks", f"the clock of {name} agrees with the one here")


async def _sentinel(url: str | None, http: "aiohttp.ClientSession") -> Result:
    import aiohttp

    if url is None:
        return unseen("sentinel", "whether one runs: name its address with --sentinel (its TAILRAMP_SENTINEL_HTTP)")
    mend = "Run `tailramp sentinel`; two of them, on different machines where the files are shared"
    try:
        async with http.get(f"{url.rstrip('/')}/readyz", timeout=aiohttp.ClientTimeout(total=3)) as response:
            if response.status == 200:
                return good("sentinel", f"{url} is ready")
            return finding("sentinel", f"{url} is not ready: {(await response.text())[:200]}", mend)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return finding("sentinel", f"{url} does not answer: {str(error) or type(error).__name__}", mend)
