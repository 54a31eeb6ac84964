"""The strategies beside the salted hash, the lists, and what the gateway's Lua makes of the same ids."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa import luajit21

from gateway.lua import LuaValue, bucket_script
from tailramp.buckets import BucketFunction, Resolution, Strategy

VECTORS = json.loads(Path(__file__).parents[1].joinpath("vectors", "buckets.json").read_text(encoding="utf-8"))
SALT = VECTORS["salt"]
TAILS = [
    (Strategy(name), user, bucket) for name in ("legacy_base36", "tail2") for user, bucket in VECTORS[name].items()
]


def in_lua(
    strategy: Strategy, resolution: Resolution = 100, *, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()
) -> Callable[[bytes], bytes | None]:
    """The gateway's own function, run by the LuaJIT that Envoy has inside."""
    settings: dict[str, LuaValue] = {
        "strategy": strategy.value,
        "salt": SALT,
        "resolution": resolution,
        "allow": dict.fromkeys(allow, True),
        "deny": dict.fromkeys(deny, True),
        "identity": {"kind": "header", "name": "x-user-id", "max_bytes": 512},
        "probe": {"route": "demo/chat", "path": "/", "window_ms": 10000, "min_secret_bytes": 16},
    }
    runtime = luajit21.LuaRuntime(encoding=None)
    function: Callable[[bytes], bytes | None] = runtime.execute(f"{bucket_script(settings)}\nreturn bucket_of".encode())
    return function


@pytest.mark.parametrize(("strategy", "user", "bucket"), TAILS)
def test_the_vectors_of_the_tails_hold_in_python_and_in_lua(strategy: Strategy, user: str, bucket: str | None) -> None:
    assert BucketFunction("", strategy=strategy)(user) == bucket
    if user:  # the gateway asks for no bucket of nobody
        assert in_lua(strategy)(user.encode()) == (None if bucket is None else bucket.encode())


@given(st.text(alphabet="0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=9))
def test_legacy_base36_is_the_classic_rule_wherever_that_is_sound(user: str) -> None:
    """56a + 96b + 36c + d modulo 100 of the digits' values: the powers of 36 modulo 100."""
    values = [int(digit, 36) for digit in user[-4:].rjust(4, "0")]
    weighed = sum(weight * value for weight, value in zip((56, 96, 36, 1), values, strict=True)) % 100
    assert (
        BucketFunction("", strategy=Strategy.LEGACY_BASE36)(user)
        == f"{weighed:02d}"
        == f"{int(user[-4:], 36) % 100:02d}"
    )


@given(st.text())
def test_a_tail_gives_a_bucket_or_none_and_never_raises(user: str) -> None:
    for strategy in (Strategy.LEGACY_BASE36, Strategy.TAIL2):
        bucket = BucketFunction("", strategy=strategy)(user)
        assert bucket is None or (len(bucket) == 2 and bucket.isascii() and bucket.isdigit())


@pytest.mark.parametrize("strategy", [Strategy.LEGACY_BASE36, Strategy.TAIL2])
def test_a_tail_has_no_ten_thousand_buckets(strategy: Strategy) -> None:
    with pytest.raises(ValueError, match=f"{strategy} has no resolution 10000"):
        BucketFunction("", 10000, strategy)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_who_is_denied_has_no_bucket_and_who_is_allowed_the_first(strategy: Strategy) -> None:
    plain = BucketFunction(SALT, strategy=strategy)
    ada, bob, eve = (plain.digest_of(user) for user in ("ada12", "bob34", "eve56"))
    listed = BucketFunction(SALT, strategy=strategy, allow=[ada, bob], deny=[eve, bob])
    lua = in_lua(strategy, allow=(ada, bob), deny=(eve, bob))
    for user, expected in {"ada12": "00", "bob34": None, "eve56": None, "joe78": plain("joe78")}.items():
        assert listed(user) == expected
        assert lua(user.encode()) == (None if expected is None else expected.encode())


def test_an_allowed_user_of_ten_thousand_buckets_is_in_the_first_of_them() -> None:
    digest = BucketFunction(SALT).digest_of("ada")
    assert BucketFunction(SALT, 10000, allow=[digest])("ada") == "0000"
    assert in_lua(Strategy.SHA256, 10000, allow=(digest,))(b"ada") == b"0000"


def any_ids(count: int) -> Iterator[str]:
    """Ids of the kinds that services have, and of kinds that none should have."""
    source = random.Random(2026)
    letters = "用户甲乙丙编号测试龍éß😀🚀👩‍💻١٢٣１２Ⅷ-_ +.,:@/%\t\x01\x7f"
    kinds: list[Callable[[], str]] = [
        lambda: f"{source.randrange(13_000_000_000, 20_000_000_000)}",
        lambda: str(uuid.UUID(int=source.getrandbits(128))),
        lambda: "".join(source.choices("0123456789abcdefXYZ", k=source.randint(1, 12))),
        lambda: "".join(source.choices(letters, k=source.randint(1, 20))),
        lambda: "".join(source.choices(letters + "0123456789" * 3, k=source.randint(1, 70))),
        lambda: f"user{source.randrange(10**6)}@例子.中国",
        lambda: source.randbytes(source.randint(1, 90)).decode("utf-8", "surrogateescape"),
    ]
    return (source.choice(kinds)() for _ in range(count))


@pytest.mark.parametrize(
    ("strategy", "resolution"),
    [(Strategy.SHA256, 100), (Strategy.SHA256, 10000), (Strategy.LEGACY_BASE36, 100), (Strategy.TAIL2, 100)],
)
def test_lua_and_python_agree_on_a_hundred_thousand_ids(strategy: Strategy, resolution: Resolution) -> None:
    python, lua = BucketFunction(SALT, resolution, strategy), in_lua(strategy, resolution)
    with_bucket = 0
    for user in any_ids(100_000):
        bucket, computed = python(user), lua(user.encode("utf-8", "surrogateescape"))
        assert computed == (None if bucket is None else bucket.encode()), user
        with_bucket += bucket is not None
    assert with_bucket > 20_000
