"""Chinese: the parts of the catalog, put together."""

from functools import cache

from cli.language import zh_commands, zh_errors, zh_help, zh_ramp
from cli.language.translator import Translator, merged


@cache
def translator() -> Translator:
    return Translator(merged([zh_ramp.CATALOG, zh_commands.CATALOG, zh_errors.CATALOG, zh_help.CATALOG]))
