"""Who the lab's synthetic users are, and when each of them asks.

A ramp promises things about *users*: the same user stays with the same version, a user outside the set never meets
the candidate, a forged header changes nothing. Only a known population can show that it keeps them, so everything here
follows from one seed. The ids are as mixed as those that real gateways see, because a bucket rule that is fair on UUIDs
may be badly skewed on phone numbers, and a non-ASCII id is hashed by its bytes.

The arrival times are fixed before the first request is sent. A client that decided them as it went would slow down
together with a slow candidate and so hide what it does to its users.
"""

import itertools
import math
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailramp.buckets import BucketFunction

CORE_USERS = 500
OTHER_USERS = 20_000
CORE_MINIMUM = 30
"""Requests that every core user sends at least, over the whole run."""

# A tenth more than the minimum, so that a run stopped a little early still reaches it.
_CORE_REQUESTS = math.ceil(CORE_MINIMUM * 1.1)

_MOBILE_PREFIXES = ("130", "135", "136", "138", "139", "150", "158", "159", "176", "180", "186", "189", "198")
_SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡林郭何高罗"
_GIVEN_NAMES = (
    "伟",
    "芳",
    "娜",
    "敏",
    "静",
    "磊",
    "洋",
    "艳",
    "杰",
    "娟",
    "涛",
    "明",
    "秀英",
    "丽华",
    "建国",
    "子涵",
    "欣怡",
)
_NAME_SUFFIXES = ("-{:04d}", "_{:04d}", "@研发{:03d}组", "·华东{:04d}")


class Forgery(StrEnum):
    """A way to claim a bucket that is not one's own."""

    DUPLICATED = "duplicated"
    """The header twice, for gateways that remove or overwrite only one of two."""
    UNDERSCORES = "underscores"
    """The alias that servers with CGI roots read as the same header."""
    LOWER_CASE = "lower_case"
    TWO_DIMENSIONAL = "two_dimensional"
    """The key of bucket and segment."""


def forged_headers(forgery: Forgery, bucket: str = "00") -> tuple[tuple[str, str], ...]:
    """The header lines, in order and spelling, that claim `bucket`."""
    match forgery:
        case Forgery.DUPLICATED:
            return (("X-User-Bucket", bucket), ("X-User-Bucket", bucket))
        case Forgery.UNDERSCORES:
            return (("X_User_Bucket", bucket),)
        case Forgery.LOWER_CASE:
            return (("x-user-bucket", bucket),)
        case Forgery.TWO_DIMENSIONAL:
            return (("X-User-Bucket-2D", f"{bucket}_VIP"),)


@dataclass(frozen=True)
class UserPopulation:
    """User ids, all different. An id is 1 to 64 bytes of UTF-8 without control characters, commas or blanks."""

    core: tuple[str, ...]
    """Those who come back often enough to notice a change of version."""
    others: tuple[str, ...]


def populate(seed: int, core: int = CORE_USERS, others: int = OTHER_USERS) -> UserPopulation:
    """The population of this seed; the same arguments give the same ids in the same order."""
    if core < 1 or others < 1:
        raise ValueError(f"a population of {core} core and {others} other users is none: give at least 1 of each")
    random_source = random.Random(seed)
    kinds: tuple[Callable[[random.Random], str], ...] = (_mobile_number, _uuid, _staff_id, _chinese_name)
    drawn = random_source.choices(kinds, weights=(45, 25, 15, 15), k=core + others)
    ids: dict[str, None] = {}
    for kind in drawn:
        user = kind(random_source)
        while user in ids:
            user = kind(random_source)
        ids[user] = None
    everyone = tuple(ids)
    return UserPopulation(core=everyone[:core], others=everyone[core:])


def _mobile_number(random_source: random.Random) -> str:
    return f"{random_source.choice(_MOBILE_PREFIXES)}{random_source.randrange(10**8):08d}"


def _uuid(random_source: random.Random) -> str:
    return str(uuid.UUID(int=random_source.getrandbits(128), version=4))


def _staff_id(random_source: random.Random) -> str:
    return f"emp-{random_source.randrange(10**5):05d}"


def _chinese_name(random_source: random.Random) -> str:
    name = random_source.choice(_SURNAMES) + random_source.choice(_GIVEN_NAMES)
    return name + random_source.choice(_NAME_SUFFIXES).format(random_source.randrange(1000))


def users_in(bucket: str, compute: BucketFunction, count: int) -> list[str]:
    """The first `count` of the ids `user-0`, `user-1` … that fall into `bucket`."""
    found = (user for number in itertools.count() if compute(user := f"user-{number}") == bucket)
    return list(itertools.islice(found, count))


class Arrival(NamedTuple):
    """One request to send."""

    due: float
    """Seconds after the start of the run."""
    user: str | None
    """None for a request without a user id."""
    forgery: Forgery | None


@dataclass(frozen=True)
class Traffic:
    """How much the population asks. Rates are requests per second; shares are fractions of all requests."""

    rate: float
    duration: float
    """Seconds."""
    core_rate: float | None = None
    """Of all core users together; by default what takes each of them a tenth above `CORE_MINIMUM`."""
    anonymous_share: float = 0.03
    forged_share: float = 0.03

    def __post_init__(self) -> None:
        for name in ("rate", "duration"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value:g}: give a number above 0")
        for name in ("anonymous_share", "forged_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value:g}: give a fraction from 0 to 1")

    def core_requests(self, core: int) -> int:
        """Requests of each of `core` core users; raises ValueError when they cannot all reach the minimum."""
        each = _CORE_REQUESTS if self.core_rate is None else int(self.core_rate * self.duration / core)
        if each < CORE_MINIMUM:
            raise ValueError(
                f"core_rate {self.core_rate:g}/s gives each of {core} core users {each} requests in {self.duration:g} s"
                f" where {CORE_MINIMUM} are promised: raise it to {CORE_MINIMUM * core / self.duration:.1f},"
                " or lengthen the run"
            )
        needed = each * core / self.duration
        if needed > self.rate:
            raise ValueError(
                f"{core} core users with {each} requests each in {self.duration:g} s are {needed:.1f}/s, and the whole"
                f" rate is {self.rate:g}/s: raise it, or lengthen the run to {math.ceil(each * core / self.rate)} s"
            )
        return each


def arrivals(population: UserPopulation, traffic: Traffic, seed: int) -> list[Arrival]:
    """Every request of the run in order of time; the same arguments give the same list.

    A core user's requests are evenly spaced with a jitter of half a space. All others arrive as a Poisson process in
    which nobody comes twice before everybody has come once; requests without an id are spread among them.
    """
    random_source = np.random.default_rng(seed)
    core = len(population.core)
    each = traffic.core_requests(core)
    spacing = traffic.duration / each
    phase = random_source.uniform(0, 0.5, size=(core, 1))
    jitter = random_source.uniform(0, 0.5, size=(core, each))
    core_due = ((np.arange(each) + phase + jitter) * spacing).ravel()
    core_user = np.repeat(np.arange(core), each)

    rest = int(random_source.poisson(max(0.0, traffic.rate * traffic.duration - core * each)))
    rest_due = random_source.uniform(0, traffic.duration, size=rest)
    rest_user = core + _taking_turns(len(population.others), rest, random_source)
    anonymous = min(1.0, traffic.anonymous_share * (rest + core * each) / max(1, rest))
    rest_user[random_source.random(rest) < anonymous] = -1

    due = np.concatenate([core_due, rest_due])
    user = np.concatenate([core_user, rest_user])
    forged = random_source.random(len(due)) < traffic.forged_share
    forgery = np.where(forged, random_source.integers(len(Forgery), size=len(due)), -1)
    order = np.argsort(due, kind="stable")
    return list(_named(population, due[order], user[order], forgery[order]))


def _taking_turns(people: int, requests: int, random_source: np.random.Generator) -> NDArray[np.int64]:
    rounds = [random_source.permutation(people) for _ in range(-(-requests // people))]
    return np.concatenate([np.empty(0, dtype=np.int64), *rounds])[:requests]


def _named(
    population: UserPopulation, due: NDArray[np.float64], user: NDArray[np.int64], forgery: NDArray[np.int64]
) -> Iterator[Arrival]:
    everyone: tuple[str | None, ...] = (*population.core, *population.others, None)
    forgeries: tuple[Forgery | None, ...] = (*Forgery, None)
    for at, who, how in zip(due.tolist(), user.tolist(), forgery.tolist(), strict=True):
        yield Arrival(at, everyone[who], forgeries[how])
