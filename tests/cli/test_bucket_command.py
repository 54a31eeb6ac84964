"""bucket: the same answers as the vectors, for any bytes, and for a million ids in seconds."""

import json
import resource
import subprocess
import sys
from pathlib import Path

from project_folder import Folder

VECTORS = Path(__file__).parents[1] / "vectors" / "buckets.json"


def bucket(folder: Folder, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "cli", "bucket", *arguments]
    return subprocess.run(argv, input=stdin, capture_output=True, cwd=folder.path, timeout=100, check=False)


def test_the_vectors_at_both_resolutions(folder: Folder) -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    users = [vector["user"] for vector in vectors["vectors"] if vector["user"]]
    numbers = [vector["bucket"] for vector in vectors["vectors"] if vector["user"]]
    fine = bucket(folder, "--salt", vectors["salt"], "--resolution", "10000", *users)
    assert fine.stdout.decode() == "".join(f"{u}\t{n:04d}\n" for u, n in zip(users, numbers, strict=True))
    coarse = bucket(folder, "--salt", vectors["salt"], stdin="\n".join(users).encode())
    assert coarse.stdout.decode() == "".join(f"{u}\t{n // 100:02d}\n" for u, n in zip(users, numbers, strict=True))


def test_salt_and_resolution_come_from_the_platform_file(folder: Folder) -> None:
    folder.write(platform={"identity.salt": "demo-2026", "identity.resolution": 10000})
    assert bucket(folder, "u1").stdout == b"u1\t1950\n"
    assert bucket(folder, "u1", "--resolution", "100").stdout == b"u1\t19\n"
    assert bucket(folder, "u1", "--platform", "deploy/tailramp.yaml").stdout == b"u1\t1950\n"


def test_any_bytes_come_back_as_they_were(folder: Folder) -> None:
    users = [b"a\xff\xfe", b"\x00", b"with\ttab", "用户甲".encode(), b"", b"  blanks  ", b"crlf"]
    answer = bucket(folder, "--salt", "s", stdin=b"\n".join(users[:-1]) + b"\ncrlf\r\n")
    lines = answer.stdout.removesuffix(b"\n").split(b"\n")
    assert [line.rpartition(b"\t")[0] for line in lines] == users
    assert [line.rpartition(b"\t")[2] for line in lines][4] == b""
    assert all(len(line.rpartition(b"\t")[2]) == 2 for line in lines if line != b"\t")
    as_argument = bucket(folder, "--salt", "s", "--", b"a\xff\xfe".decode("utf-8", "surrogateescape"))
    assert as_argument.stdout == lines[0] + b"\n"


def test_json_has_one_object_a_line_and_null_for_nobody(folder: Folder) -> None:
    answer = bucket(folder, "--salt", "demo-2026", "-o", "json", "u1", "")
    assert [json.loads(line) for line in answer.stdout.splitlines()] == [
        {"user": "u1", "bucket": "19"},
        {"user": "", "bucket": None},
    ]


def test_no_input_is_no_output(folder: Folder) -> None:
    answer = bucket(folder, "--salt", "s", stdin=b"")
    assert (answer.returncode, answer.stdout) == (0, b"")


def test_a_million_ids_take_less_than_ten_seconds_of_a_processor(folder: Folder) -> None:
    ids = b"".join(b"user-%d\n" % number for number in range(1_000_000))
    since = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    answer = bucket(folder, "--salt", "s", stdin=ids)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - since
    assert answer.stdout.count(b"\n") == 1_000_000
    assert seconds < 10, f"took {seconds:.1f} s"


def test_without_a_salt_it_says_where_to_get_one(folder: Folder) -> None:
    folder.platform.unlink()
    answer = bucket(folder, "u1")
    assert answer.returncode == 2
    assert b"Which salt? Give --salt" in answer.stderr


def test_every_strategy_of_the_vectors_and_a_blank_for_who_has_no_bucket(folder: Folder) -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    for strategy in ("legacy_base36", "tail2"):
        users = [user for user in vectors[strategy] if user]
        answer = bucket(folder, "--strategy", strategy, stdin="\n".join(users).encode())
        assert answer.stdout.decode() == "".join(f"{user}\t{vectors[strategy][user] or ''}\n" for user in users)


def test_lists_hold_digests_and_are_obeyed(folder: Folder) -> None:
    folder.write(platform={"identity.salt": "demo-2026"})
    digests = bucket(folder, "--digest", "ada", "eve").stdout.decode().split()[1::2]
    folder.write(platform={"identity.allow": digests[:1], "identity.deny": digests[1:]})
    assert bucket(folder, "ada", "eve", "u1").stdout == b"ada\t00\neve\t\nu1\t19\n"


def test_a_strategy_without_that_resolution_is_wrong_usage(folder: Folder) -> None:
    answer = bucket(folder, "--strategy", "tail2", "--resolution", "10000", "u1")
    assert (answer.returncode, b"it has 100 buckets" in answer.stderr) == (2, True)
