"""A model server without a model: what a gateway, a scrape and a user can see of an LLM, at the price of a timer.

A ramp is judged by the shape of latencies and counters, so these are what is real here. Counters come from
an ordinary Prometheus client; requests that fail reach no histogram, as on real servers.

Quality is broken on purpose through `POST /fault`. The moment of each break is kept on the wall clock, because the time
from there to the last request that the candidate serves is the figure that the lab exists to measure.
"""

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
import numpy as np
from aiohttp import web
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from lab.chat_api import BadRequestError, ChatAnswer, ChatRequest, error_answer, understand
from lab.toy_latency import FIRST_TOKEN_EDGES, LATENCY_EDGES, sample_latencies

_TOKENS_PER_SECOND = 90.0
_PREFILL_SHARE = 0.15
_MOST_PIECES = 5
"""A streamed answer comes in so many pieces at most: enough to be cut between two, and cheap."""

_TOXIC_SCORE, _HARMLESS_SCORE = 0.9, 0.01
_EXIT_OF_THE_DEAD = 70
_DRAIN_SECONDS = 10.0
_SAMPLED_AT_ONCE = 1024
# Longer than any gateway keeps an unused connection: if the server closed first, a request that is on its way at that
# moment would fail, and the failure would look like the model's.
_KEEP_ALIVE_SECONDS = 7200.0


class Fault(StrEnum):
    """What is broken; it holds for the requests that start after the switch."""

    NONE = "none"
    SLOW = "slow"
    ERRORS = "errors"
    DEAD = "dead"
    TOXIC = "toxic"
    HANGING = "hanging"


@dataclass(frozen=True)
class ToyModel:
    """What one server claims to be and how it behaves."""

    name: str
    slot: str
    speed: float = 1.0
    """Divides all latencies."""
    slow_factor: float = 3.0
    """Multiplies latencies under `Fault.SLOW`."""
    error_share: float = 0.5
    """Fraction of requests answered by status 500 under `Fault.ERRORS`."""
    toxic_share: float = 0.01
    """Fraction of scored answers that the scorer finds toxic; every answer is scored."""
    toxic_share_at_fault: float = 0.4
    """The same under `Fault.TOXIC`."""


@dataclass(frozen=True)
class _Work:
    """One answer that is due: after how many seconds its first token and its last are there."""

    tokens: int
    cut: bool
    first_token: float
    whole: float


class ToyServer:
    """The HTTP face of one toy model; `application()` is ready to be served.

    `random_source` decides every latency, error and toxic answer. `fault_log` receives one JSON line per switch.
    """

    def __init__(
        self,
        model: ToyModel,
        random_source: np.random.Generator,
        *,
        fault_log: Path | None = None,
        now: Callable[[], float] = time.time,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._model = model
        self._fault_log = fault_log
        self._now = now
        self._leave = leave
        self._fault = Fault.NONE
        self._numbers = itertools.count(1)
        self._latencies = self._drawn(lambda count: sample_latencies(random_source, count))
        self._chances = self._drawn(random_source.random)
        self._registry = CollectorRegistry()
        self._duration = Histogram(
            "llm_inference_duration_seconds",
            "From a valid request to its whole answer.",
            ["model_version"],
            buckets=LATENCY_EDGES,
            registry=self._registry,
        ).labels(model.name)
        self._first_token = Histogram(
            "llm_time_to_first_token_seconds",
            "From a valid request to the first piece of its streamed answer.",
            ["model_version"],
            buckets=FIRST_TOKEN_EDGES,
            registry=self._registry,
        ).labels(model.name)
        self._score = Gauge(
            "llm_toxicity_score", "The scorer's word on the latest answer.", ["model_version"], registry=self._registry
        ).labels(model.name)
        self._started = self._counter("llm_requests_started", "Valid requests, answered or not.")
        self._finished = self._counter("llm_requests_finished", "Valid requests that are no longer open.")
        self._prompt_tokens = self._counter("llm_prompt_tokens", "Tokens read in requests that were answered.")
        self._generated_tokens = self._counter("llm_generated_tokens", "Tokens written.")
        self._scored = self._counter("llm_answers_scored", "Answers that the toxicity scorer has seen.")
        self._toxic = self._counter("llm_answers_toxic", "Answers that the scorer found toxic.")
        listed = {"id": model.name, "object": "model", "created": int(now()), "owned_by": f"tailramp-lab/{model.slot}"}
        self._models = json.dumps({"object": "list", "data": [listed]}).encode()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/metrics", self._expose)
        app.router.add_post("/fault", self._switch)
        app.on_response_prepare.append(self._say_slot)
        return app

    async def _say_slot(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Where no gateway says who answered, the server does."""
        response.headers["X-Tailramp-Variant"] = self._model.slot

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(name, help_text, ["model_version"], registry=self._registry).labels(self._model.name)

    @staticmethod
    def _drawn(sample: Callable[[int], NDArray[np.float64]]) -> Iterator[float]:
        return itertools.chain.from_iterable(sample(_SAMPLED_AT_ONCE).tolist() for _ in itertools.repeat(None))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        begun = time.perf_counter()
        try:
            asked = understand(await request.read(), self._model.name)
        except BadRequestError as error:
            return error.answer()
        self._started.inc()
        try:
            return await self._generate(request, begun, self._fault, asked)
        finally:
            self._finished.inc()

    async def _generate(
        self, request: web.Request, begun: float, fault: Fault, asked: ChatRequest
    ) -> web.StreamResponse:
        if fault is Fault.HANGING:
            # Nothing sets it: the request ends when its asker leaves or the server does.
            await asyncio.Event().wait()
        if fault is Fault.ERRORS and next(self._chances) < self._model.error_share:
            return error_answer(500, "CUDA error: an illegal memory access was encountered", "server_error")
        work = self._due(fault, asked.most_tokens)
        answer = ChatAnswer(
            id=f"chatcmpl-{self._model.slot}-{next(self._numbers)}",
            model=self._model.name,
            created=int(self._now()),
            prompt_tokens=asked.prompt_tokens,
            tokens=work.tokens,
            cut=work.cut,
        )
        response: web.StreamResponse
        if asked.streamed:
            response = await self._stream(request, begun, work, answer, with_usage=asked.with_usage)
        else:
            await asyncio.sleep(work.whole - (time.perf_counter() - begun))
            response = web.Response(body=answer.whole(), content_type="application/json")
        self._count(fault, answer)
        self._duration.observe(time.perf_counter() - begun)
        return response

    def _due(self, fault: Fault, most_tokens: int | None) -> _Work:
        healthy = next(self._latencies)
        wanted = max(1, round(healthy * _TOKENS_PER_SECOND))
        tokens = wanted if most_tokens is None else min(wanted, most_tokens)
        pace = (self._model.slow_factor if fault is Fault.SLOW else 1.0) / self._model.speed
        whole = healthy * (_PREFILL_SHARE + (1 - _PREFILL_SHARE) * tokens / wanted)
        return _Work(tokens, cut=tokens < wanted, first_token=healthy * _PREFILL_SHARE * pace, whole=whole * pace)

    async def _stream(
        self, request: web.Request, begun: float, work: _Work, answer: ChatAnswer, *, with_usage: bool
    ) -> web.StreamResponse:
        """Send the answer in pieces, evenly from the first token's time to the last one's."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        pieces = answer.pieces(_MOST_PIECES)
        for number, piece in enumerate(pieces):
            due = work.first_token + (work.whole - work.first_token) * number / max(1, len(pieces) - 1)
            await asyncio.sleep(due - (time.perf_counter() - begun))
            if number == 0:
                await response.prepare(request)
                self._first_token.observe(time.perf_counter() - begun)
            await response.write(piece)
        await response.write(answer.ending(with_usage=with_usage))
        await response.write_eof()
        return response

    def _count(self, fault: Fault, answer: ChatAnswer) -> None:
        self._prompt_tokens.inc(answer.prompt_tokens)
        self._generated_tokens.inc(answer.tokens)
        self._scored.inc()
        toxic_share = self._model.toxic_share_at_fault if fault is Fault.TOXIC else self._model.toxic_share
        toxic = next(self._chances) < toxic_share
        self._score.set(_TOXIC_SCORE if toxic else _HARMLESS_SCORE)
        if toxic:
            self._toxic.inc()

    async def _list_models(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._models, content_type="application/json")

    async def _expose(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def _switch(self, request: web.Request) -> web.StreamResponse:
        try:
            asked: Any = json.loads(await request.read())
            fault = Fault(asked["kind"])
        except (ValueError, TypeError, KeyError):
            offered = ", ".join(Fault)
            return error_answer(
                400, f'`kind` is missing or unknown. Send {{"kind": K}}, K one of {offered}.', param="kind"
            )
        self._fault = fault
        switched = {"kind": fault, "at": self._now(), "model": self._model.name, "slot": self._model.slot}
        line = json.dumps(switched)
        if self._fault_log is not None:
            _append(self._fault_log, line)
        response = web.Response(text=line, content_type="application/json")
        if fault is Fault.DEAD:
            # Handed to the kernel before the end, so that who broke the server still learns when.
            await response.prepare(request)
            await response.write_eof()
            self._leave(_EXIT_OF_THE_DEAD)
        return response


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.write(line + "\n")


async def serve(server: ToyServer, host: str, port: int, listening: Callable[[int], object]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what has begun, for at most 10 s.

    `listening` is called with the port once connections are accepted; it differs from `port` when that is 0.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        server.application(),
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        shutdown_timeout=_DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        listening(runner.addresses[0][1])
        await stop.wait()
    finally:
        await runner.cleanup()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes a free one and says which.")
@click.option("--model", required=True, help="The name in /v1/models and in the label model_version.")
@click.option("--slot", required=True)
@click.option("--seed", type=click.IntRange(min=0), required=True)
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Divides all latencies.")
@click.option("--slow-factor", type=click.FloatRange(min=1), default=3.0, help="What the fault `slow` multiplies by.")
@click.option("--toxic-share", type=click.FloatRange(0, 1), default=0.01, help="Fraction of answers that are toxic.")
@click.option("--fault-log", type=click.Path(dir_okay=False, path_type=Path), help="One JSON line per switch.")
def main(
    host: str,
    port: int,
    model: str,
    slot: str,
    seed: int,
    speed: float,
    slow_factor: float,
    toxic_share: float,
    fault_log: Path | None,
) -> None:
    """Serve a toy model with an OpenAI-compatible interface."""
    server = ToyServer(
        ToyModel(name=model, slot=slot, speed=speed, slow_factor=slow_factor, toxic_share=toxic_share),
        np.random.default_rng(seed),
        fault_log=fault_log,
    )
    try:
        asyncio.run(serve(server, host, port, lambda bound: click.echo(f"listening on http://{host}:{bound}")))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


if __name__ == "__main__":
    main()
