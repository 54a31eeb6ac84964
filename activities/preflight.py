"""Preflight: everything that can be found out before a user is moved is found out here.

What cannot work is refused in words that say what to mend.  Only when nothing is left to mend is the route taken over,
as the last act.
"""

from collections.abc import Mapping, Sequence

from temporalio import activity

from activities.clients import Clients
from activities.clock import server_clock
from activities.heartbeat import heartbeating
from activities.probe import Prober
from activities.routers import Change, Router, make_router
from activities.surroundings import served_models
from activities.time_before import read_time_before
from activities.traffic import final_refusals
from activities.users import users_problems
from tailramp.activity_contract import PreflightReport, PreflightRequest
from tailramp.activity_names import PREFLIGHT
from tailramp.checks import all_checks, slot_match
from tailramp.errors import Fenced, Problem, Refused, Unreachable
from tailramp.evidence.ledger import MOST_BYTES
from tailramp.forms import SlotName
from tailramp.placing import serving
from tailramp.plan import Plan
from tailramp.planning import make_plan
from tailramp.proof import Answer, Evidence
from tailramp.ramp import Began
from tailramp.route_record import OffAnswer, RouteRecord, SlotRecord, taken_over
from tailramp.spec import PlatformFile, RampSpec


def take_over(plan: Plan, request: PreflightRequest) -> Change:
    """The change of the record by which the ramp becomes its holder."""
    return lambda record: taken_over(
        record,
        ramp=request.ramp,
        baseline=plan.baseline,
        candidates={
            variant.slot: SlotRecord(model=variant.model, digest=request.spec.candidate_of(variant.model).digest)
            for variant in plan.candidates
        },
        override=request.override,
        data_plane=request.spec.platform.router.data_plane,
        off_answer=OffAnswer(status=request.spec.platform.off.status, message=request.spec.platform.off.message),
    )


class PreflightActivities:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @activity.defn(name=PREFLIGHT)
    async def preflight(self, request: PreflightRequest) -> PreflightReport:
        """Check, plan and take the route over; or say everything that is in the way."""
        async with heartbeating("checking"), final_refusals():
            router = make_router(request.spec.platform, self._clients)
            try:
                plan, problems = await self._examine(router, request.spec)
                if plan is None or problems:
                    return PreflightReport(problems=tuple(str(problem) for problem in problems))
                users = await self._users(request.spec, plan)
                snapshot = await router.snapshot()
                record = await router.prepare(take_over(plan, request), plan.ruled_slots)
            except Fenced:
                raise
            except (Refused, Unreachable) as error:
                return PreflightReport(problems=(str(error),))
            return PreflightReport(
                plan=plan, epoch=record.epoch, applied=record.assignment, snapshot=snapshot, users=users
            )

    async def _users(self, spec: RampSpec, plan: Plan) -> str | None:
        """What is known of the first step's users, asked once: whoever asks again may be told something else."""
        if spec.platform.checks.sequential.history is None:
            return None
        settings = spec.platform.prometheus
        began = Began(at=int(server_clock()() - settings.lag), assignment=plan.steps[0].assignment)
        earlier = await read_time_before(self._clients.prometheus(settings), spec, plan, began)
        written = "" if earlier is None else earlier.written()
        return written if len(written) <= MOST_BYTES else None

    async def _examine(self, router: Router, spec: RampSpec) -> tuple[Plan | None, list[Problem]]:
        record = await router.record()
        slots, problems = await self._find_candidates(spec, record)
        if slots is None:
            return None, problems
        plan = make_plan(spec, default=record.assignment.default, candidates=slots)
        problems += await router.preflight(plan)
        if problems:
            return plan, problems
        problems += await self._probe(spec, plan)
        problems += await unanswered_checks(self._clients, spec, plan)
        return plan, problems

    async def _find_candidates(
        self, spec: RampSpec, record: RouteRecord
    ) -> tuple[list[SlotName] | None, list[Problem]]:
        """The free slot that serves each candidate's model; the live one is what the route says, never a file."""
        live, slots = record.assignment.default, spec.platform.slots
        if live not in slots:
            mend = f"Add the slot {live} to the platform file"
            return None, [Problem("slots", f"the route is served by {live}, which the file does not know", mend)]
        served = await served_models(self._clients.http, spec.platform)
        free = [slot for slot in slots if slot != live]
        found: list[SlotName] = []
        problems: list[Problem] = []
        for index, candidate in enumerate(spec.candidates):
            at = "canary" if spec.canary.canary is not None else f"canaries[{index}]"
            called = spec.platform.models.served_as(candidate.model)
            if called in served[live]:
                reason, mend = f"is already the baseline in slot {live}", "Nothing to do: it serves everyone already"
            elif slot := serving(called, free, served, found):
                found.append(slot)
                continue
            else:
                seen = ", ".join(
                    f"{slot} serves {'/'.join(sorted(served[slot])) or 'nothing that answers'}" for slot in free
                )
                reason, mend = (
                    f"no free slot serves it: {seen}",
                    "Deploy the model into a free slot, and wait until it answers",
                )
            problems.append(Problem(f"{at}.model", reason, mend, value=candidate.model))
        if problems:
            return None, problems
        problems = baseline_problems(spec.platform, live, served[live])
        return found, problems + public_name_problems(spec.platform, served, live, found)

    async def _probe(self, spec: RampSpec, plan: Plan) -> list[Problem]:
        """The gateway computes our buckets, everyone is served by the baseline now, and the gateway says who served."""
        prober = Prober(spec.platform, self._clients.http, now=server_clock())
        if prober.signs and (problems := bucket_problems(await prober.compare_buckets())):
            return problems
        evidence = await prober.probe(plan.baseline_only)
        mend = "Check router.gateway, router.probePath and that the route sets X-Tailramp-Variant"
        return [
            Problem("router.gateway", f"{finding.question}: {finding.answer} ({finding.seen})", mend)
            for finding in evidence.findings
            if finding.answer != "yes"
        ]


async def unanswered_checks(clients: Clients, spec: RampSpec, plan: Plan) -> list[Problem]:
    """What keeps a check from being answered for the baseline."""
    settings = spec.platform.prometheus
    try:
        metrics = clients.prometheus(settings)
    except Refused as error:
        return [Problem("prometheus", str(error), "Give every worker the secrets that the platform file names")]
    at = int(server_clock()() - settings.ingestion_delay.total_seconds())
    problems = await metrics.preflight(all_checks(spec), slot_match(spec.platform, plan.baseline), at)
    return problems or await users_problems(metrics, spec.platform, plan.baseline, at)


def baseline_problems(platform: PlatformFile, live: str, models: frozenset[str]) -> list[Problem]:
    """What is wrong with a baseline that answers with ``models``: nothing, unless there are none."""
    if models:
        return []
    reason = f"the baseline {live} does not answer, so there would be nothing to go back to"
    return [Problem(f"slots.{live}.url", reason, "Mend the baseline first", value=platform.slots[live].url)]


def bucket_problems(compared: Evidence) -> list[Problem]:
    """At most two: what differs, and what could not be asked, each with its first example."""
    causes = {
        Answer.NO: ("identity", "Give gateway and platform file the same strategy, salt and resolution"),
        Answer.UNKNOWN: (
            "router.probeSecret",
            "Give worker and gateway the same secret, route name and probe path, and look at their clocks",
        ),
    }
    problems = []
    for answer, (field, mend) in causes.items():
        if found := [finding for finding in compared.findings if finding.answer is answer]:
            first, others = found[0], f"; {len(found) - 1} more like this" if len(found) > 1 else ""
            problems.append(Problem(field, f"{first.question}: {answer} ({first.seen}){others}", mend))
    return problems


def public_name_problems(
    platform: PlatformFile, served: Mapping[SlotName, frozenset[str]], live: SlotName, candidates: Sequence[SlotName]
) -> list[Problem]:
    """What would answer users that there is no such model, although its server is well.

    Requests name the public model whoever serves them. A server that goes by names lists it; of one that takes any
    name, the baseline's list does not have it either, and nothing can be told.
    """
    name = platform.route.public_model
    if name is None or name not in served[live]:
        return []
    mend = f"Let the server answer to {name} as well, as `vllm serve --served-model-name` with several names does"
    return [
        Problem(
            "route.publicModel",
            f"{live} answers to it, but {slot} only to {', '.join(sorted(served[slot]))}",
            mend,
            value=name,
        )
        for slot in candidates
        if name not in served[slot]
    ]
