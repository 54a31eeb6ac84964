"""Questions to the gateway that users would ask, with the answer known beforehand.

A probe is an ordinary cheap GET with an ordinary user id whose bucket this process computes itself: in the set, outside
of it, without an id, and with a forged bucket header.  Who answered is told by ``X-Tailramp-Variant``.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator

import aiohttp

from tailramp.assignment import Assignment
from tailramp.buckets import BucketFunction, BucketSet
from tailramp.proof import Answer, Evidence, Finding
from tailramp.spec import PlatformFile

_TIMEOUT = aiohttp.ClientTimeout(total=3.0)
_VARIANT = "X-Tailramp-Variant"
_MAX_IDS = 200_000


class Prober:
    """Probes one route through its real gateway."""

    def __init__(self, platform: PlatformFile, http: aiohttp.ClientSession) -> None:
        self._router = platform.router
        self._identity = platform.identity
        self._bucket_of = BucketFunction(platform.identity.salt, platform.identity.resolution)
        self._http = http

    async def probe(self, assignment: Assignment) -> Evidence:
        """Ask for every rule, for everybody else, for nobody and for a forger, all at once."""
        ruled = BucketSet(resolution=self._identity.resolution)
        questions: list[Coroutine[None, None, Finding]] = []
        for rule in assignment.rules:
            questions += self._questions(rule.buckets.__contains__, rule.slot)
            ruled = ruled.union(rule.buckets)
        questions += self._questions(lambda bucket: bucket not in ruled, assignment.default)
        questions.append(self._ask("a user without an id", None, assignment.default))
        for bucket in ruled.first(1):
            forged = [("X-User-Bucket", bucket), ("x-user-bucket", bucket), ("X_User_Bucket", bucket)]
            questions.append(self._ask(f"a forged bucket {bucket} without an id", None, assignment.default, forged))
        return Evidence(findings=tuple(await asyncio.gather(*questions)), proof="probes")

    async def probe_members(self, buckets: BucketSet, slot: str) -> Evidence:
        """Ask whether users in ``buckets`` are served by ``slot``."""
        findings = await asyncio.gather(*self._questions(buckets.__contains__, slot))
        return Evidence(findings=tuple(findings), proof="probes")

    def _questions(self, wanted: Callable[[str], bool], slot: str) -> list[Coroutine[None, None, Finding]]:
        return [
            self._ask(f"user {user} in bucket {self._bucket_of(user)}", user, slot)
            for user in self._users(wanted, count=2)
        ]

    def _users(self, wanted: Callable[[str], bool], count: int) -> Iterator[str]:
        """The first ``count`` probe ids whose bucket is wanted; fewer if nobody's is."""
        found = 0
        for number in range(_MAX_IDS):
            user = f"tailramp-probe-{number}"
            if wanted(self._bucket_of(user)):
                yield user
                found += 1
                if found == count:
                    return

    async def _ask(
        self, who: str, user: str | None, slot: str, headers: list[tuple[str, str]] | None = None
    ) -> Finding:
        question = f"{who} is served by {slot}"
        sent = [*(headers or []), *([(self._identity.header, user)] if user is not None else [])]
        url = f"{self._router.gateway.rstrip('/')}{self._router.probe_path}"
        try:
            async with self._http.get(url, headers=sent, timeout=_TIMEOUT) as response:
                await response.read()
                variant = response.headers.get(_VARIANT)
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return Finding(question=question, answer=Answer.UNKNOWN, seen=f"no response: {error!r}")
        if variant is None:
            return Finding(question=question, answer=Answer.UNKNOWN, seen=f"status {status} without {_VARIANT}")
        answer = Answer.YES if variant == slot else Answer.NO
        return Finding(question=question, answer=answer, seen=f"{variant}, status {status}")
