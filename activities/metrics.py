"""Asks Prometheus what the checks want to know.

One question per metric and slot, all at the same grid time, as instant queries while a watch is up to date and as
range queries for what it missed; both give the same values at the same times. Prometheus is allowed to be down, slow,
restarting or wrong: then the answer says why it is none, the check is BLIND, and nothing is raised. A query that
hangs costs the caller no more than the time limit, and costs a thread only until its own limits end it; there is a
fixed number of threads, so hung ones cannot pile up.
"""

import asyncio
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.auth import HTTPBasicAuth
from urllib3.util.retry import Retry

from activities.prometheus_answers import (
    EXCERPT,
    at_times,
    counts_by_bucket,
    labels_of,
    pair,
    refusal,
    root_of,
    series_of,
)
from activities.query_threads import QueryThreads, Unanswered
from tailramp.errors import Problem, Unreachable
from tailramp.evidence import (
    Answer,
    Check,
    RawSeries,
    Reading,
    Sample,
    SlotMatch,
)
from tailramp.evidence.answerable import problems_of, questions
from tailramp.evidence.checks import native_queries, queries_of
from tailramp.evidence.columns import Column, Readings
from tailramp.evidence.native import buckets_of
from tailramp.secret_reference import is_reference, resolve
from tailramp.spec import Prometheus

MOST_POINTS = 11_000
"""Points per series that Prometheus returns for one range query; it refuses more."""

Parsed = TypeVar("Parsed")

_AT_ONCE = 8
_HUNG_FOR_EACH = 4
# The library's default retries three times, beyond every time limit. read=False: a late answer is told from a refused
# connection.
_NO_RETRY = Retry(total=0, read=False)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{[^{}]*\})?|\{[^{}]*\}")

_NO_ANSWER_OF_PROMETHEUS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What parsing some other server's answer raises, in the library and here."""


class PrometheusMetrics:
    """Reads the checks' raw counters from one Prometheus.

    Every question is one query per metric and slot: their matchers are free text, so several slots cannot safely
    share one. Safe to use from one event loop; `close()` it in the end.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        *,
        auth: tuple[str, str] | None = None,
        ca_file: Path | None = None,
        at_once: int = _AT_ONCE,
        most_points: int = MOST_POINTS,
        lookback: float | None = None,
    ) -> None:
        """`timeout`: seconds, above 0, within which `read` answers, and `read_range` for each `most_points` ticks.

        `auth`: user name and password. `ca_file`: certificates that vouch for the server, instead of the system's.
        `lookback`: seconds after which a series without a new scrape is gone; None leaves that to the server, which
        by default shows its last value for five minutes.
        """
        if timeout <= 0:
            raise ValueError(f"a query timeout of {timeout:g} s leaves no time to ask; give seconds above 0")
        self._timeout = timeout
        self._place = _place(url)
        self._at_once = asyncio.Semaphore(at_once)
        self._of_one_call = max(2, (at_once + 1) // 2)
        self._most_points = most_points
        self._lookback = {} if lookback is None else {"lookback_delta": f"{round(lookback * 1000)}ms"}
        session = requests.Session()
        if ca_file is not None:
            session.verify = str(ca_file)
        # Any: its hints want whole seconds and a tuple, its code passes whatever it gets on to requests.
        connect: Any = PrometheusConnect
        self._client = connect(
            url=url.rstrip("/"),
            headers=dict(headers or {}),
            retry=_NO_RETRY,
            auth=_just_the_headers if auth is None else HTTPBasicAuth(*auth),
            session=session,
        )
        self._threads = QueryThreads(_HUNG_FOR_EACH * at_once)

    @classmethod
    def of(cls, settings: Prometheus, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the Prometheus of the platform file. Raises Refused for a secret that this process does not have."""
        headers = {
            name: resolve(value, environment) if is_reference(value) else value
            for name, value in settings.headers.items()
        }
        if settings.bearer_token is not None:
            headers["Authorization"] = f"Bearer {resolve(settings.bearer_token, environment)}"
        auth = settings.basic_auth
        return cls(
            settings.url,
            settings.timeout.total_seconds(),
            headers,
            auth=(auth.username, resolve(auth.password, environment)) if auth is not None else None,
            ca_file=settings.ca_file,
            at_once=settings.concurrency,
            most_points=settings.max_points,
            lookback=settings.lookback,
        )

    def close(self) -> None:
        """Let go of the connections; does not wait for queries that still hang."""
        self._client._session.close()  # noqa: SLF001 - the library has no public way to close its session

    async def read(self, checks: Sequence[Check], slots: Sequence[SlotMatch], at: int) -> Reading:
        """Return what every query of the checks says of every slot at unix time `at`; failures are in the answers."""
        return await self._read_queries(queries_of(checks, slots), at, native_queries(checks, slots))

    async def read_range(
        self, checks: Sequence[Check], slots: Sequence[SlotMatch], start: int, end: int, step: int
    ) -> Sequence[Reading]:
        """Return the readings of every `step` seconds from `start` to `end`, both included: the same as `read` at
        each of them.
        """
        return await self.read_queries_range(queries_of(checks, slots), start, end, step, native_queries(checks, slots))

    async def read_queries_range(
        self, queries: Sequence[str], start: int, end: int, step: int, native: Collection[str] = ()
    ) -> Sequence[Reading]:
        """Return the same for queries that are no check's; those in `native` return native histograms."""
        parts: list[Readings] = []
        for first in range(start, end + 1, step * self._most_points):
            times = range(first, min(end, first + step * (self._most_points - 1)) + 1, step)
            parts.append(Readings(times, await self.read_columns(queries, times, native)))
        return parts[0] if len(parts) == 1 else [reading for part in parts for reading in part]

    async def read_columns(
        self, queries: Sequence[str], times: range, native: Collection[str] = ()
    ) -> dict[str, list[Column] | str]:
        """Return what every query says at `times`, unix seconds: its series, or why there is no answer.

        Prometheus refuses more points than it was told to give. The queries in `native` return native histograms.
        """
        return await self._ask_all(queries, partial(self._range, times, native))

    async def read_scrapes(
        self, checks: Sequence[Check], slots: Sequence[SlotMatch], start: int, end: int
    ) -> dict[str, tuple[RawSeries, ...]]:
        """Return every scrape after `start` and up to `end` (unix seconds) of every query, for `recount`.

        A query that is no plain selector has no scrapes; its value at every second stands for them. Raises Unreachable
        if any query is not answered: a recount must not be made from half of the scrapes.
        """
        native = native_queries(checks, slots)
        answers = await self._ask_all(queries_of(checks, slots), lambda query: self._scrapes(query, start, end, native))
        for answer in answers.values():
            if isinstance(answer, str):
                raise Unreachable(f"the scrapes cannot be read: {answer}")
        return {query: answer for query, answer in answers.items() if not isinstance(answer, str)}

    async def preflight(self, checks: Sequence[Check], baseline: SlotMatch, at: int) -> list[Problem]:
        """Say what keeps the checks from being answered for the baseline at unix time `at`; empty if nothing does."""
        reading = await self._read_queries(questions(checks, baseline), at, native_queries(checks, [baseline]))
        faults = {answer.fault for answer in reading.answers.values()}
        if "" not in faults and len(faults) == 1:
            mend = "Check prometheus.url, and that it can be reached from the worker"
            return [Problem("prometheus.url", faults.pop(), mend)]
        return [problem for check in checks for problem in problems_of(check, baseline, reading)]

    async def read_queries(self, queries: Sequence[str], at: int) -> Reading:
        """Return what queries that are no check's say at unix time `at`; failures are in the answers."""
        return await self._read_queries(queries, at, ())

    async def _read_queries(self, queries: Sequence[str], at: int, native: Collection[str]) -> Reading:
        answers = await self._ask_all(queries, lambda query: self._instant(query, at, native))
        return Reading(at, {query: _filled(answer) for query, answer in answers.items()})

    async def _ask_all(self, queries: Iterable[str], ask: Callable[[str], Parsed]) -> dict[str, Parsed | str]:
        """Ask in threads; a text instead of an answer says why there is none."""
        # All ramps of a worker share one limit: one whose queries all hang must leave some of it to the others.
        mine = asyncio.Semaphore(self._of_one_call)

        async def one(query: str) -> Parsed | str:
            async with mine, self._at_once:
                try:
                    return await self._threads.run(lambda: self._guarded(ask, query))
                except Unanswered as error:
                    return str(error)

        asked = {query: asyncio.create_task(one(query)) for query in queries}
        if not asked:
            return {}
        try:
            await asyncio.wait(asked.values(), timeout=self._timeout)
            return {query: task.result() if task.done() else self._late for query, task in asked.items()}
        finally:
            for task in asked.values():
                task.cancel()

    def _guarded(self, ask: Callable[[str], Parsed], query: str) -> Parsed | str:
        try:
            return ask(query)
        except Unanswered as error:
            return str(error)
        except requests.ConnectionError as error:
            root = root_of(error)
            if isinstance(root, TimeoutError | requests.Timeout):
                return self._late
            why = getattr(root, "strerror", None) or str(root) or type(root).__name__
            return f"{self._place} cannot be reached ({why[:EXCERPT]})"
        except requests.Timeout:
            return self._late
        except PrometheusApiClientException as error:
            return f"{self._place} refused the query {query}: {refusal(str(error))}"
        except _NO_ANSWER_OF_PROMETHEUS as error:
            what = f"{type(error).__name__}: {error}"[:EXCERPT]
            return f"{self._place} gave an answer that is none of Prometheus' ({what})"

    def _instant(self, query: str, at: int, native: Collection[str] = ()) -> tuple[Sample, ...]:
        params = {"time": at, "timeout": self._limit, **self._lookback}
        result = self._client.custom_query(query, params=params, timeout=self._timeout)
        if query in native:
            return tuple(
                sample
                for series in series_of(result, query, "histogram", native=True)
                for sample in buckets_of(labels_of(series), pair(series["histogram"])[1])
            )
        return tuple(
            Sample(labels_of(series), float(pair(series["value"])[1])) for series in series_of(result, query, "value")
        )

    def _range(self, times: range, native: Collection[str], query: str) -> list[Column]:
        result = self._client.custom_query_range(
            query,
            start_time=datetime.fromtimestamp(times[0], UTC),
            end_time=datetime.fromtimestamp(times[-1], UTC),
            step=str(times.step),
            params={"timeout": self._limit, **self._lookback},
            timeout=self._timeout,
        )
        if query in native:
            by_bucket = counts_by_bucket(series_of(result, query, "histograms", native=True))
            return [Column(labels, at_times(times, points)) for labels, points in by_bucket.items()]
        return [
            Column(labels_of(series), at_times(times, series["values"]))
            for series in series_of(result, query, "values")
        ]

    def _scrapes(self, query: str, start: int, end: int, native: Collection[str]) -> tuple[RawSeries, ...]:
        resolution = "" if _SELECTOR.fullmatch(_QUOTED.sub('""', query)) else ":1s"
        selector = f"{query if not resolution else f'({query})'}[{max(1, end - start)}s{resolution}]"
        result = self._client.custom_query(
            selector, params={"time": end, "timeout": self._limit}, timeout=self._timeout
        )
        if query in native:
            by_bucket = counts_by_bucket(series_of(result, query, "histograms", native=True))
        else:
            by_bucket = {
                labels_of(series): [(float(at), float(value)) for at, value in map(pair, series["values"])]
                for series in series_of(result, query, "values")
            }
        return tuple(
            RawSeries(labels, [at for at, _ in points], [value for _, value in points])
            for labels, points in by_bucket.items()
        )

    @property
    def _late(self) -> str:
        return f"{self._place} did not answer within {self._timeout:g} s"

    @property
    def _limit(self) -> str:
        return f"{max(1, round(self._timeout * 1000))}ms"


def _just_the_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authentication by what is in the headers; without one, requests would put a password of ~/.netrc over them."""
    return request


def _filled(answer: tuple[Sample, ...] | str) -> Answer:
    return Answer(fault=answer) if isinstance(answer, str) else Answer(answer)


def _place(url: str) -> str:
    """Return the address for messages, without a password that may be in it."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"Prometheus at {parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"
