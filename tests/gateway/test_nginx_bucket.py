"""The bucket and the label that a request arrives with, through a real nginx: written by nobody but the gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running_envoy import expected_bucket, until
from running_nginx import StartNginx, document, needs_nginx
from sample_ids import misread, two_thousand_ids

from lab.sample_route import on_green, user_in
from tailramp.assignment import Assignment
from tailramp.buckets import BucketFunction, Strategy

pytestmark = needs_nginx

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "buckets.json").read_text("utf-8"))
U1 = ("x-user-id", "u1")
NOBODY = document(Assignment(default="blue"))
HALF = document(on_green("00-49"))


@pytest.mark.parametrize("resolution", [100, 10000])
async def test_nginx_gives_the_shared_vectors(start_nginx: StartNginx, resolution: int) -> None:
    nginx = await start_nginx(NOBODY, salt=VECTORS["salt"], resolution=resolution)
    for vector in VECTORS["vectors"]:
        expected = f"{vector['bucket'] // 100:02d}" if resolution == 100 else f"{vector['bucket']:04d}"
        assert (await nginx.get(("x-user-id", vector["user"]))).bucket == expected


async def test_nginx_and_python_agree_on_two_thousand_user_ids(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(NOBODY, resolution=10000)
    assert await misread(nginx, two_thousand_ids(20261)) == []


@pytest.mark.parametrize("strategy", [Strategy.LEGACY_BASE36, Strategy.TAIL2])
async def test_the_tails_of_ids_are_read_by_nginx_as_by_python(start_nginx: StartNginx, strategy: Strategy) -> None:
    nginx = await start_nginx(NOBODY, strategy=strategy, salt="")
    function = BucketFunction("", strategy=strategy)
    for user in [*VECTORS[strategy.value], *VECTORS["tail2"], *(f"user-{number}" for number in range(0, 5000, 97))]:
        if user.strip():
            assert (await nginx.get(("x-user-id", user))).bucket == function(user.strip()), user


@pytest.mark.parametrize(
    "salt", ['"', "'", "\\", "]]", "--", "\n", "\0", "}", "{", "盐 2026", "@salt@", "x" * 300, "$salt"]
)
async def test_any_salt_survives_the_way_into_nginx(start_nginx: StartNginx, salt: str) -> None:
    nginx = await start_nginx(NOBODY, salt=salt, resolution=10000)
    for uid in ("u1", "用户甲"):
        assert (await nginx.get(("x-user-id", uid))).bucket == expected_bucket(uid, salt)


async def test_lists_of_users_count_in_nginx_too(start_nginx: StartNginx) -> None:
    function = BucketFunction("demo-2026")
    many = [function.digest_of(f"user {number}") for number in range(3000)]
    nginx = await start_nginx(NOBODY, allow=[function.digest_of("ada"), *many], deny=[function.digest_of("eve")])
    users = ("ada", "user 7", "eve", "u1")
    assert [(await nginx.get(("x-user-id", user))).bucket for user in users] == ["00", "00", None, "19"]


FORGERIES: dict[str, list[tuple[str, str]]] = {
    "label": [("X-Model-Route", "green")],
    "label twice": [("x-model-route", "green"), ("X-MODEL-ROUTE", "green")],
    "label with underscores": [("X_Model_Route", "green"), ("x-model_route", "green")],
    "label as hop-by-hop": [("Connection", "x-model-route"), ("x-model-route", "green")],
    "bucket": [("x-user-bucket", "03")],
    "bucket twice": [("X-USER-BUCKET", "03"), ("X-User-Bucket", "04")],
    "bucket with underscores": [("X_User_Bucket", "03"), ("x-user_bucket", "03")],
    "bucket as hop-by-hop": [("Connection", "x-user-bucket"), ("x-user-bucket", "03")],
    "two-dimensional": [("X-User-Bucket-2D", "03_VIP"), ("x_user_bucket_2d", "03_VIP")],
    "probe": [("X-Tailramp-Probe", "bucket=03"), ("x_tailramp_probe", "bucket=03")],
    "probe echo": [("X-Tailramp-Probe-Echo", f"{'0' * 32};03")],
    "variant": [("X-Tailramp-Variant", "green")],
    "stale": [("X-Tailramp-Stale", "1"), ("x-tailramp-stale", "1")],
}


async def test_a_forged_header_reaches_neither_the_candidate_nor_the_gateway_behind(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    users: dict[str | None, tuple[str, dict[str, str]]] = {
        None: ("blue", {}),
        user_in("70"): ("blue", {"x-user-bucket": "70"}),
        user_in("03"): ("green", {"x-user-bucket": "03"}),
    }
    for name, forged in FORGERIES.items():
        for user, (label, written) in users.items():
            identity = [] if user is None else [("x-user-id", user)]
            for headers in (forged + identity, identity + forged):
                answer = await nginx.get(*headers)
                ours = [
                    pair for pair in answer.received if any(word in pair[0] for word in ("bucket", "tailramp", "route"))
                ]
                assert sorted(ours) == sorted({**written, "x-model-route": label}.items()), (name, user)


NO_ID: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "empty": [("x-user-id", "")],
    "blank": [("x-user-id", "   ")],
    "twice": [U1, ("x-user-id", "u2")],
    "twice the same": [U1, ("X-User-Id", "u1")],
    "too long": [("x-user-id", "a" * 513)],
    "too long in bytes": [("x-user-id", "户" * 171)],
    "huge": [("x-user-id", "a" * 50_000)],
    "with an underscore": [("x_user_id", "u1")],
}


async def test_without_one_clear_user_id_there_is_no_bucket(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(document(on_green("00-99")))
    for name, headers in NO_ID.items():
        answer = await nginx.get(*headers)
        assert (answer.status, answer.bucket, answer.values("x-model-route")) == (200, None, ["blue"]), name
    assert await nginx.label(U1) == "green"


async def test_the_user_id_is_taken_as_it_is_and_passed_on(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(NOBODY, resolution=10000)
    for uid in ("a" * 512, "户" * 170, "a  b", "U1", "u1,u2", "%75%31", '"u1"', "13800001234 ", "\tu1", "u1\t "):
        answer = await nginx.get(("X-User-Id", uid))
        # Blanks around a header's value are not part of it, by HTTP's own rule.
        assert answer.bucket == expected_bucket(uid.strip()), uid
        assert [value.strip() for value in answer.values("x-user-id")] == [uid.strip()]
    for encoding in ("latin-1", "utf-8", "utf-16-be"):
        raw = "\u00e9t\u00e9".encode(encoding).replace(b"\0", b"")
        assert (await nginx.get(("x-user-id", raw))).bucket == expected_bucket(raw)


@pytest.mark.parametrize(
    ("place", "headers", "uid"),
    [
        ({"identity_header": "X-Account"}, [U1, ("x-account", "用户甲")], "用户甲"),
        ({"identity_cookie": "uid"}, [("cookie", "a=b; uid=用户甲; c=d")], "用户甲"),
        ({"identity_cookie": "uid"}, [("cookie", "a=b"), ("cookie", "uid=u1")], "u1"),
        ({"identity_cookie": "uid"}, [("cookie", "uid=u1; uid=u2")], None),
        ({"identity_cookie": "uid"}, [("cookie", "uid=u1"), ("cookie", "uid=u2")], None),
        ({"identity_api_key": "Authorization"}, [("authorization", "Bearer sk-1")], "sk-1"),
        ({"identity_api_key": "Authorization"}, [("authorization", "sk-1")], "sk-1"),
        ({"identity_api_key": "X-Api-Key"}, [("x-api-key", "a"), ("x-api-key", "b")], None),
    ],
)
async def test_the_id_stands_where_the_settings_say(
    start_nginx: StartNginx, place: dict[str, str], headers: list[tuple[str, str]], uid: str | None
) -> None:
    nginx = await start_nginx(NOBODY, resolution=10000, **place)
    answer = await nginx.get(*headers)
    assert answer.bucket == (None if uid is None else expected_bucket(uid))
    assert [pair for pair in answer.received if pair[0] == headers[0][0]] != []


async def test_an_honest_header_with_an_underscore_costs_the_header_not_the_request(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(NOBODY)
    answer = await nginx.get(U1, ("trace_id", "7"), ("trace-id", "8"))
    assert (answer.status, answer.values("trace_id"), answer.values("trace-id")) == (200, [], ["8"])


async def test_an_error_in_the_script_leaves_no_bucket_and_serves_the_default(start_nginx: StartNginx) -> None:
    nginx = await start_nginx(HALF)
    conf = nginx.server.configuration
    text = conf.read_text(encoding="utf-8")
    spoiled = text.replace('["strategy"] = "sha256"', '["strategy"] = "unheard of"')
    assert spoiled != text
    conf.write_text(spoiled, encoding="utf-8")
    nginx.server.reload()
    in_set = ("x-user-id", user_in("03"))

    async def spoilt() -> bool:
        await nginx.get(in_set)
        return await nginx.counter("http.gateway.lua.errors") > 0

    await until(spoilt, "the reloaded script fails")
    answer = await nginx.get(in_set, ("x-user-bucket", "03"))
    assert (answer.status, answer.bucket, answer.values("x-model-route")) == (200, None, ["blue"])
    assert "a user is left without a bucket" in nginx.log()
