"""The form of a list of PromQL label matchers, as people write it without braces: ``slot="green",job="llm"``."""

import re

_MATCHER = r'\s*[A-Za-z_][A-Za-z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"\s*'
_MATCHERS = re.compile(rf"{_MATCHER}(?:,{_MATCHER})*")


def is_matchers(text: str) -> bool:
    return _MATCHERS.fullmatch(text) is not None
