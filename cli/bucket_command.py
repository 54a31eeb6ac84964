"""``tailramp bucket``: the bucket of one user id or of millions, as the gateway computes it."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from tailramp.buckets import BucketFunction

_BLOCK = 1 << 20  # bytes that are read before their buckets are written


@click.command("bucket")
@click.argument("ids", nargs=-1)
@click.option("--salt", type=files.TextType(), help="The salt; else identity.salt of the platform file.")
@click.option(
    "--resolution", type=click.Choice(["100", "10000"]), help="100 or 10000 buckets; else the platform file's."
)
@files.platform_option
@output_option
@click.pass_obj
def bucket_command(
    console: Console, ids: tuple[str, ...], salt: str | None, resolution: str | None, platform: Path | None
) -> ExitCode:
    """Compute the bucket of user ids.

    IDS are user ids; without any, standard input is read, one id a line. Each answer is a line `id<TAB>bucket`; an id
    may hold any bytes but a line end, and comes back as it was. A user without an id has no bucket: an empty line is
    answered with `<TAB>` alone, and such users are always served by the default.

    With --salt no platform file is read, and the resolution is 100 unless --resolution says otherwise.
    """
    if not ids and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("Name user ids, or pipe them in, one a line")
    function = _bucket_function(salt, resolution, platform)
    output = sys.stdout.buffer
    blocks: Iterable[list[bytes]] = [[_encoded(user) for user in ids]] if ids else _blocks(sys.stdin.buffer)
    for block in blocks:
        if console.is_json:
            output.write(b"".join(_answer_json(user, function) for user in block))
        else:
            output.write(b"".join(_answer_text(user, function) for user in block))
    output.flush()
    return ExitCode.DONE


def _bucket_function(salt: str | None, resolution: str | None, platform: Path | None) -> "BucketFunction":
    from tailramp.buckets import BucketFunction, Resolution

    chosen: dict[str, Resolution] = {"100": 100, "10000": 10000}
    if salt is not None:
        return BucketFunction(salt, chosen[resolution or "100"])
    from tailramp.spec import load_platform

    try:
        path = files.find_platform(platform)
    except click.UsageError as error:
        raise click.UsageError(f"Which salt? Give --salt. {error.message}") from None
    identity = load_platform(path).identity
    return BucketFunction(identity.salt, chosen[resolution] if resolution else identity.resolution)


def _encoded(user: str) -> bytes:
    return user.encode("utf-8", "surrogateescape")


def _blocks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of ``stream`` without their ends, in blocks of about a mebibyte."""
    while lines := stream.readlines(_BLOCK):
        yield [line.removesuffix(b"\n").removesuffix(b"\r") for line in lines]


def _answer_text(user: bytes, function: "BucketFunction") -> bytes:
    return b"%b\t%b\n" % (user, _bucket(user, function).encode())


def _answer_json(user: bytes, function: "BucketFunction") -> bytes:
    answer = {"user": user.decode("utf-8", "surrogateescape"), "bucket": _bucket(user, function) or None}
    return json.dumps(answer).encode() + b"\n"


def _bucket(user: bytes, function: "BucketFunction") -> str:
    return function(user.decode("utf-8", "surrogateescape")) if user else ""
