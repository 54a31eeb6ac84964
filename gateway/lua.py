"""The Lua text that a gateway loads: the shared bucket computation with one gateway's settings in front.

Settings are written into the text instead of looked up at run time because a gateway must not depend on anything else
to answer a request. A salt is arbitrary text, so it has to survive the way through Lua's string syntax unharmed.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

LuaValue: TypeAlias = "str | int | Mapping[str, LuaValue] | Mapping[str, bool]"

_BUCKET_LUA = Path(__file__).with_name("bucket.lua")
_PLAIN = frozenset((string.ascii_letters + string.digits + " -_.:/@").encode())


def bucket_script(settings: Mapping[str, LuaValue]) -> str:
    """bucket.lua with the table `settings` in front of it."""
    return f"local settings = {lua_literal(settings)}\n\n{_BUCKET_LUA.read_text('utf-8')}"


def lua_literal(value: LuaValue) -> str:
    """`value` as a Lua expression in ASCII; a string keeps its UTF-8 bytes exactly. Raises UnicodeEncodeError for text
    that has no UTF-8 form."""
    if isinstance(value, str):
        return '"' + "".join(chr(b) if b in _PLAIN else f"\\{b:03d}" for b in value.encode()) + '"'
    if isinstance(value, int):
        return str(value).lower()
    return "{" + ", ".join(f"[{lua_literal(key)}] = {lua_literal(item)}" for key, item in value.items()) + "}"
