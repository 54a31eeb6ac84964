"""A watch learns from a real Prometheus what its users were like before the ramp, and one that comes back, the same."""

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from living_route import LivingRoute
from running_watch import ASSIGNMENT, RunningWatch, request_for, watching
from temporalio.testing import ActivityEnvironment

from activities.metrics import PrometheusMetrics
from activities.observing import users_before
from activities.preflight import PreflightActivities
from activities.time_before import known_before, read_time_before
from cli.doctor.route_side import _users_before
from cli.record_command import _Asked, _earlier, _header_of_time
from lab.process import wait_until
from lab.prometheus_server import PrometheusServer
from lab.sample_route import on_green
from tailramp.activity_contract import WatchRequest
from tailramp.dossiers import dossiers_of
from tailramp.evidence.kept import TimeBefore
from tailramp.evidence.sequential.dossier import teach
from tailramp.plan import Step
from tailramp.planning import make_plan
from tailramp.ramp import Began
from tailramp.spec import CanaryFile, PlatformFile, RampSpec

_HOURS = 4
_LIVE = 900
KNOWN = "its users are known from before the ramp"


def past(now: int) -> Iterator[str]:
    """Scored answers by bucket: a healthy service, on which the first ten buckets are more toxic than the others.

    All are served by blue until ten minutes ago, then the first ten by green; it goes on into the future.
    """
    random = np.random.default_rng(4)
    times = range(now - _HOURS * 3600, now + _LIVE, 5)
    counts: dict[str, dict[str, list[int]]] = {"scored": {}, "toxic": {}}
    for bucket in range(20):
        n = random.poisson(5, len(times))
        x = random.binomial(n, 0.04 if bucket < 10 else 0.02)
        old = np.array(times) < now - 600
        for slot, mine in (("blue", old | (bucket >= 10)), ("green", ~old & (bucket < 10))):
            labels = f'slot="{slot}",instance="{slot}-1",bucket="{bucket:02}"'
            counts["scored"][labels] = (n * mine).cumsum().tolist()
            counts["toxic"][labels] = (x * mine).cumsum().tolist()
    for kind, series in counts.items():
        yield f"# TYPE llm_answers_{kind} counter\n"
        for labels, values in series.items():
            for at, value in zip(times, values, strict=True):
                yield f"llm_answers_{kind}_total{{{labels}}} {value} {at}\n"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def with_a_past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    folder = tmp_path_factory.mktemp("prometheus")
    file = folder / "past.om"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(past(int(time.time())))
    server = PrometheusServer(folder, {}, retention="2d")
    server.remember(file)
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def prometheus(with_a_past: PrometheusServer) -> PrometheusServer:
    return await with_a_past.start()


async def request_of(route: LivingRoute, prometheus: PrometheusServer, label: str = "bucket") -> WatchRequest:
    request = await request_for(route, ago=300, tick=1)
    written = request.spec.platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    written["prometheus"]["url"] = prometheus.url
    written["checks"] |= {
        "maxErrors": None,
        "judges": ["sequential"],
        "sequential": {"history": {"bucketLabel": label, "period": "3h"}},
    }
    canary = {"canary": {"model": "chat-v2", "buckets": "00-49", "maxToxicity": 0.2}}
    spec = RampSpec(canary=CanaryFile.model_validate(canary), platform=PlatformFile.model_validate(written))
    # Green has served for ten minutes: what was before that was the baseline alone.
    began = Began(at=request.anchor - 300, assignment=ASSIGNMENT)
    return request.model_copy(update={"spec": spec, "began": began, "since": request.anchor})


def evidence_at(watch: RunningWatch) -> dict[str, tuple[float, str]]:
    return {
        table["tick"]: (verdict["numbers"]["evidence"], verdict["reason"])
        for table in watch.tables
        for verdict in table["verdicts"]
    }


@pytest.mark.timeout(240)
async def test_a_watch_that_comes_back_knows_the_users_as_one_that_never_died(
    route: LivingRoute, prometheus: PrometheusServer
) -> None:
    request = await request_of(route, prometheus)
    async with watching(route, request) as straight:
        await wait_until(lambda: straight.tables, 60, "the first watch looks")
        async with watching(route, request) as again:
            await wait_until(
                lambda: len(evidence_at(straight).keys() & evidence_at(again).keys()) > 1, 60, "both have looked"
            )
            told, retold = evidence_at(straight), evidence_at(again)
            assert not straight.task.done()
            assert not again.task.done()
    for tick in told.keys() & retold.keys():
        assert told[tick] == retold[tick]
        assert KNOWN in told[tick][1]


async def asked_first(route: LivingRoute, request: WatchRequest) -> str | None:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, started_time=datetime.now(UTC))
    preflight = PreflightActivities(route.clients)
    found: str | None = await environment.run(preflight._users, request.spec, request.plan)
    return found


@pytest.mark.timeout(240)
async def test_every_watch_of_a_ramp_is_told_what_was_answered_before_it_moved_anybody(
    route: LivingRoute, prometheus: PrometheusServer
) -> None:
    request = await request_of(route, prometheus)
    known = await asked_first(route, request)
    assert known
    assert list(TimeBefore.read(known).kept["green"]) == ["toxicity"]
    # Asked again, Prometheus would know of no such label.
    other = await request_of(route, prometheus, label="tenant")
    assert await asked_first(route, other) != known
    seen = {}
    for users in (known, ""):
        for attempt in (1, 2):
            told = other.model_copy(update={"users": users})
            async with watching(route, told, attempt=attempt) as watch:
                await wait_until(lambda watch=watch: evidence_at(watch), 60, "the watch judges")
                seen[users, attempt] = evidence_at(watch)
    for users in (known, ""):
        first, second = seen[users, 1], seen[users, 2]
        assert all((KNOWN in reason) is bool(users) for told in (first, second) for _, reason in told.values())
    await prometheus.stop()
    assert await asked_first(route, request) == ""


@pytest.mark.timeout(240)
async def test_users_are_told_apart_by_the_label_and_only_if_there_is_one(
    route: LivingRoute, prometheus: PrometheusServer
) -> None:
    request, other = await request_of(route, prometheus), await request_of(route, prometheus, label="tenant")
    metrics = PrometheusMetrics.of(request.spec.platform.prometheus)
    try:
        earlier = await read_time_before(metrics, request.spec, request.plan, request.began)
        assert await read_time_before(metrics, request.spec, request.plan, None) is None
        nothing = await read_time_before(metrics, other.spec, other.plan, other.began)
    finally:
        metrics.close()
    assert earlier is not None
    assert nothing is not None
    assert earlier.shares == {"green": (10.0, 90.0)}
    assert list(earlier.kept["green"]) == ["toxicity"]
    assert not nothing.kept
    rows = [row for row in earlier.kept["green"]["toxicity"].rows if not isinstance(row, str)]
    assert len(rows) == 36
    n_c, x_c, n_b, x_b = (sum(row[place] or 0.0 for row in rows) for place in range(4))
    assert n_c == pytest.approx(3 * 3600 * 10, rel=0.03)
    assert n_b == pytest.approx(3 * 3600 * 10, rel=0.03)
    assert x_c / n_c == pytest.approx(0.04, rel=0.1)
    assert x_b / n_b == pytest.approx(0.02, rel=0.1)
    dossiers = dossiers_of(request.spec, request.plan, request.anchor)
    teach(dossiers, earlier)
    assert dossiers["green", "toxicity"].knows_users
    assert await _earlier(request.spec, request.plan, request.began) == earlier, "a recording keeps what the watch knew"
    since = datetime.fromtimestamp(request.anchor, UTC)
    header = await _header_of_time(_Asked(request.spec, since, datetime.now(UTC), None, None))
    assert header.users == make_plan(request.spec, default="blue", candidates=["green"]).steps[0].assignment
    assert header.earlier is not None
    assert list(header.earlier.kept["green"]) == ["toxicity"]
    assert header.earlier_of(header.users) == header.earlier
    assert await known_before(request.spec, request.plan) == frozenset({"toxicity"})
    assert await known_before(other.spec, other.plan) == frozenset()
    (found,), (missed,) = [
        [result async for result in _users_before(asked, "blue")] for asked in (request.spec, other.spec)
    ]
    assert (found.text, found.mend) == ("the users are known from before the ramp by toxicity", "")
    assert "too little was counted by bucket" in missed.text
    assert "label" in missed.mend


@pytest.mark.timeout(240)
async def test_who_only_observes_knows_the_users_if_the_candidate_serves_those_of_the_first_step_alone(
    route: LivingRoute, prometheus: PrometheusServer
) -> None:
    request = await request_of(route, prometheus)
    metrics, now = PrometheusMetrics.of(request.spec.platform.prometheus), int(time.time())
    try:
        for buckets, known in (("00-09", True), ("00-04", False), ("10-19", False)):
            plan = request.plan.model_copy(
                update={"steps": (Step(index=1, assignment=on_green(buckets), hold=timedelta(hours=1)),)}
            )
            found = await users_before(metrics, request.spec, plan, now)
            assert found is not None
            assert bool(found.kept) is known
    finally:
        metrics.close()
