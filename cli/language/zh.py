"""Chinese: the parts of the catalog, put together."""

import pkgutil
from functools import cache
from importlib import import_module

from cli import language
from cli.language.translator import Translator, merged


@cache
def translator() -> Translator:
    names = sorted(part.name for part in pkgutil.iter_modules(language.__path__) if part.name.startswith("zh_"))
    return Translator(merged(import_module(f"cli.language.{name}").CATALOG for name in names))
