"""Questions to the gateway that users would ask, with the answer known beforehand.

Who answered is told by ``X-Tailramp-Variant``.  Ordinary probes carry an ordinary user id, none, or a forged bucket
header: they show what users get.  Signed probes (``tailramp.probe_token``) name their bucket, so that the edges of a
set are asked for exactly; they need ``router.probeSecret``.  Every probe is a cheap GET.
"""

import asyncio
import itertools
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Refused
from tailramp.probe_token import ECHO_HEADER, NO_BUCKET, PROBE_HEADER, Echo, bucket_value, key_from, sign, user_value
from tailramp.proof import Answer, Evidence, Finding
from tailramp.secret_reference import resolve
from tailramp.spec import PlatformFile

_TIMEOUT = aiohttp.ClientTimeout(total=3.0)
_VARIANT = "X-Tailramp-Variant"
_MAX_IDS = 200_000
_AT_ONCE = 8
_EDGES = 8  # of one rule's buckets, and as many of the buckets beside them

# Of the kinds that services use: a gateway that decodes, trims, folds or cuts ids differs on some of them.
COMPARED_USERS = (
    *(f"138{number * 7_654_321 % 100_000_000:08d}" for number in range(1, 9)),
    *("0", "7", "u1", "U1", "user@example.com", "a+b/c=d", "%41", "two  words"),
    *("3f2b8c1e-5d47-4a90-9b7e-0c6d2e81f3aa", "用户甲", "émile-😀", "x" * 120),
)


@dataclass(frozen=True)
class _Response:
    status: int
    variant: str | None
    echo: Echo | None


class Prober:
    """Probes one route through its real gateway.

    ``environment`` holds the probe secret; ``now`` is the wall clock in seconds.  A secret that cannot be had is no
    error here: what only a signed probe can tell is UNKNOWN then, and says why.
    """

    def __init__(
        self,
        platform: PlatformFile,
        http: aiohttp.ClientSession,
        *,
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._route = platform.route.full_name
        self._identity = platform.identity
        self._url = URL(f"{platform.router.gateway.rstrip('/')}{platform.router.probe_path}")
        self._bucket_of = platform.identity.bucket_function
        self._http = http
        self._now = now
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.signs = platform.router.probe_secret is not None
        self._key: bytes | str = "the platform file has no router.probeSecret"
        if platform.router.probe_secret is not None:
            try:
                self._key = key_from(resolve(platform.router.probe_secret, environment))
            except Refused as error:
                self._key = str(error)

    async def probe(self, assignment: Assignment) -> Evidence:
        """Ask for every rule, for everybody else, for nobody and for a forger."""
        ruled = BucketSet(resolution=self._identity.resolution)
        questions: list[Coroutine[None, None, Finding]] = []
        for rule in assignment.rules:
            if self.signs:
                questions += self._edges(rule, assignment)
            questions += self._users_in(rule.buckets.__contains__, assignment)
            ruled = ruled.union(rule.buckets)
        questions += self._users_in(lambda bucket: bucket not in ruled, assignment)
        questions.append(self._ask("a user without an id", None, assignment.default))
        for bucket in ruled.first(1):
            forged = [("X-User-Bucket", bucket), ("x-user-bucket", bucket), ("X_User_Bucket", bucket)]
            questions.append(self._ask(f"a forged bucket {bucket} without an id", None, assignment.default, forged))
        return Evidence(findings=tuple(await asyncio.gather(*questions)), proof="probes")

    async def probe_members(self, buckets: BucketSet, slot: str) -> Evidence:
        """Ask whether users in ``buckets`` are served by ``slot``."""
        assignment = Assignment(default=slot)
        questions = self._users_in(buckets.__contains__, assignment)
        if self.signs:
            questions += [self._ask_bucket(bucket, None, slot) for bucket in _edges_of(buckets)]
        return Evidence(findings=tuple(await asyncio.gather(*questions)), proof="probes")

    async def compare_buckets(self) -> Evidence:
        """Ask whether the gateway computes the same buckets as this process does, for 20 user ids of many kinds.

        Only signed probes can tell: without a secret the answer is one UNKNOWN.
        """
        if isinstance(self._key, str):
            question = "the gateway computes the same buckets"
            return Evidence(findings=(Finding(question=question, answer=Answer.UNKNOWN, seen=self._key),))
        findings = await asyncio.gather(*(self._compare(user) for user in COMPARED_USERS))
        return Evidence(findings=tuple(findings), proof="probes")

    def _edges(self, rule: Rule, assignment: Assignment) -> list[Coroutine[None, None, Finding]]:
        """Signed questions where a wrong pattern would show: at both ends of every run, and just beyond them."""
        inside, outside = _edges_of(rule.buckets), _neighbours_of(rule.buckets)
        segments: Iterator[str | None] = itertools.cycle(rule.segments or (None,))
        asked: list[tuple[str, str | None]] = [(bucket, next(segments)) for bucket in (*inside, *outside)]
        if rule.segments:
            asked.append((inside[0], None))
        return [
            self._ask_bucket(bucket, segment, assignment.slot_for(bucket, segment))
            for bucket, segment in dict.fromkeys(asked)
        ]

    def _users_in(self, wanted: Callable[[str], bool], assignment: Assignment) -> list[Coroutine[None, None, Finding]]:
        """Ordinary questions of users whose bucket is wanted; beside the edges, one shows that ids are read.

        None where nobody but its issuer can make an id.
        """
        if not self._identity.can_be_sent:
            return []
        return [
            self._ask(f"user {user} in bucket {bucket}", user, assignment.slot_for(bucket))
            for user, bucket in self._users(wanted, count=1 if self.signs else 2)
        ]

    def _users(self, wanted: Callable[[str], bool], count: int) -> Iterator[tuple[str, str]]:
        """The first ``count`` probe ids whose bucket is wanted, with it; fewer if nobody's is."""
        numbered = (f"tailramp-probe-{number}" for number in range(_MAX_IDS))
        with_bucket = ((user, self._bucket_of(user)) for user in numbered)
        return itertools.islice(((user, bucket) for user, bucket in with_bucket if bucket and wanted(bucket)), count)

    async def _ask(self, who: str, user: str | None, slot: str, headers: Iterable[tuple[str, str]] = ()) -> Finding:
        sent = [*headers, *(self._identity.sent_by(user) if user is not None else [])]
        return _served(f"{who} is served by {slot}", await self._get(sent), slot)

    async def _ask_bucket(self, bucket: str, segment: str | None, slot: str) -> Finding:
        question = f"bucket {bucket}{f' with {segment}' if segment else ''} is served by {slot}"
        answered = await self._get_signed(bucket_value(bucket, segment))
        if isinstance(answered, str):
            return Finding(question=question, answer=Answer.UNKNOWN, seen=answered)
        response, taken_as = answered
        if taken_as != (bucket if segment is None else f"{bucket}_{segment}"):
            return Finding(question=question, answer=Answer.UNKNOWN, seen=f"the gateway took it for bucket {taken_as}")
        return _served(question, response, slot)

    async def _compare(self, user: str) -> Finding:
        bucket = self._bucket_of(user) or NO_BUCKET
        question = f"the gateway puts user {_short(user)} into bucket {bucket}"
        if bucket == NO_BUCKET:
            question = f"the gateway gives user {_short(user)} no bucket"
        answered = await self._get_signed(user_value(user))
        if isinstance(answered, str):
            return Finding(question=question, answer=Answer.UNKNOWN, seen=answered)
        _, computed = answered
        seen = "none" if computed == NO_BUCKET else f"into {computed}"
        return Finding(question=question, answer=Answer.YES if computed == bucket else Answer.NO, seen=seen)

    async def _get_signed(self, value: str) -> tuple[_Response, str] | str:
        """The answer to a signed probe and the bucket that the gateway took it for; or why that is not known."""
        if isinstance(self._key, str):
            return self._key
        nonce, path, time_ms = secrets.token_hex(16), self._url.raw_path_qs, int(self._now() * 1000)
        token = sign(self._key, route=self._route, path=path, value=value, time_ms=time_ms, nonce=nonce)
        response = await self._get([(PROBE_HEADER, token)])
        if isinstance(response, str):
            return response
        if response.echo is None:
            return (
                f"status {response.status} without {ECHO_HEADER}: the gateway did not accept the probe (another "
                "secret, route name or probe path, or clocks more than 10 s apart)"
            )
        if response.echo.nonce != nonce:
            return f"status {response.status} with the {ECHO_HEADER} of another probe"
        return response, response.echo.bucket

    async def _get(self, headers: list[tuple[str, str]]) -> _Response | str:
        """The response's head, or why there is none."""
        try:
            async with (
                self._at_once,
                self._http.get(self._url, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as response,
            ):
                await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"no response: {str(error) or type(error).__name__}"
        echoes = response.headers.getall(ECHO_HEADER, [])
        echo = Echo.parse(echoes[0]) if len(echoes) == 1 else None
        return _Response(response.status, response.headers.get(_VARIANT), echo)


def _served(question: str, response: _Response | str, slot: str) -> Finding:
    if isinstance(response, str):
        return Finding(question=question, answer=Answer.UNKNOWN, seen=response)
    if response.variant is None:
        seen = f"status {response.status} without {_VARIANT}"
        return Finding(question=question, answer=Answer.UNKNOWN, seen=seen)
    answer = Answer.YES if response.variant == slot else Answer.NO
    return Finding(question=question, answer=answer, seen=f"{response.variant}, status {response.status}")


def _edges_of(buckets: BucketSet) -> list[str]:
    """Buckets of the set that have a neighbour outside of it, or are the first or last of all; at most ``_EDGES``."""
    members = set(buckets.numbers)
    return _spread(buckets, (number for number in members if not {number - 1, number + 1} <= members))


def _neighbours_of(buckets: BucketSet) -> list[str]:
    """Buckets outside of the set that have a neighbour in it; at most ``_EDGES``."""
    members = set(buckets.numbers)
    beside = {number + step for number in members for step in (-1, 1)} - members
    return _spread(buckets, (number for number in beside if 0 <= number < buckets.resolution))


def _spread(buckets: BucketSet, numbers: Iterable[int]) -> list[str]:
    """At most ``_EDGES`` of the numbers, the lowest and the highest among them, as buckets."""
    ordered = sorted(numbers)
    if len(ordered) > _EDGES:
        ordered = [ordered[index * (len(ordered) - 1) // (_EDGES - 1)] for index in range(_EDGES)]
    return list(BucketSet(tuple(ordered), buckets.resolution))


def _short(user: str) -> str:
    return user if len(user) <= 40 else f"{user[:20]}… ({len(user)} characters)"
