"""What a plan needs to know of the world, looked up where it can be and named where it cannot."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.route_document import RouteDocument
from tailramp.errors import Refused, TailrampError
from tailramp.forms import SlotName
from tailramp.placing import places, serving
from tailramp.planning import make_plan
from tailramp.route_record import RouteRecord
from tailramp.spec import EnvoyFileRouter, RampSpec

if TYPE_CHECKING:
    from activities.routers.kube import Binding


@dataclass(frozen=True)
class Sight:
    """A route that is made of objects: its record, what it is made of, and the main route as it stands."""

    record: RouteRecord
    binding: "Binding"
    main: dict[str, Any]


@dataclass
class World:
    """``unknown`` is what could not be looked up, one sentence each; ``problems`` are what preflight would refuse.

    ``candidates`` are the slots of the spec's candidates, in their order.  ``rates`` are the measured answers per
    second of the whole route, by check.  ``coming`` are the models that a ramp would first put into their slots.
    ``known`` are the checks that know the users from before the ramp; None if that was not asked.
    """

    default: SlotName
    candidates: list[SlotName]
    record: RouteRecord | None = None
    sight: Sight | None = None
    rates: dict[str, float | None] = field(default_factory=dict)
    rate_seconds: int = 0
    coming: dict[SlotName, str] = field(default_factory=dict)
    known: frozenset[str] | None = None
    unknown: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def from_files(spec: RampSpec) -> World:
    """What the route file beside this process says."""
    if not isinstance(spec.platform.router, EnvoyFileRouter):
        return _without_record(spec, "the route record is in the cluster, which was not asked")
    path = spec.platform.router.file
    try:
        record = RouteDocument.parse(path.read_text(encoding="utf-8")).record
    except (OSError, UnicodeDecodeError, TailrampError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return _without_record(spec, f"the route file {path} cannot be read ({why})")
    return _with_record(spec, record)


async def _from_router(spec: RampSpec) -> World:
    """What the route's record says, wherever it is."""
    from activities.routers import platform_record_router
    from activities.routers.kube import KubernetesRouter

    router = platform_record_router(spec.platform)
    try:
        world = _with_record(spec, await router.record())
        if isinstance(router, KubernetesRouter) and world.record is not None:
            binding, seen = await router.objects()
            if seen.main is not None:
                world.sight = Sight(world.record, binding, seen.main)
        return world
    except TailrampError as error:
        return _without_record(spec, str(error))
    finally:
        await router.close()


def _without_record(spec: RampSpec, why: str) -> World:
    """The first slots stand for the live one and the candidates', since shares, buckets and holds do not depend on
    them."""
    slots = list(spec.platform.slots)
    world = World(default=slots[0], candidates=slots[1 : 1 + len(spec.candidates)])
    world.unknown.append(f"which slot is live: {why}")
    return world


def _with_record(spec: RampSpec, record: RouteRecord) -> World:
    slots, count = list(spec.platform.slots), len(spec.candidates)
    default = record.assignment.default
    free = [slot for slot in slots if slot != default]
    world = World(default=default, candidates=free[:count], record=record)
    if default not in slots:
        world.problems.append(f"the route is served by {default}, which the platform file does not know")
    return world


async def look(spec: RampSpec) -> World:
    """What the route file, the slots' servers and Prometheus say now."""
    import aiohttp

    from activities.surroundings import measured_rates, served_models
    from activities.time_before import known_before

    world = from_files(spec) if isinstance(spec.platform.router, EnvoyFileRouter) else await _from_router(spec)
    slots = spec.platform.slots
    async with aiohttp.ClientSession() as http:
        served = await served_models(http, spec.platform)
        previous = world.record.previous_default if world.record is not None else None
        found = places(spec, world.default, served, previous)
        world.candidates = [place.slot for place in found] or world.candidates
        world.coming = {place.slot: place.model for place in found if not place.is_served}
        for index, candidate in enumerate(spec.candidates if not found else ()):
            _find_slot(world, index, candidate.model, spec.platform.models.served_as(candidate.model), served)
        if world.default in slots:
            measured = await measured_rates(spec, world.default)
            world.rates, world.rate_seconds = measured.rates, measured.seconds
            for check, fault in measured.faults.items():
                world.unknown.append(f"how many answers {check} counts: {fault}")
            if spec.platform.checks.sequential.history is not None:
                with contextlib.suppress(Refused):  # its reason has been told
                    world.known = await known_before(
                        spec, make_plan(spec, default=world.default, candidates=world.candidates)
                    )
    return world


def _find_slot(world: World, index: int, model: str, called: str, served: Mapping[SlotName, frozenset[str]]) -> None:
    if called in served.get(world.default, ()):
        world.problems.append(f"{model} is the baseline already, in slot {world.default}")
        return
    free = [slot for slot in served if slot != world.default]
    if slot := serving(called, free, served, world.candidates[:index]):
        world.candidates[index] = slot
        return
    silent = [slot for slot, models in served.items() if not models]
    if silent:
        names = ", ".join(silent)
        world.unknown.append(f"which slot serves {model}: {names} did not answer")
    else:
        world.problems.append(f"no free slot serves {model}: deploy it into one first")
