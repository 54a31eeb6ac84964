"""``tailramp bucket``: the bucket of one user id or of millions, as the gateway computes it."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode

_BLOCK = 1 << 20  # bytes that are read before their buckets are written


@click.command("bucket")
@click.argument("ids", nargs=-1)
@click.option("--salt", type=files.TextType(), help="The salt; else identity.salt of the platform file.")
@click.option(
    "--resolution", type=click.Choice(["100", "10000"]), help="100 or 10000 buckets; else the platform file's."
)
@click.option("--strategy", type=click.Choice(files.STRATEGIES), help="How; else the platform file's.")
@click.option(
    "--digest", is_flag=True, help="Print what stands for a user in identity.allow and identity.deny instead."
)
@files.platform_option
@output_option
@click.pass_obj
def bucket_command(
    console: Console,
    ids: tuple[str, ...],
    salt: str | None,
    resolution: str | None,
    strategy: str | None,
    digest: bool,
    platform: Path | None,
) -> ExitCode:
    """Compute the bucket of user ids.

    IDS are user ids; without any, standard input is read, one id a line. Each answer is a line `id<TAB>bucket`; an id
    may hold any bytes but a line end, and comes back as it was. A user without an id has no bucket: an empty line is
    answered with `<TAB>` alone, and so is an id that the strategy cannot read; such users are always served by the
    default.

    With --salt, or a --strategy that has none, no platform file is read, and the resolution is 100 unless --resolution
    says otherwise.
    """
    if not ids and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("Name user ids, or pipe them in, one a line")
    function = files.bucket_function(salt, resolution, strategy, platform)
    answer = _Answer("digest" if digest else "bucket", function.digest_of if digest else function)
    output = sys.stdout.buffer
    blocks: Iterable[list[bytes]] = [[_encoded(user) for user in ids]] if ids else _blocks(sys.stdin.buffer)
    for block in blocks:
        line = answer.as_json if console.is_json else answer.as_text
        output.write(b"".join(map(line, block)))
    output.flush()
    return ExitCode.DONE


def _encoded(user: str) -> bytes:
    return user.encode("utf-8", "surrogateescape")


def _blocks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of ``stream`` without their ends, in blocks of about a mebibyte."""
    while lines := stream.readlines(_BLOCK):
        yield [line.removesuffix(b"\n").removesuffix(b"\r") for line in lines]


@dataclass(frozen=True)
class _Answer:
    """What is said about a user: ``name`` in JSON, and how it is computed."""

    name: str
    of: Callable[[str], str | None]

    def as_text(self, user: bytes) -> bytes:
        return b"%b\t%b\n" % (user, (self._of(user) or "").encode())

    def as_json(self, user: bytes) -> bytes:
        answer = {"user": user.decode("utf-8", "surrogateescape"), self.name: self._of(user)}
        return json.dumps(answer).encode() + b"\n"

    def _of(self, user: bytes) -> str | None:
        return self.of(user.decode("utf-8", "surrogateescape")) if user else None
