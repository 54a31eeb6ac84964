"""Chinese: the parts of the catalog, put together."""

from functools import cache

from cli.language import zh_commands, zh_demo, zh_errors, zh_files, zh_help, zh_ramp, zh_replay, zh_workloads
from cli.language.translator import Translator, merged


@cache
def translator() -> Translator:
    parts = (zh_ramp, zh_commands, zh_demo, zh_errors, zh_files, zh_help, zh_replay, zh_workloads)
    return Translator(merged(part.CATALOG for part in parts))
