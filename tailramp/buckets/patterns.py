"""The one regular expression that a set of buckets compiles to.

It must mean the same to RE2 (Envoy, Istio, Go), PCRE (nginx) and JavaScript, whether the engine searches or matches as
a whole, so it is anchored and uses nothing but digits, classes, groups and alternatives: no ``{m,n}``, which
ingress-nginx does not let through.  It is spelt in factored digit classes, ``^(?:0[0-4]|37)$``, because a gateway
counts: stock Envoy accepts programs of up to 100 instructions, and a flat alternation of 109 four-digit buckets is
beyond that.
"""

import re
from collections.abc import Iterable
from typing import Final

ENVOY_PROGRAM_SIZE: Final = 100
"""Instructions of a compiled pattern that Envoy accepts with its default runtime settings."""

_CLASS: Final = re.compile(r"\[([^]]*)\]")
_RANGES: Final = re.compile(r"[0-9]-[0-9]|[0-9]")
_LITERAL: Final = re.compile(r"[0-9A-Z_]")


def pattern_of(buckets: set[str], segments: tuple[str, ...] = ()) -> str:
    """The pattern of exactly ``buckets``, all of one width; with ``segments``, of their keys such as ``67_VIP``."""
    alternatives = "|".join(_factored(buckets))
    if not segments:
        return f"^(?:{alternatives})$"
    return f"^(?:(?:{alternatives})_(?:{'|'.join(segments)}))$"


def program_size(pattern: str) -> int:
    """At least the size of RE2's compiled program for a pattern of ``pattern_of``, and at most some 20 more.

    RE2 has one instruction for every range of bytes and up to four more; equal tails are sometimes shared.
    """
    classes = _CLASS.findall(pattern)
    rest = _CLASS.sub("", pattern)
    return 4 + sum(len(_RANGES.findall(inside)) for inside in classes) + len(_LITERAL.findall(rest))


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Consecutive ascending stretches, in the given order."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] + 1 == number:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _factored(words: set[str]) -> list[str]:
    """Alternatives that match exactly ``words``, all digits and all of one length.

    Leading digits that lead to the same endings share one alternative: the endings are factored first, then equal
    ones are grouped by a class of leading digits.
    """
    if words == {""}:
        return [""]
    endings: dict[str, set[str]] = {}
    for word in words:
        endings.setdefault(word[0], set()).add(word[1:])
    heads: dict[frozenset[str], list[str]] = {}
    for head in sorted(endings):
        heads.setdefault(frozenset(endings[head]), []).append(head)
    alternatives = []
    for ending, digits in heads.items():
        tails = _factored(set(ending))
        tail = tails[0] if len(tails) == 1 else f"(?:{'|'.join(tails)})"
        alternatives.append(_digit_class(digits) + tail)
    return alternatives


def _digit_class(digits: list[str]) -> str:
    if len(digits) == 1:
        return digits[0]
    parts = []
    for first, last in runs(int(digit) for digit in digits):
        parts.append(str(first) if first == last else f"{first}{last}" if last == first + 1 else f"{first}-{last}")
    return f"[{''.join(parts)}]"
