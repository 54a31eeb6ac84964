"""``tailramp skew``: how evenly real ids fall into buckets, by every strategy."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from cli.tables import table
from tailramp.errors import Refused

if TYPE_CHECKING:
    from tailramp.buckets import BucketFunction, BucketSet, Skew

_MOST_BYTES: Final = 512 << 20
_UNEVEN_BELOW: Final = 1e-3
_DOUBTFUL_BELOW: Final = 1e-2
"""How seldom an even spread may look like the sample, or more uneven, until it is not taken for even."""


class BucketsType(click.ParamType[str]):
    """A set of buckets as it is written in the canary file, and not empty."""

    name = "buckets"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from tailramp.buckets import BucketSet

        try:
            if not len(BucketSet.parse(str(value))):
                self.fail('"" are the buckets of nobody: write for example 00-04', param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@click.command("skew")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option(
    "--buckets", type=BucketsType(), default="00-04", show_default=True, help="Whose real share is asked for."
)
@click.option("--salt", type=files.TextType(), help="The salt; else identity.salt of the platform file.")
@files.platform_option
@output_option
@click.pass_obj
def skew_command(
    console: Console, file: Path | None, buckets: str, salt: str | None, platform: Path | None
) -> ExitCode:
    """Show how evenly real user ids fall into buckets.

    FILE has one id a line, - or nothing is standard input; an id that stands twice counts once. For each strategy: ids
    without a bucket, the real share of --buckets, the smallest and the largest bucket, and chi-square against an even
    spread with how often an even spread looks as uneven.

    Ten thousand ids and more make good samples. The ids stay on this machine, and none is printed.
    """
    from tailramp.buckets import BucketSet

    wanted = BucketSet.parse(buckets)
    functions = _functions(salt, platform, wanted)
    ids = _ids(file)
    if not ids:
        raise Refused("the sample has no ids: write one in each line")
    found = [(name, _skew_of(ids, function, wanted)) for name, function in functions.items()]
    data = {"ids": len(ids), "buckets": buckets, "strategies": [_as_data(name, skew, wanted) for name, skew in found]}
    console.answer(_as_text(console, len(ids), wanted, found), data, said=True)
    return ExitCode.DONE


def _functions(salt: str | None, platform: Path | None, wanted: "BucketSet") -> "dict[str, BucketFunction]":
    """Every strategy that has buckets like these."""
    from tailramp.buckets import BucketFunction, Strategy

    if salt is None:
        salt = files.identity_of(platform).salt
    return {
        strategy.value: BucketFunction(salt, wanted.resolution, strategy)
        for strategy in Strategy
        if wanted.resolution in strategy.resolutions
    }


def _ids(file: Path | None) -> set[str]:
    """The distinct ids of the sample.  Raises Refused."""
    if file is None or str(file) == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError("Name a file with one id a line, or pipe ids in")
        data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        try:
            with file.open("rb") as opened:
                data = opened.read(_MOST_BYTES + 1)
        except OSError as error:
            raise Refused(f"{file} cannot be read: {error.strerror}. Name a file with one id a line") from None
    if len(data) > _MOST_BYTES:
        raise Refused(f"the sample is larger than {_MOST_BYTES >> 20} MiB: a part of it tells as much")
    return {line.decode("utf-8", "surrogateescape") for line in data.splitlines() if line}


def _skew_of(ids: set[str], function: "BucketFunction", wanted: "BucketSet") -> "Skew":
    from tailramp.buckets import Skew

    return Skew.of(ids, function, wanted.resolution)


def _as_text(console: Console, count: int, wanted: "BucketSet", found: "list[tuple[str, Skew]]") -> str:
    from tailramp.units import format_share

    say = console.say
    header = ["strategy", "no bucket", f"share of {wanted}", "smallest", "largest", "chi-square", "p"]
    rows = [[say(cell) for cell in header]]
    for name, skew in found:
        bucket, largest = skew.largest
        told = [f"{skew.chi_square:,.0f}", _probability(skew.p_value)] if skew.is_tellable else ["?", "?"]
        most = f"{_percent(largest)} ({bucket})" if bucket else "?"
        shares = [_percent(skew.share_of(wanted)), _percent(skew.smallest), most]
        rows.append([name, f"{skew.without:,}", *shares, *told])
    lines = [say(f"{count:,} ids; {wanted} are meant to have {format_share(wanted.share)}"), ""]
    lines += [*table(rows, right=frozenset(range(1, 7))), ""]
    lines += [say(_verdict(name, skew)) for name, skew in found]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "?" if math.isnan(share) else f"{share * 100:.2f} %"


def _probability(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-6 else "< 0.000001"


def _verdict(name: str, skew: "Skew") -> str:
    if not skew.total:
        return f"{name}: no id has a bucket, so nobody would ever reach a candidate"
    if not skew.is_tellable:
        return f"{name}: too few ids to tell; {5 * skew.resolution:,} and more can"
    if skew.p_value < _UNEVEN_BELOW:
        return f"{name}: uneven; a share of buckets is not that share of users"
    if skew.p_value < _DOUBTFUL_BELOW:
        return f"{name}: doubtful; look at a larger sample"
    return f"{name}: even"


def _as_data(name: str, skew: "Skew", wanted: "BucketSet") -> dict[str, Any]:
    share, (bucket, largest) = skew.share_of(wanted), skew.largest
    return {
        "strategy": name,
        "without_bucket": skew.without,
        "share": None if math.isnan(share) else share,
        "meant": wanted.share,
        "smallest": None if math.isnan(skew.smallest) else skew.smallest,
        "largest": None if math.isnan(largest) else largest,
        "largest_bucket": bucket or None,
        "chi_square": skew.chi_square if skew.is_tellable else None,
        "degrees_of_freedom": skew.resolution - 1,
        "p": skew.p_value if skew.is_tellable else None,
        "verdict": _verdict(name, skew),
    }
