"""What a prober finds out about a real Envoy, and what it must not believe."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from activities.preflight import bucket_problems
from activities.probe import COMPARED_USERS, Prober
from gateway.envoy import EnvoyGateway
from gateway.route_document import RouteDocument
from lab.envoy_server import EnvoyServer
from lab.process import free_port
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.proof import Answer, Evidence
from tailramp.route_record import SlotRecord
from tailramp.spec import PlatformFile

ROUTE = "demo/chat"
SALT = "demo-2026"
SECRET = secrets.token_hex(32)
ENVIRONMENT = {"PROBE_SECRET": SECRET}


def serving(buckets: str, *segments: str) -> Assignment:
    return Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse(buckets), segments=segments),))


class Site:
    """One gateway in front of two slots, and probers of it."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.http = http
        self.requests: list[dict[str, str]] = []
        self.port = free_port()
        self.stack = AsyncExitStack()

    async def start(self, assignment: Assignment, **settings: Any) -> None:
        """A gateway that really serves `assignment`."""
        document = RouteDocument.initial(
            str(settings.get("route_config_name", ROUTE)),
            slots={"blue": SlotRecord(), "green": SlotRecord()},
            default="blue",
        )
        record = document.record.model_copy(update={"assignment": assignment})
        route_file = self.folder / "routes" / "route.json"
        route_file.parent.mkdir()
        route_file.write_text(document.with_record(record).text(), "utf-8")
        (self.folder / "secret").write_text(SECRET + "\n")
        gateway = EnvoyGateway.model_validate(
            {
                "listener_port": self.port,
                "admin_port": free_port(),
                "route_config_name": ROUTE,
                "route_file": route_file,
                "salt": SALT,
                "salt_id": "demo",
                "probe_secret_file": self.folder / "secret",
                "clusters": {slot: f"127.0.0.1:{await self._server()}" for slot in ("blue", "green")},
            }
            | settings
        )
        await self.stack.enter_async_context(EnvoyServer(self.folder / "envoy", gateway.bootstrap()))

    async def _server(self) -> int:
        async def models(request: web.Request) -> web.Response:
            self.requests.append({name.lower(): value for name, value in request.headers.items()})
            return web.json_response({"data": []})

        app = web.Application()
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    def prober(
        self,
        reference: str | None = "${PROBE_SECRET}",
        environment: dict[str, str] = ENVIRONMENT,
        now: Callable[[], float] = time.time,
        **identity: Any,
    ) -> Prober:
        slot = {"url": "http://127.0.0.1:1", "metrics": 'slot="x"', "gatewayMetrics": 'slot="x"'}
        router = {
            "kind": "envoy-file",
            "file": "/nowhere/route.json",
            "admin": "http://127.0.0.1:1",
            "gateway": f"http://127.0.0.1:{self.port}/",
            "probeSecret": reference,
        }
        platform = PlatformFile.model_validate(
            {
                "apiVersion": "tailramp/v1",
                "route": {"namespace": "demo", "name": "chat"},
                "router": router,
                "slots": {"blue": slot, "green": slot},
                "identity": {"salt": SALT, **identity},
                "prometheus": {"url": "http://127.0.0.1:1"},
            }
        )
        return Prober(platform, self.http, environment=environment, now=now)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with aiohttp.ClientSession() as http:
        site = Site(tmp_path, http)
        async with site.stack:
            yield site


def questions(evidence: Evidence) -> list[str]:
    return [finding.question for finding in evidence.findings]


async def test_the_edges_of_a_set_are_asked_for_and_so_is_everybody_else(site: Site) -> None:
    await site.start(serving("03-07,37"))
    evidence = await site.prober().probe(serving("03-07,37"))
    assert evidence.answer is Answer.YES, evidence.missing()
    assert evidence.proof == "probes"
    asked = questions(evidence)
    assert asked[:7] == [
        "bucket 03 is served by green",
        "bucket 07 is served by green",
        "bucket 37 is served by green",
        "bucket 02 is served by blue",
        "bucket 08 is served by blue",
        "bucket 36 is served by blue",
        "bucket 38 is served by blue",
    ]
    assert [question.partition(" ")[0] for question in asked[7:9]] == ["user", "user"]
    assert asked[9:] == ["a user without an id is served by blue", "a forged bucket 03 without an id is served by blue"]
    assert not any("tailramp" in name for request in site.requests for name in request)


@pytest.mark.parametrize(
    ("served", "planned", "wrong"),
    [
        ("03-06", "03-07", "bucket 07 is served by green: no (blue, status 200)"),
        ("03-08", "03-07", "bucket 08 is served by blue: no (green, status 200)"),
        ("04-07", "03-07", "bucket 03 is served by green: no (blue, status 200)"),
    ],
)
async def test_a_set_that_is_one_bucket_off_is_seen(site: Site, served: str, planned: str, wrong: str) -> None:
    await site.start(serving(served))
    evidence = await site.prober().probe(serving(planned))
    assert evidence.answer is Answer.NO
    assert wrong in evidence.missing()


async def test_the_ends_of_the_scale_and_scattered_sets_are_asked_for_within_bounds(site: Site) -> None:
    scattered = ",".join(f"{number:02d}" for number in range(0, 100, 3))
    for buckets, edges in (("00-99", ["00", "99"]), ("00", ["00", "01"]), (scattered, None)):
        asked = [
            question for question in questions(await site.prober().probe(serving(buckets))) if "bucket" in question
        ]
        signed = [question.split()[1] for question in asked if question.startswith("bucket ")]
        if edges is not None:
            assert signed == edges
        else:
            assert len(signed) == 16
            assert {"00", "99"} <= set(signed[:8])
            assert not set(signed[8:]) & set(BucketSet.parse(scattered))


async def test_four_digits_are_probed_as_two_are(site: Site) -> None:
    assignment = serving("0420-0455,9999")
    await site.start(assignment, resolution=10000)
    evidence = await site.prober(resolution=10000).probe(assignment)
    assert evidence.answer is Answer.YES, evidence.missing()
    assert questions(evidence)[:3] == [f"bucket {bucket} is served by green" for bucket in ("0420", "0455", "9999")]
    assert (await site.prober(resolution=10000).compare_buckets()).answer is Answer.YES


async def test_a_rule_for_segments_is_probed_with_and_without_them(site: Site) -> None:
    assignment = serving("00-04", "VIP", "NEW")
    await site.start(assignment)
    evidence = await site.prober().probe(assignment)
    assert evidence.answer is Answer.YES, evidence.missing()
    asked = questions(evidence)
    assert asked[:4] == [
        "bucket 00 with VIP is served by green",
        "bucket 04 with NEW is served by green",
        "bucket 05 with VIP is served by blue",
        "bucket 00 is served by blue",
    ]


async def test_members_are_probed_at_their_edges_too(site: Site) -> None:
    await site.start(serving("04"))
    evidence = await site.prober().probe_members(BucketSet.parse("00-04"), "blue")
    assert evidence.answer is Answer.NO
    assert "bucket 04 is served by blue: no (green, status 200)" in evidence.missing()


async def test_gateway_and_worker_compute_the_same_buckets(site: Site) -> None:
    await site.start(serving("00-49"))
    evidence = await site.prober().compare_buckets()
    assert evidence.answer is Answer.YES, evidence.missing()
    assert len(evidence.findings) == len(COMPARED_USERS) == 20
    assert "the gateway puts user 用户甲 into bucket 24" in questions(evidence)
    assert bucket_problems(evidence) == []


async def test_another_salt_in_the_gateway_is_seen_before_anybody_moves(site: Site) -> None:
    await site.start(Assignment(default="blue"), salt="demo-2025")
    evidence = await site.prober().compare_buckets()
    assert evidence.answer is Answer.NO
    (problem,) = bucket_problems(evidence)
    assert problem.field == "identity"
    assert "same strategy, salt and resolution" in problem.mend
    assert "more like this" in problem.reason


async def test_another_resolution_in_the_gateway_is_seen(site: Site) -> None:
    await site.start(Assignment(default="blue"), resolution=10000)
    evidence = await site.prober().compare_buckets()
    assert "the gateway puts user u1 into bucket 19: no (into 1950)" in evidence.missing()
    # And a probe that names a bucket of two digits is none there.
    probed = await site.prober().probe_members(BucketSet.parse("00"), "blue")
    assert probed.answer is Answer.UNKNOWN


async def test_another_identity_header_is_seen_where_signed_probes_are_blind(site: Site) -> None:
    await site.start(serving("00-49"), identity_header="X-Account")
    evidence = await site.prober().probe(serving("00-49"))
    (wrong,) = [finding for finding in evidence.findings if finding.answer is not Answer.YES]
    assert wrong.question.startswith("user tailramp-probe-")
    assert wrong.answer is Answer.NO


UNHEARD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another secret": ({}, {"environment": {"PROBE_SECRET": SECRET[::-1]}}),
    "no secret in the gateway": ({"probe_secret_file": None}, {}),
    "another route name": ({"route_config_name": "demo/other"}, {}),
    "another probe path": ({"probe_path": "/healthz"}, {}),
    "a clock ahead": ({}, {"now": lambda: time.time() + 60}),
    "a clock behind": ({}, {"now": lambda: time.time() - 60}),
}


@pytest.mark.parametrize(("gateway", "prober"), UNHEARD.values(), ids=UNHEARD.keys())
async def test_a_probe_that_was_not_accepted_proves_nothing(
    site: Site, gateway: dict[str, Any], prober: dict[str, Any]
) -> None:
    """Everyone is on blue, as asked: yet blue's answer to a refused probe is nobody's evidence."""
    await site.start(Assignment(default="blue"), **gateway)
    for evidence in (
        await site.prober(**prober).probe_members(BucketSet.parse("00-04"), "blue"),
        await site.prober(**prober).compare_buckets(),
    ):
        assert evidence.answer is Answer.UNKNOWN
        assert "status 200 without X-Tailramp-Probe-Echo: the gateway did not accept the probe" in evidence.missing()
    (problem,) = bucket_problems(evidence)
    assert problem.field == "router.probeSecret"
    assert "look at their clocks" in problem.mend


@pytest.mark.parametrize(
    ("environment", "words"),
    [({}, "PROBE_SECRET is not set"), ({"PROBE_SECRET": "hunter2"}, "has 7 bytes and needs at least 16")],
)
async def test_a_secret_that_cannot_be_had_leaves_signed_questions_unknown(
    site: Site, environment: dict[str, str], words: str
) -> None:
    await site.start(serving("00-04"))
    prober = site.prober(environment=environment)
    evidence = await prober.probe(serving("00-04"))
    assert evidence.answer is Answer.UNKNOWN
    unknown = [finding for finding in evidence.findings if finding.answer is Answer.UNKNOWN]
    assert {finding.question.partition(" ")[0] for finding in unknown} == {"bucket"}
    assert all(words in finding.seen for finding in unknown)
    (compared,) = (await prober.compare_buckets()).findings
    assert (compared.answer, words in compared.seen) == (Answer.UNKNOWN, True)
    assert "hunter2" not in evidence.missing()


async def test_without_a_secret_ordinary_users_are_asked(site: Site) -> None:
    await site.start(serving("00-04"))
    prober = site.prober(reference=None)
    assert not prober.signs
    evidence = await prober.probe(serving("00-04"))
    assert evidence.answer is Answer.YES, evidence.missing()
    assert len(questions(evidence)) == 6
    assert not any(question.startswith("bucket ") for question in questions(evidence))
    assert (await prober.compare_buckets()).answer is Answer.UNKNOWN


async def test_a_gateway_that_does_not_answer_is_unknown(site: Site) -> None:
    evidence = await site.prober().probe(serving("00-04"))
    assert {finding.answer for finding in evidence.findings} == {Answer.UNKNOWN}
    assert "no response: " in evidence.missing()


async def test_probes_come_a_few_at_a_time(site: Site) -> None:
    at_once: list[int] = [0]

    async def started(*_: object) -> None:
        at_once.append(at_once[-1] + 1)

    async def ended(*_: object) -> None:
        at_once.append(at_once[-1] - 1)

    await site.start(Assignment(default="blue"))
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(started)
    trace.on_request_end.append(ended)
    site.http = await site.stack.enter_async_context(aiohttp.ClientSession(trace_configs=[trace]))
    assert (await site.prober().compare_buckets()).answer is Answer.YES
    assert max(at_once) == 8


class Impostor:
    """Something between prober and gateway that answers from what it heard before, as a cache would."""

    def __init__(self) -> None:
        self.answer: dict[str, str] = {}

    async def serve(self, site: Site) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._reply)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", site.port).start()

    async def _reply(self, request: web.Request) -> web.Response:
        headers = {"X-Tailramp-Variant": "blue"} | self.answer
        nonce = request.headers["X-Tailramp-Probe"].split(";")[3] if "X-Tailramp-Probe" in request.headers else ""
        return web.Response(headers={name: value.replace("NONCE", nonce) for name, value in headers.items()})


@pytest.mark.parametrize(
    ("echo", "answer", "words"),
    [
        ("NONCE;00", Answer.YES, ""),
        (f"{'0' * 32};00", Answer.UNKNOWN, "of another probe"),
        ("NONCE;01", Answer.UNKNOWN, "the gateway took it for bucket 01"),
        ("NONCE;00_VIP", Answer.UNKNOWN, "the gateway took it for bucket 00_VIP"),
        ("NONCE", Answer.UNKNOWN, "without X-Tailramp-Probe-Echo"),
    ],
)
async def test_only_the_echo_of_this_very_probe_counts(site: Site, echo: str, answer: Answer, words: str) -> None:
    impostor = Impostor()
    impostor.answer = {"X-Tailramp-Probe-Echo": echo}
    await impostor.serve(site)
    evidence = await site.prober().probe_members(BucketSet.parse("00"), "blue")
    (signed,) = [finding for finding in evidence.findings if finding.question == "bucket 00 is served by blue"]
    assert signed.answer is answer
    assert words in signed.seen
