"""The toy model server over real HTTP, and as the process that the lab starts."""

import asyncio
import json
import math
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from lab.toy_latency import LATENCY_EDGES, latency_tail, sample_latencies
from lab.toy_llm import ToyModel, ToyServer

ASKED = {"model": "chat", "messages": [{"role": "user", "content": "请解释一下什么是灰度发布？"}]}
FAST = 500.0


class Client:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def chat(self, **changes: object) -> tuple[int, dict[str, Any]]:
        async with self._session.post("/v1/chat/completions", json=ASKED | changes) as response:
            return response.status, await response.json()

    async def stream(self, **changes: object) -> tuple[list[str], list[float]]:
        """The events of a streamed answer without the word `data:`, and when each arrived."""
        begun, events, times = time.perf_counter(), [], []
        async with self._session.post("/v1/chat/completions", json=ASKED | {"stream": True} | changes) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            async for line in response.content:
                if line.strip():
                    word, _, event = line.decode().rstrip("\n").partition(" ")
                    assert word == "data:"
                    events.append(event)
                    times.append(time.perf_counter() - begun)
        return events, times

    async def send(self, body: bytes) -> tuple[int, dict[str, Any]]:
        async with self._session.post("/v1/chat/completions", data=body) as response:
            return response.status, await response.json()

    async def fault(self, kind: str) -> tuple[int, dict[str, Any]]:
        async with self._session.post("/fault", json={"kind": kind}) as response:
            return response.status, await response.json()

    async def models(self) -> list[str]:
        async with self._session.get("/v1/models") as response:
            return [model["id"] for model in (await response.json())["data"]]

    async def metrics(self) -> dict[tuple[str, str | None], float]:
        """Sample name and bucket edge to value; every sample must carry the model's version."""
        async with self._session.get("/metrics") as response:
            text = await response.text()
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                assert sample.labels["model_version"] == "llama-2-70b-chat-v1.3"
                found[sample.name, sample.labels.get("le")] = sample.value
        return found


def server(
    *,
    seed: int = 1,
    speed: float = FAST,
    toxic_share: float = 0.01,
    fault_log: Path | None = None,
    left: list[int] | None = None,
) -> ToyServer:
    return ToyServer(
        ToyModel("llama-2-70b-chat-v1.3", "green", speed=speed, toxic_share=toxic_share),
        np.random.default_rng(seed),
        fault_log=fault_log,
        now=lambda: 1_800_000_000.25,
        leave=(left if left is not None else []).append,
    )


@asynccontextmanager
async def served(toy: ToyServer) -> AsyncIterator[Client]:
    runner = web.AppRunner(toy.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            yield Client(session)
    finally:
        await runner.cleanup()


async def least(measured: Callable[[], Awaitable[float]], enough: float) -> float:
    """The least of some measurements, until one is less than `enough`: a busy machine only adds to each."""
    found = [await measured()]
    while found[-1] >= enough and len(found) < 8:
        found.append(await measured())
    return min(found)


def test_a_healthy_server_has_the_latencies_that_the_policy_was_simulated_for() -> None:
    drawn = sample_latencies(np.random.default_rng(11), 1_000_000)
    assert np.quantile(drawn, 0.99) == pytest.approx(1.60, rel=0.01)
    assert (drawn > 2.0).mean() == pytest.approx(0.0021, rel=0.1)
    assert np.quantile(drawn, 0.5) == pytest.approx(0.56, rel=0.02)
    assert latency_tail(1.6) == pytest.approx(0.01, abs=1e-9)
    for seconds in (0.4, 0.8, 1.25, 2.0):
        assert (drawn > seconds).mean() == pytest.approx(latency_tail(seconds), rel=0.05)


async def test_a_users_answer_takes_as_long_as_was_drawn() -> None:
    drawn = sample_latencies(np.random.default_rng(5), 1024)[:60].sum()

    async def measured() -> float:
        async with served(server(seed=5, speed=1.0)) as client:
            await asyncio.gather(*(client.chat() for _ in range(60)))
            found = await client.metrics()
        assert found["llm_inference_duration_seconds_count", None] == 60
        return found["llm_inference_duration_seconds_sum", None]

    assert drawn <= await least(measured, 1.5 * drawn) < 1.5 * drawn


async def test_an_answer_is_openai_shaped_and_names_the_version_behind_the_public_name() -> None:
    async with served(server()) as client:
        status, answer = await client.chat()
        assert status == 200
        assert answer["object"] == "chat.completion"
        assert answer["model"] == "llama-2-70b-chat-v1.3"
        (choice,) = answer["choices"]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["role"] == "assistant"
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["prompt_tokens"] == math.ceil(len("请解释一下什么是灰度发布？".encode()) / 4) + 4
        assert usage["completion_tokens"] == len(choice["message"]["content"]) / 4
        assert await client.models() == ["llama-2-70b-chat-v1.3"]
        assert (await client.chat(model="llama-2-70b-chat-v1.3"))[0] == 200
        assert (await client.chat())[1]["id"] != answer["id"]


async def test_a_streamed_answer_comes_in_pieces_and_says_the_same_as_a_whole_one() -> None:
    async with served(server(seed=5)) as whole, served(server(seed=5)) as streamed:
        _, answer = await whole.chat()
        events, _ = await streamed.stream(stream_options={"include_usage": True})
        *pieces, ending, usage = [json.loads(event) for event in events[:-1]]
        metrics = await streamed.metrics()
    assert events[-1] == "[DONE]"
    assert 1 < len(pieces) <= 5
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    said = "".join(piece["choices"][0]["delta"]["content"] for piece in pieces)
    assert said == answer["choices"][0]["message"]["content"]
    assert ending["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]) == ([], answer["usage"])
    assert {piece["id"] for piece in [*pieces, ending, usage]} == {answer["id"]}
    assert metrics["llm_time_to_first_token_seconds_count", None] == 1
    assert metrics["llm_inference_duration_seconds_count", None] == 1


async def test_the_first_token_comes_long_before_the_last_one() -> None:
    async def distance() -> float:
        """By how much the first token's share of the time is not what it should be."""
        async with served(server(seed=5, speed=1.0)) as client:
            _, times = await client.stream()
            metrics = await client.metrics()
        first, whole = (
            metrics[f"llm_{name}_seconds_sum", None] for name in ("time_to_first_token", "inference_duration")
        )
        return max(abs(first / whole - 0.15), times[0] / times[-1] - 0.325)

    assert await least(distance, 0.075) < 0.075


async def test_only_streamed_answers_have_a_time_to_first_token() -> None:
    async with served(server()) as client:
        await client.chat()
        metrics = await client.metrics()
    assert metrics["llm_time_to_first_token_seconds_count", None] == 0


async def test_a_generation_of_one_token_is_one_token_and_quicker() -> None:
    async with served(server()) as client:
        for field in ("max_tokens", "max_completion_tokens"):
            _, answer = await client.chat(**{field: 1})
            assert answer["usage"]["completion_tokens"] == 1
            assert answer["choices"][0]["finish_reason"] == "length"
    whole = float(sample_latencies(np.random.default_rng(9), 1024)[0]) / 2.0

    async def of_one_token() -> float:
        async with served(server(seed=9, speed=2.0)) as client:
            await client.chat(max_tokens=1)
            return (await client.metrics())["llm_inference_duration_seconds_sum", None]

    assert await least(of_one_token, 0.6 * whole) < 0.6 * whole


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b'{"model": "chat", ', 400, None),
        (b"\xff\xfe\xff", 400, None),
        (b'["chat"]', 400, None),
        (json.dumps({"messages": ASKED["messages"]}).encode(), 400, "model"),
        (json.dumps(ASKED | {"model": "gpt-9"}).encode(), 404, "model"),
        (json.dumps(ASKED | {"model": ["chat"]}).encode(), 400, "model"),
        (json.dumps(ASKED | {"messages": []}).encode(), 400, "messages"),
        (json.dumps(ASKED | {"messages": [{"role": "user"}]}).encode(), 400, "messages[0].content"),
        (json.dumps(ASKED | {"stream": "yes"}).encode(), 400, "stream"),
        (json.dumps(ASKED | {"stream_options": {"include_usage": True}}).encode(), 400, "stream_options"),
        (json.dumps(ASKED | {"max_tokens": 0}).encode(), 400, "max_tokens"),
        (json.dumps(ASKED | {"max_tokens": "9"}).encode(), 400, "max_tokens"),
    ],
)
async def test_a_wrong_request_gets_an_openai_error_and_is_not_counted(
    body: bytes, status: int, param: str | None
) -> None:
    async with served(server()) as client:
        got, answer = await client.send(body)
        found = await client.metrics()
    assert got == status
    error = answer["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]
    assert found["llm_requests_started_total", None] == 0


async def test_every_counter_stands_at_zero_before_the_first_request() -> None:
    async with served(server()) as client:
        found = await client.metrics()
    for name in (
        "requests_started",
        "requests_finished",
        "prompt_tokens",
        "generated_tokens",
        "answers_scored",
        "answers_toxic",
    ):
        assert found[f"llm_{name}_total", None] == 0
    edges = [edge for name, edge in found if name == "llm_inference_duration_seconds_bucket" and edge is not None]
    assert [float(edge) for edge in edges] == [*LATENCY_EDGES, math.inf]
    assert 2.0 in LATENCY_EDGES


async def test_the_counters_add_up_to_the_answers() -> None:
    async with served(server(toxic_share=0.25)) as client:
        answers = await asyncio.gather(*(client.chat() for _ in range(200)))
        found = await client.metrics()
    usages = [answer["usage"] for _, answer in answers]
    assert found["llm_requests_started_total", None] == 200
    assert found["llm_requests_finished_total", None] == 200
    assert found["llm_answers_scored_total", None] == 200
    assert found["llm_inference_duration_seconds_count", None] == 200
    assert 30 <= found["llm_answers_toxic_total", None] <= 70
    assert found["llm_prompt_tokens_total", None] == sum(usage["prompt_tokens"] for usage in usages)
    assert found["llm_generated_tokens_total", None] == sum(usage["completion_tokens"] for usage in usages)


async def test_slow_stretches_every_latency_and_none_takes_it_back(tmp_path: Path) -> None:
    speed = 10.0
    log = tmp_path / "faults.jsonl"
    drawn = sample_latencies(np.random.default_rng(2), 1024) / speed
    async with served(server(seed=2, speed=speed, fault_log=log)) as client:
        status, switched = await client.fault("slow")
        assert (status, switched["kind"], switched["at"]) == (200, "slow", 1_800_000_000.25)
        for _ in range(10):
            await client.chat()
        slow = (await client.metrics())["llm_inference_duration_seconds_sum", None]
        assert slow >= 3 * drawn[:10].sum()
        await client.fault("none")
        answered, told = 10, slow

        async def stretched() -> float:
            """The next ten answers' time, as a multiple of what was drawn for them."""
            nonlocal answered, told
            for _ in range(10):
                await client.chat()
            before, told = told, (await client.metrics())["llm_inference_duration_seconds_sum", None]
            answered += 10
            return float((told - before) / drawn[answered - 10 : answered].sum())

        assert await least(stretched, 3.0) < 3.0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["slow", "none"]
    assert lines[0] == switched
    assert (switched["slot"], switched["model"]) == ("green", "llama-2-70b-chat-v1.3")


async def test_errors_fail_half_of_the_requests_and_leave_no_latency() -> None:
    async with served(server()) as client:
        await client.fault("errors")
        answers = await asyncio.gather(*(client.chat() for _ in range(200)))
        found = await client.metrics()
    failed = [answer for status, answer in answers if status == 500]
    assert 70 <= len(failed) <= 130
    assert failed[0]["error"]["type"] == "server_error"
    assert found["llm_requests_started_total", None] == 200
    assert found["llm_inference_duration_seconds_count", None] == 200 - len(failed)


async def test_toxic_answers_are_many_as_quick_as_before_and_without_an_error(tmp_path: Path) -> None:
    log = tmp_path / "faults.jsonl"
    async with served(server(fault_log=log)) as client:
        await client.fault("toxic")
        answers = await asyncio.gather(*(client.chat() for _ in range(200)))
        found = await client.metrics()
    assert [status for status, _ in answers] == [200] * 200
    assert found["llm_answers_scored_total", None] == 200
    assert 50 <= found["llm_answers_toxic_total", None] <= 110
    assert json.loads(log.read_text())["kind"] == "toxic"


async def test_a_hung_request_is_open_until_its_asker_leaves_and_reaches_no_histogram(tmp_path: Path) -> None:
    log = tmp_path / "faults.jsonl"
    async with served(server(fault_log=log)) as client:
        await client.fault("hanging")
        asking = asyncio.create_task(client.chat())
        while (await client.metrics())["llm_requests_started_total", None] < 1:
            pass
        await client.fault("none")
        assert (await client.chat())[0] == 200
        found = await client.metrics()
        assert not asking.done()
        assert found["llm_requests_started_total", None] == 2
        assert found["llm_requests_finished_total", None] == 1
        assert found["llm_inference_duration_seconds_count", None] == 1
        asking.cancel()
        while (await client.metrics())["llm_requests_finished_total", None] < 2:
            pass
        assert (await client.metrics())["llm_inference_duration_seconds_count", None] == 1
    assert [json.loads(line)["kind"] for line in log.read_text().splitlines()] == ["hanging", "none"]


@pytest.mark.parametrize("kind", ["broken", "", "NONE"])
async def test_an_unknown_fault_is_refused_with_the_known_ones_and_changes_nothing(kind: str, tmp_path: Path) -> None:
    log = tmp_path / "faults.jsonl"
    async with served(server(fault_log=log)) as client:
        status, answer = await client.fault(kind)
        assert status == 400
        assert "none, slow, errors, dead, toxic, hanging" in answer["error"]["message"]
        assert (await client.chat())[0] == 200
    assert not log.exists()


async def test_who_kills_a_server_learns_when(tmp_path: Path) -> None:
    left: list[int] = []
    log = tmp_path / "faults.jsonl"
    async with served(server(fault_log=log, left=left)) as client:
        status, switched = await client.fault("dead")
    assert (status, switched["at"]) == (200, 1_800_000_000.25)
    assert json.loads(log.read_text()) == switched
    assert left == [70]


@asynccontextmanager
async def started(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.toy_llm", "--port", "0", "--model", "m-1", "--slot", "green", "--seed", "4"),
        *options,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        said = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        yield process, said.rpartition(" ")[2].strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def in_flight(session: aiohttp.ClientSession, number: int) -> None:
    """Return when the server has begun `number` requests."""
    while True:
        async with session.get("/metrics") as response:
            if f'llm_requests_started_total{{model_version="m-1"}} {float(number)}' in await response.text():
                return


async def test_sigterm_lets_the_open_requests_finish() -> None:
    async with started("--speed", "0.5") as (process, url), aiohttp.ClientSession(url) as session:
        asking = [asyncio.create_task(Client(session).chat()) for _ in range(5)]
        await in_flight(session, 5)
        process.send_signal(signal.SIGTERM)
        assert [status for status, _ in await asyncio.gather(*asking)] == [200] * 5
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_dead_is_dead_at_once_and_open_requests_are_cut(tmp_path: Path) -> None:
    log = tmp_path / "faults.jsonl"
    options = ("--speed", "0.05", "--fault-log", str(log))
    async with started(*options) as (process, url), aiohttp.ClientSession(url) as session:
        asking = asyncio.create_task(Client(session).chat())
        await in_flight(session, 1)
        _, switched = await Client(session).fault("dead")
        with pytest.raises(aiohttp.ClientConnectionError):
            await asking
        assert await asyncio.wait_for(process.wait(), 60) == 70
    assert json.loads(log.read_text()) == switched


async def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    async with started() as (_, url):
        port = url.rpartition(":")[2]
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lab.toy_llm", "--port", port, "--model", "m", "--slot", "blue", "--seed", "1"),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(second.communicate(), 60)
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said.decode()
    assert b"Traceback" not in said
