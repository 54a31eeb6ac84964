"""A model server without a model: what a gateway, a scrape and a user can see of an LLM, at the price of a timer.

A ramp is judged by the shape of latencies and counters, so these are what is real here. Latencies follow the mixture
for which the shipped policy's error rates were simulated: a healthy server has its p99 at 1.6 s and sends 0.21 % of its
answers later than the 2 s that the ramp promises, close enough for a careless rule to raise false alarms. Counters come
from an ordinary Prometheus client; requests that fail reach no histogram, as on real servers.

Quality is broken on purpose through `POST /fault`. The moment of each break is kept on the wall clock, because the time
from there to the last request that the candidate serves is the figure that the lab exists to measure.
"""

import asyncio
import itertools
import json
import math
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
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

PUBLIC_MODEL = "chat"

# fmt: off
LATENCY_EDGES = (
    0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.64, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0, 10.0,
)
# fmt: on
"""Seconds. A constant ratio of about 1.25, and the promised 2 s is an edge, so that no share is ever interpolated."""

_SIGMA = 0.35
_LONG_SHARE = 0.15
_LONG_SHAPE = 6
_LONG_SCALE = 1.8 / _LONG_SHAPE
_P99 = 1.6

_TOKENS_PER_SECOND = 90.0
_PREFILL_SHARE = 0.15
_BYTES_PER_TOKEN = 4
_TEMPLATE_TOKENS = 4
_PASSAGE = (
    "A slice of the users asks the new version first; whoever is in stays in while the share grows. 先小范围试用。"
)

_EXIT_OF_THE_DEAD = 70
_DRAIN_SECONDS = 10.0
_SAMPLED_AT_ONCE = 1024
# Longer than any gateway keeps an unused connection: if the server closed first, a request that is on its way at that
# moment would fail, and the failure would look like the model's.
_KEEP_ALIVE_SECONDS = 7200.0


def latency_tail(seconds: float) -> float:
    """The fraction of a healthy server's answers that take longer than `seconds`, at speed 1."""
    return _tail(seconds / _MEDIAN)


def _tail(medians: float) -> float:
    lognormal = 0.5 * math.erfc(math.log(medians) / (_SIGMA * math.sqrt(2)))
    y = medians / _LONG_SCALE
    gamma = math.exp(-y) * sum(y**k / math.factorial(k) for k in range(_LONG_SHAPE))
    return (1 - _LONG_SHARE) * lognormal + _LONG_SHARE * gamma


def _median_for(p99: float) -> float:
    low, high = 1.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(middle) > 0.01 else (low, middle)
    return p99 / high


_MEDIAN = _median_for(_P99)


def sample_latencies(random_source: np.random.Generator, count: int) -> NDArray[np.float64]:
    """`count` latencies of a healthy server in seconds, at speed 1."""
    short = random_source.lognormal(0.0, _SIGMA, count)
    long = random_source.gamma(_LONG_SHAPE, _LONG_SCALE, count)
    mixture = np.where(random_source.random(count) < _LONG_SHARE, long, short) * _MEDIAN
    return np.asarray(mixture, dtype=np.float64)


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


class _BadRequestError(Exception):
    def __init__(self, message: str, *, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code

    def answer(self) -> web.Response:
        return _error(self.status, str(self), "invalid_request_error", self.param, self.code)


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
        return app

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(name, help_text, ["model_version"], registry=self._registry).labels(self._model.name)

    @staticmethod
    def _drawn(sample: Callable[[int], NDArray[np.float64]]) -> Iterator[float]:
        return itertools.chain.from_iterable(sample(_SAMPLED_AT_ONCE).tolist() for _ in itertools.repeat(None))

    async def _chat(self, request: web.Request) -> web.Response:
        begun = time.perf_counter()
        try:
            prompt_tokens, most_tokens = self._understand(await request.read())
        except _BadRequestError as error:
            return error.answer()
        self._started.inc()
        try:
            return await self._generate(begun, self._fault, prompt_tokens, most_tokens)
        finally:
            self._finished.inc()

    async def _generate(self, begun: float, fault: Fault, prompt_tokens: int, most_tokens: int | None) -> web.Response:
        if fault is Fault.HANGING:
            # Nothing sets it: the request ends when its asker leaves or the server does.
            await asyncio.Event().wait()
        if fault is Fault.ERRORS and next(self._chances) < self._model.error_share:
            return _error(500, "CUDA error: an illegal memory access was encountered", "server_error")

        healthy = next(self._latencies)
        wanted = max(1, round(healthy * _TOKENS_PER_SECOND))
        tokens = wanted if most_tokens is None else min(wanted, most_tokens)
        healthy *= _PREFILL_SHARE + (1 - _PREFILL_SHARE) * tokens / wanted
        slowness = self._model.slow_factor if fault is Fault.SLOW else 1.0
        await asyncio.sleep(healthy * slowness / self._model.speed - (time.perf_counter() - begun))

        self._prompt_tokens.inc(prompt_tokens)
        self._generated_tokens.inc(tokens)
        self._scored.inc()
        toxic_share = self._model.toxic_share_at_fault if fault is Fault.TOXIC else self._model.toxic_share
        if next(self._chances) < toxic_share:
            self._toxic.inc()
        answer = self._answer(prompt_tokens, tokens, cut=tokens < wanted)
        self._duration.observe(time.perf_counter() - begun)
        return answer

    def _understand(self, body: bytes) -> tuple[int, int | None]:
        """Tokens of the prompt, and the most that may be written if that is limited."""
        try:
            asked: Any = json.loads(body)
        except ValueError as error:
            raise _BadRequestError(f"The body is not valid JSON: {error}. Send an object.") from None
        if not isinstance(asked, dict):
            raise _BadRequestError(f"The body is a JSON {type(asked).__name__}. Send an object.")
        model = asked.get("model")
        if model not in (PUBLIC_MODEL, self._model.name):
            status, code = (404, "model_not_found") if isinstance(model, str) else (400, None)
            message = f"`model` is {model!r}, which is not served here. Ask for {PUBLIC_MODEL!r}."
            raise _BadRequestError(message, param="model", status=status, code=code)
        if asked.get("stream"):
            raise _BadRequestError("`stream` is not offered here. Leave it out or send false.", param="stream")
        return _prompt_tokens(asked.get("messages")), _most_tokens(asked)

    def _answer(self, prompt_tokens: int, tokens: int, *, cut: bool) -> web.Response:
        length = tokens * _BYTES_PER_TOKEN
        content = (_PASSAGE * (length // len(_PASSAGE) + 1))[:length]
        body = {
            "id": f"chatcmpl-{self._model.slot}-{next(self._numbers)}",
            "object": "chat.completion",
            "created": int(self._now()),
            "model": self._model.name,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content},
                    "finish_reason": "length" if cut else "stop",
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": tokens,
                "total_tokens": prompt_tokens + tokens,
            },
        }
        return web.Response(body=json.dumps(body, ensure_ascii=False).encode(), content_type="application/json")

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
            return _error(400, f'`kind` is missing or unknown. Send {{"kind": K}}, K one of {offered}.', param="kind")
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


def _prompt_tokens(messages: object) -> int:
    if not isinstance(messages, list) or not messages:
        raise _BadRequestError("`messages` is missing or empty. Send a list of messages.", param="messages")
    size = 0
    for number, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str):
            where = f"messages[{number}].content"
            raise _BadRequestError(f"`{where}` is not text. Send a string.", param=where)
        size += len(content.encode(errors="replace"))
    return -(-size // _BYTES_PER_TOKEN) + _TEMPLATE_TOKENS * len(messages)


def _most_tokens(asked: dict[str, Any]) -> int | None:
    for field in ("max_completion_tokens", "max_tokens"):
        most = asked.get(field)
        if most is None:
            continue
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise _BadRequestError(f"`{field}` is {most!r}. Send a whole number above 0.", param=field)
        return most
    return None


def _error(
    status: int, message: str, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> web.Response:
    return web.json_response({"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status)


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
