"""Ids of users that a gateway could read otherwise than Python does, and the question whether it does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from running_envoy import RunningGateway, expected_bucket

_ALPHABET = "用户甲乙丙的编号测试龍éß😀🚀👩‍💻 a1"


def two_thousand_ids(seed: int) -> list[str]:
    """Numbers, every length around the 64-byte blocks of the hash up to the longest id that counts, and words."""
    source = random.Random(seed)
    ids = [f"{source.randrange(13_000_000_000, 20_000_000_000)}" for _ in range(500)]
    ids += ["".join(source.choices("abcdefXYZ0189-._@+/", k=length)) for length in range(1, 513)]
    while len(ids) < 2000:
        uid = "".join(source.choices(_ALPHABET, k=source.randint(1, 120))).strip()
        if 0 < len(uid.encode()) <= 512:
            ids.append(uid)
    return ids


async def misread(gateway: RunningGateway, ids: Sequence[str]) -> list[str]:
    """Those of ``ids`` to which the gateway, at resolution 10000, gives another bucket than Python."""

    async def differs(uid: str) -> bool:
        return (await gateway.get(("x-user-id", uid))).bucket != expected_bucket(uid)

    wrong: list[str] = []
    for start in range(0, len(ids), 20):
        batch = ids[start : start + 20]
        wrong += [uid for uid, bad in zip(batch, await asyncio.gather(*map(differs, batch)), strict=True) if bad]
    return wrong
