"""User ids from cookies, verified tokens and API keys, and the strategies beside the hash, through a real Envoy."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from running_envoy import ROUTE, SALT, RunningEnvoy, StartGateway, expected_bucket, until
from running_envoy import route_document as routes

from gateway.envoy import EnvoyGateway
from tailramp.buckets import ENVOY_PROGRAM_SIZE, BucketFunction, BucketSet, Strategy, program_size
from tailramp.probe_token import NO_BUCKET, Echo, key_from, sign, user_value

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "buckets.json").read_text("utf-8"))
KEY = b"a key that the issuer and its verifier share, of 256 bits and more"
EVERYONE = {"green": "^(?:[0-9][0-9][0-9][0-9])$"}
SECRET = "0123456789abcdef0123456789abcdef"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims: dict[str, Any], *, key: bytes = KEY, algorithm: str = "HS256", late: int = 0) -> str:
    """A token of the issuer, good for a minute, unless another key, algorithm or time is asked for."""
    claims = {"iss": "https://id.example.cn", "exp": int(time.time()) + 60 - late, **claims}
    head = encoded(json.dumps({"alg": algorithm, "typ": "JWT", "kid": "k1"}).encode())
    signed = f"{head}.{encoded(json.dumps(claims, ensure_ascii=False).encode())}"
    mac = encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())
    return f"{signed}.{mac if algorithm == 'HS256' else ''}"


@pytest.fixture
def issuer(tmp_path: Path) -> dict[str, Any]:
    keys = {"keys": [{"kty": "oct", "alg": "HS256", "kid": "k1", "k": encoded(KEY)}]}
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(keys))
    return {"issuer": "https://id.example.cn", "audiences": ["llm"], "jwks_file": file}


COOKIES: dict[str, tuple[list[tuple[str, str]], str | None]] = {
    "alone": ([("cookie", "uid=u1")], "u1"),
    "among others": ([("cookie", "a=b; uid=u1; c=d")], "u1"),
    "without blanks": ([("cookie", "a=b;uid=u1;c=d")], "u1"),
    "in another header": ([("cookie", "a=b"), ("cookie", "uid=u1")], "u1"),
    "with an = in it": ([("cookie", "uid=dTE==")], "dTE=="),
    "in quotes": ([("cookie", 'uid="u1"')], '"u1"'),
    "Chinese": ([("cookie", "uid=用户甲")], "用户甲"),
    "none": ([], None),
    "empty": ([("cookie", "uid=")], None),
    "another": ([("cookie", "uid2=u1; xuid=u1; UID=u1")], None),
    "without a value": ([("cookie", "uid; a=b")], None),
    "twice": ([("cookie", "uid=u1; uid=u2")], None),
    "twice the same": ([("cookie", "uid=u1; uid=u1")], None),
    "twice in two headers": ([("cookie", "uid=u1"), ("cookie", "uid=u1")], None),
    "as a header": ([("uid", "u1"), ("x-user-id", "u1")], None),
    "garbage": ([("cookie", ";;=;=uid;uid")], None),
    "too long": ([("cookie", f"uid={'a' * 513}")], None),
}


async def test_the_id_comes_from_one_clear_cookie(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(routes(EVERYONE, "blue", "1"), identity_cookie="uid")
    for name, (headers, uid) in COOKIES.items():
        answer = await envoy.get(*headers)
        expected = (None, "blue") if uid is None else (expected_bucket(uid), "green")
        assert (answer.bucket, answer.slot) == expected, name
    assert await envoy.counter("http.gateway.lua.errors") == 0


async def test_the_key_of_a_caller_stands_for_the_user(start_gateway: StartGateway) -> None:
    envoy = await start_gateway(identity_api_key="Authorization")
    for value, uid in {
        "Bearer sk-1": "sk-1",
        "bearer   sk-1": "sk-1",
        "sk-1": "sk-1",
        "Bearer": "Bearer",
        "Basic YTpi": "Basic YTpi",
    }.items():
        answer = await envoy.get(("authorization", value))
        assert answer.bucket == expected_bucket(uid), value
        assert answer.values("authorization") == [value]
    for headers in ([], [("authorization", "")], [("authorization", "Bearer a"), ("authorization", "Bearer b")]):
        assert (await envoy.get(*headers)).bucket is None


def tokens() -> dict[str, tuple[list[tuple[str, str]], str | None]]:
    good = token({"aud": "llm", "sub": "u1"})
    return {
        "good": ([("authorization", f"Bearer {good}")], "u1"),
        "Chinese": ([("authorization", f"Bearer {token({'aud': 'llm', 'sub': '用户甲'})}")], "用户甲"),
        "an audience among others": ([("authorization", f"Bearer {token({'aud': ['x', 'llm'], 'sub': 'u1'})}")], "u1"),
        "a number, which sub may not be": ([("authorization", f"Bearer {token({'aud': 'llm', 'sub': 7})}")], None),
        "no claim": ([("authorization", f"Bearer {token({'aud': 'llm'})}")], None),
        "none": ([], None),
        "another key": ([("authorization", f"Bearer {token({'aud': 'llm', 'sub': 'u1'}, key=KEY[::-1])}")], None),
        "unsigned": ([("authorization", f"Bearer {token({'aud': 'llm', 'sub': 'u1'}, algorithm='none')}")], None),
        "expired": ([("authorization", f"Bearer {token({'aud': 'llm', 'sub': 'u1'}, late=600)}")], None),
        "another issuer": ([("authorization", f"Bearer {token({'aud': 'llm', 'sub': 'u1', 'iss': 'x'})}")], None),
        "for somebody else": ([("authorization", f"Bearer {token({'aud': 'shop', 'sub': 'u1'})}")], None),
        "garbage": ([("authorization", "Bearer a.b.c")], None),
        "beside it": ([("x-user-id", "u1"), ("sub", "u1")], None),
    }


async def test_only_a_verified_token_tells_who_its_user_is(start_gateway: StartGateway, issuer: dict[str, Any]) -> None:
    envoy = await start_gateway(routes(EVERYONE, "blue", "1"), identity_claim="sub", jwt=issuer)
    for name, (headers, uid) in tokens().items():
        answer = await envoy.get(*headers)
        expected = (200, None, "blue") if uid is None else (200, expected_bucket(uid), "green")
        assert (answer.status, answer.bucket, answer.slot) == expected, name
        assert answer.values("authorization") == [value for key, value in headers if key == "authorization"], name
    good = token({"aud": "llm", "sub": "u1"})
    assert (await envoy.get(path=f"/v1/models?access_token={good}")).bucket is None
    assert await envoy.counter("http.gateway.lua.errors") == 0


async def test_a_claim_may_be_a_number_that_every_reader_keeps(
    start_gateway: StartGateway, issuer: dict[str, Any]
) -> None:
    envoy = await start_gateway(identity_claim="https://example.cn/uid", jwt=issuer)
    kept = {7: "7", 13800001234: "13800001234", 2**53: "9007199254740992", "7": "7", "用户甲": "用户甲"}
    lost = [1.5, 2**53 + 2, True, None, ["u1"], {"a": "u1"}, ""]
    for value, uid in [*kept.items(), *((value, None) for value in lost)]:
        signed = token({"aud": "llm", "https://example.cn/uid": value})
        answer = await envoy.get(("authorization", f"Bearer {signed}"))
        assert answer.bucket == (None if uid is None else expected_bucket(uid)), value
    assert await envoy.counter("http.gateway.lua.errors") == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"identity_cookie": "a", "identity_api_key": "b"}, "the id is in one place"),
        ({"identity_claim": "sub"}, "identity_claim and jwt belong together"),
        ({"identity_api_key": "X-User-Bucket"}, "cannot hold the user id"),
        ({"identity_cookie": "a b"}, "identity_cookie"),
        ({"salt": ""}, "needs a salt"),
        ({"strategy": "tail2", "resolution": 10000}, "use resolution 100"),
        ({"strategy": "md5"}, "sha256"),
        ({"allow": ["13800001234"]}, "allow"),
    ],
)
def test_settings_with_which_users_would_be_lost_are_refused(settings: dict[str, Any], words: str) -> None:
    good = {
        "listener_port": 1,
        "admin_port": 2,
        "route_config_name": ROUTE,
        "route_file": Path("/r.json"),
        "salt": SALT,
        "salt_id": "demo",
        "clusters": {"blue": "127.0.0.1:3"},
    }
    EnvoyGateway.model_validate(good)
    with pytest.raises(ValidationError, match=words):
        EnvoyGateway.model_validate(good | settings)


@pytest.mark.parametrize("strategy", [Strategy.LEGACY_BASE36, Strategy.TAIL2])
async def test_the_tails_of_ids_are_read_by_envoy_as_by_python(start_gateway: StartGateway, strategy: Strategy) -> None:
    envoy = await start_gateway(strategy=strategy, salt="", resolution=100)
    function = BucketFunction("", strategy=strategy)
    for user in [*VECTORS[strategy.value], *VECTORS["tail2"], *(f"user-{number}" for number in range(0, 5000, 37))]:
        if user.strip():
            assert (await envoy.get(("x-user-id", user))).bucket == function(user.strip()), user
    assert await envoy.counter("http.gateway.lua.errors") == 0


async def test_lists_and_probes_of_users_without_a_bucket(start_gateway: StartGateway, tmp_path: Path) -> None:
    function = BucketFunction(SALT)
    ada, eve = function.digest_of("ada"), function.digest_of("eve")
    secret_file = tmp_path / "probe-secret"
    secret_file.write_text(SECRET)
    everyone = routes({"green": "^(?:[0-9][0-9])$"}, "blue", "1")
    envoy = await start_gateway(everyone, resolution=100, allow=[ada], deny=[eve], probe_secret_file=secret_file)
    assert [(await envoy.get(("x-user-id", user))).bucket for user in ("ada", "eve", "u1")] == ["00", None, "19"]
    assert (await envoy.get(("x-user-id", "eve"))).slot == "blue"
    for user, bucket, slot in (("ada", "00", "green"), ("eve", NO_BUCKET, "blue"), ("u1", "19", "green")):
        answer, nonce = await probed(envoy, user)
        assert Echo.parse(answer.headers["x-tailramp-probe-echo"]) == Echo(nonce, bucket)
        assert (answer.slot, answer.bucket) == (slot, None if bucket == NO_BUCKET else bucket)


async def probed(envoy: RunningEnvoy, user: str) -> tuple[Any, str]:
    nonce = secrets.token_hex(16)
    signed = sign(
        key_from(SECRET),
        route=ROUTE,
        path="/v1/models",
        value=user_value(user),
        time_ms=int(time.time() * 1000),
        nonce=nonce,
    )
    return await envoy.get(("x-tailramp-probe", signed), ("x-user-id", "u1")), nonce


async def test_the_pattern_that_is_measured_too_large_is_the_one_that_envoy_refuses(
    start_gateway: StartGateway,
) -> None:
    """Scattered buckets, one more at a time: what we let through, Envoy loads, and not far beyond it, it does not."""
    envoy = await start_gateway(routes({}, "blue", "1"))
    scattered = [number * 7919 % 10000 for number in range(1, 80)]
    fitting = [n for n in range(1, 80) if program_size(pattern_of(scattered[:n])) <= ENVOY_PROGRAM_SIZE][-1]
    loaded, refused = pattern_of(scattered[:fitting]), pattern_of(scattered[: fitting + 15])

    envoy.write_routes(routes({"green": loaded}, "blue", "2"))

    async def serves(bucket_of: str) -> bool:
        return (await envoy.get(("x-user-id", bucket_of))).slot == "green"

    member = next(f"u{n}" for n in range(100_000) if expected_bucket(f"u{n}") == f"{scattered[0]:04d}")
    await until(lambda: serves(member), "the fitting pattern is served")
    envoy.write_routes(routes({"green": refused}, "blue", "3"))

    async def is_refused() -> bool:
        return await envoy.rds("update_rejected") == 1

    await until(is_refused, "the large pattern is refused")
    assert await serves(member)


def pattern_of(numbers: list[int]) -> str:
    return BucketSet(tuple(numbers), 10000).pattern()
