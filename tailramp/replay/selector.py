"""PromQL's selectors, as far as they choose among series that are there: ``name{a="b",c=~"d|e"}``."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_SELECTOR = re.compile(rf"\s*({_NAME})?\s*(?:\{{(.*)\}})?\s*", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class Selector:
    """``matchers``: label, sign and value, of which all must hold.  A label that a series lacks has the value ""."""

    matchers: tuple[tuple[str, str, str], ...]

    @classmethod
    def parse(cls, query: str) -> "Selector | None":
        """None for a query that is no plain selector, such as a sum."""
        found = _SELECTOR.fullmatch(query)
        if found is None or not (found[1] or found[2]):
            return None
        matchers = [("__name__", "=", found[1])] if found[1] else []
        text, at = (found[2] or "").strip(), 0
        while at < len(text):
            matcher = _MATCHER.match(text, at)
            if matcher is None:
                return None
            value = _ESCAPED.sub(lambda escaped: _PLAIN.get(escaped[1], escaped[1]), matcher[3])
            matchers.append((matcher[1], matcher[2], value))
            at = matcher.end()
        if not _are_patterns(value for _, sign, value in matchers if "~" in sign):
            return None
        return cls(tuple(matchers))

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(_holds(labels.get(label, ""), sign, value) for label, sign, value in self.matchers)


def _holds(text: str, sign: str, value: str) -> bool:
    if sign in {"=", "!="}:
        return (text == value) is (sign == "=")
    return (re.fullmatch(value, text) is not None) is (sign == "=~")


def _are_patterns(values: Iterable[str]) -> bool:
    try:
        for value in values:
            re.compile(value)
    except re.error:
        return False
    return True
