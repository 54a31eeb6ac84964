"""The synthetic users at work: they send what the schedule says, when it says, and write down what came back.

The log is the lab's independent witness. What tailramp claims about a ramp, that nobody was moved back and forth, that
the candidate served nothing after a rollback, is checked against what these users saw, never against tailramp's own
counters. So the client is open-loop (a slow answer delays no other request), its clock never steps, and when it cannot
keep up with its own schedule it says so in the log: figures from such a run measure the client.
"""

import asyncio
import gc
import json
import resource
import signal
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import IO

import aiohttp
import click
from multidict import CIMultiDict
from yarl import URL

from lab.chat_api import PUBLIC_MODEL, STREAM_END
from lab.user_population import (
    CORE_USERS,
    OTHER_USERS,
    Arrival,
    Traffic,
    arrivals,
    forged_headers,
    populate,
)

CHAT_PATH = "/v1/chat/completions"
VARIANT_HEADER = "X-Tailramp-Variant"

FLUSH_SECONDS = 0.2
BEHIND_SECONDS = 0.5
"""How late a request may leave before the log says that the client is the bottleneck."""

_BEHIND_LINE_SECONDS = 1.0
_RETRY_SECONDS = 0.01

_QUESTIONS = (
    "帮我写一封请假邮件，语气正式一些。",
    "Summarise the attached meeting notes in three bullet points.",
    "请解释一下什么是灰度发布，它和蓝绿部署有什么区别？",
    "Translate into English: 我们计划下周把新模型开放给百分之五的用户。",
    "How do I find the five largest files in a folder?",
    "给三年级的孩子出五道两位数乘法题，并附上答案。",
)


def _body(question: str, *, streamed: bool) -> bytes:
    asked: dict[str, object] = {"model": PUBLIC_MODEL, "messages": [{"role": "user", "content": question}]}
    return json.dumps(asked | ({"stream": True} if streamed else {}), ensure_ascii=False).encode()


_BODIES = {streamed: tuple(_body(question, streamed=streamed) for question in _QUESTIONS) for streamed in (False, True)}


class Clock:
    """Wall-clock seconds at the monotonic clock's pace: a step of the wall clock never shows."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()


class ClientLogWriter:
    """One JSON line per event or request, buffered; `flush` hands whole lines to the file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lines: list[str] = []

    def write(self, entry: dict[str, object]) -> None:
        self._lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))

    def flush(self) -> None:
        if self._lines:
            self._file.write("\n".join(self._lines) + "\n")
            self._lines.clear()
        self._file.flush()


class Users:
    """Sends `schedule` to one gateway and logs every request.

    `streamed_share` of them ask for a stream, which must come to its end; their number in the schedule says which ones.
    `timeout` is that of `session`, in seconds; it bounds how long `run` takes to end after `stop`. At most
    `most_in_flight` requests are open at a time; the ones that this delays leave as soon as they can.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        gateway: str,
        schedule: Sequence[Arrival],
        log: ClientLogWriter,
        *,
        user_header: str = "X-User-Id",
        forged_bucket: str = "00",
        timeout: float = 30.0,
        most_in_flight: int = 4000,
        streamed_share: float = 0.0,
    ) -> None:
        self._session = session
        self._url = _chat_url(gateway)
        self._schedule = schedule
        self._log = log
        self._user_header = user_header
        self._forged_bucket = forged_bucket
        self._timeout = timeout
        self._most_in_flight = most_in_flight
        self._streamed_share = streamed_share
        self._clock = Clock()
        self._begun = 0.0
        self._next = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._answered = 0
        self._behind_until = 0.0
        self._all_sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        """Send nothing more; `run` returns when what is in flight has ended."""
        if not self._all_sent.done():
            self._all_sent.set_result(None)

    async def run(self) -> None:
        """Send until the schedule or `stop` ends it. The log's first line is there before the first request leaves.

        Raises OSError when the log can no longer be written: users that nobody can follow prove nothing.
        """
        cpu = time.process_time()
        self._begun = self._clock.now()
        self._log.write(
            {"event": "started", "at": self._begun, "gateway": str(self._url), "planned": len(self._schedule)}
        )
        self._log.flush()
        flushing = asyncio.create_task(self._flush_regularly())
        self._send_what_is_due()
        try:
            await asyncio.wait({flushing, self._all_sent}, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            if self._in_flight and not flushing.done():
                await asyncio.wait(self._in_flight, timeout=self._timeout + 1)
        finally:
            unanswered = list(self._in_flight)
            for task in (*unanswered, flushing):
                task.cancel()
            ended = await asyncio.gather(flushing, *unanswered, return_exceptions=True)
        if isinstance(ended[0], OSError):
            raise ended[0]
        self._log.write(
            {
                "event": "stopped",
                "at": self._clock.now(),
                "sent": self._next,
                "answered": self._answered,
                "cpu_seconds": round(time.process_time() - cpu, 3),
            }
        )
        self._log.flush()

    def _send_what_is_due(self) -> None:
        if self._all_sent.done():
            return
        loop = asyncio.get_running_loop()
        elapsed = self._clock.now() - self._begun
        while self._next < len(self._schedule):
            arrival = self._schedule[self._next]
            if arrival.due > elapsed:
                loop.call_later(arrival.due - elapsed, self._send_what_is_due)
                return
            if len(self._in_flight) >= self._most_in_flight:
                self._note_lateness(self._begun + arrival.due, self._clock.now())
                loop.call_later(_RETRY_SECONDS, self._send_what_is_due)
                return
            task = loop.create_task(self._ask(arrival, self._next))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
            self._next += 1
        self.stop()

    def _is_streamed(self, number: int) -> bool:
        """Evenly spread: of the first n requests, n times the share are streamed."""
        return int((number + 1) * self._streamed_share) > int(number * self._streamed_share)

    async def _ask(self, arrival: Arrival, number: int) -> None:
        streamed = self._is_streamed(number)
        body = _BODIES[streamed][number % len(_QUESTIONS)]
        headers = CIMultiDict({"Content-Type": "application/json"})
        if arrival.user is not None:
            headers[self._user_header] = arrival.user
        if arrival.forgery is not None:
            for name, value in forged_headers(arrival.forgery, self._forged_bucket):
                headers.add(name, value)
        status: int | None = None
        variant: str | None = None
        error: str | None = None
        responded: float | None = None
        sent = self._clock.now()
        self._note_lateness(self._begun + arrival.due, sent)
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                responded = round(self._clock.now(), 6)
                variant = response.headers.get(VARIANT_HEADER)
                answer = await response.read()
                status = response.status
                if streamed and status == HTTPStatus.OK and not answer.endswith(STREAM_END):
                    status, error = None, "CutStream"
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.CancelledError) as failure:
            error = type(failure).__name__
        self._answered += error is None
        self._log.write(
            {
                "user": arrival.user,
                "forged": arrival.forgery,
                "sent": round(sent, 6),
                "answered": round(self._clock.now(), 6),
                "status": status,
                "error": error,
                "variant": variant,
                "responded": responded,
            }
        )

    def _note_lateness(self, due: float, now: float) -> None:
        if now - due <= BEHIND_SECONDS or now < self._behind_until:
            return
        self._behind_until = now + _BEHIND_LINE_SECONDS
        self._log.write(
            {"event": "behind", "at": now, "behind_seconds": round(now - due, 3), "in_flight": len(self._in_flight)}
        )

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._log.flush()


def _chat_url(gateway: str) -> URL:
    url = URL(gateway.rstrip("/") + CHAT_PATH)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"gateway {gateway!r} is not an address: give for example http://127.0.0.1:8080")
    return url


def client_session(timeout: float = 30.0) -> aiohttp.ClientSession:
    """A session for thousands of cheap requests: kept connections without a limit, no cookies, nothing decoded.

    `timeout` is in seconds and bounds one request as a whole.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
    )


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


async def _work(
    gateway: str,
    schedule: Sequence[Arrival],
    log: ClientLogWriter,
    *,
    user_header: str,
    forged_bucket: str,
    timeout: float,
    most_in_flight: int,
    streamed_share: float,
) -> None:
    async with client_session(timeout) as session:
        users = Users(
            session,
            gateway,
            schedule,
            log,
            user_header=user_header,
            forged_bucket=forged_bucket,
            timeout=timeout,
            most_in_flight=most_in_flight,
            streamed_share=streamed_share,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, users.stop)
        await users.run()


_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option("--gateway", required=True, help="http://HOST:PORT; the chat path is added.")
@click.option("--log", "log_path", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--seed", type=click.IntRange(min=0), required=True)
@click.option("--rate", type=_ABOVE_ZERO, required=True, help="Requests per second, of everybody together.")
@click.option("--duration", type=_ABOVE_ZERO, required=True, help="Seconds.")
@click.option("--core-rate", type=_ABOVE_ZERO, help="Requests per second of all core users together.")
@click.option("--core-users", type=click.IntRange(min=1), default=CORE_USERS, show_default=True)
@click.option("--other-users", type=click.IntRange(min=1), default=OTHER_USERS, show_default=True)
@click.option("--anonymous-share", type=click.FloatRange(0, 1), default=Traffic.anonymous_share, show_default=True)
@click.option("--forged-share", type=click.FloatRange(0, 1), default=Traffic.forged_share, show_default=True)
@click.option("--forged-bucket", default="00", show_default=True, help="The bucket that forgers claim.")
@click.option("--user-header", default="X-User-Id", show_default=True)
@click.option("--timeout", type=_ABOVE_ZERO, default=30.0, show_default=True, help="Seconds for one request.")
@click.option("--most-in-flight", type=click.IntRange(min=1), default=4000, show_default=True)
@click.option("--streamed-share", type=click.FloatRange(0, 1), default=0.0, show_default=True)
def main(
    gateway: str,
    log_path: Path,
    seed: int,
    rate: float,
    duration: float,
    core_rate: float | None,
    core_users: int,
    other_users: int,
    anonymous_share: float,
    forged_share: float,
    forged_bucket: str,
    user_header: str,
    timeout: float,
    most_in_flight: int,
    streamed_share: float,
) -> None:
    """Let synthetic users talk to the gateway, and log every request as one JSON line."""
    try:
        _chat_url(gateway)
        traffic = Traffic(rate, duration, core_rate, anonymous_share, forged_share)
        schedule = arrivals(populate(seed, core_users, other_users), traffic, seed)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _allow_open_files(most_in_flight + 100)
    # The schedule lives as long as the process; a collector that walks it now and then would hold up the users.
    gc.collect()
    gc.freeze()
    try:
        with log_path.open("a", encoding="utf-8") as file:
            asyncio.run(
                _work(
                    gateway,
                    schedule,
                    ClientLogWriter(file),
                    user_header=user_header,
                    forged_bucket=forged_bucket,
                    timeout=timeout,
                    most_in_flight=most_in_flight,
                    streamed_share=streamed_share,
                )
            )
    except OSError as error:
        raise click.ClickException(f"cannot write the log {log_path}: {error.strerror or error}") from None


if __name__ == "__main__":
    main()
