"""How evenly and how fast each strategy spreads a million ids of six kinds over the buckets.

Shares are of distinct ids, against the 5 % that 00-04 are meant to have; chi-square has 99 degrees of freedom, of which
an even spread exceeds 149 once in a thousand samples.  Seconds are of processor time, for one million ids in Python.
"""

import argparse
import platform
import random
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from tailramp.buckets import BucketFunction, BucketSet, Skew, Strategy

RESULTS = Path(__file__).parent / "results" / "buckets.txt"
SALT = "demo-2026"
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
_NAMES = "伟芳娜敏静丽强磊军洋勇艳杰涛明超秀霞平刚桂英华玉兰🦙😀🚀"


def kinds(seed: int) -> dict[str, Callable[[int], str]]:
    """Makers of the n-th id of each kind."""
    source = random.Random(seed)

    def phone(_: int) -> str:
        return str(source.randrange(13_000_000_000, 20_000_000_000))

    def chinese(number: int) -> str:
        return source.choice(_SURNAMES) + "".join(source.choices(_NAMES, k=2)) + str(number)

    return {
        "phone numbers": phone,
        "counted up": lambda number: str(1_000_000 + number),
        "UUIDs": lambda _: str(uuid.UUID(int=source.getrandbits(128), version=4)),
        "short codes": lambda _: "".join(source.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=8)),
        "mail addresses": lambda number: f"user{number}@example.cn",
        "Chinese and emoji": chinese,
    }


def measured(ids: Sequence[str], strategy: Strategy) -> tuple[Skew, float]:
    """The spread of the ids, and the seconds that computing their buckets took."""
    function = BucketFunction(SALT, strategy=strategy)
    since = time.process_time()
    for user in ids:
        function(user)
    return Skew.of(ids, function, 100), time.process_time() - since


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench buckets", description=__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help=f"write the table to {RESULTS.name} too")
    chosen = parser.parse_args(arguments)
    columns = ("ids", "strategy", "no bucket", "00-04", "smallest", "largest", "chi-square", "seconds")
    lines = [
        f"{chosen.ids:,} ids of each kind, seed {chosen.seed}, salt {SALT}",
        f"Python {platform.python_version()}, {platform.machine()}",
        "",
        _row(*columns),
    ]
    print("\n".join(lines), flush=True)
    for kind, make in kinds(chosen.seed).items():
        ids = [make(number) for number in range(chosen.ids)]
        for strategy in Strategy:
            skew, seconds = measured(ids, strategy)
            shares = [skew.share_of(BucketSet.parse("00-04")), skew.smallest, skew.largest[1]]
            told = [f"{share * 100:.2f} %" for share in shares] if skew.total else ["-"] * 3
            chi_square = f"{skew.chi_square:,.0f}" if skew.total else "-"
            without = f"{skew.without / chosen.ids * 100:.2f} %"
            lines.append(_row(kind, strategy, without, *told, chi_square, f"{seconds:.2f}"))
            print(lines[-1], flush=True)
    if chosen.keep:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(kind: str, strategy: str, *cells: str) -> str:
    return f"{kind:<18} {strategy:<14}" + "".join(f"{cell:>12}" for cell in cells)
