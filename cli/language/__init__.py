"""The language in which a command speaks to a person: English, or Chinese by ``LANG`` or ``--lang``.

Records, history and JSON stay English; a sentence is translated when it is shown.  So the domain knows one language,
and a ramp reads the same in everybody's archive.
"""

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order in which they outrank each other."""


def language_asked_for(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Language:
    """``--lang`` wherever it stands, else the locale; even for arguments that are too wrong to be parsed."""
    known = {language.value for language in Language}
    for index, argument in enumerate(arguments):
        if argument == "--lang" and index + 1 < len(arguments) and arguments[index + 1] in known:
            return Language(arguments[index + 1])
        if argument.startswith("--lang=") and argument.partition("=")[2] in known:
            return Language(argument.partition("=")[2])
    locale = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return Language.ZH if locale.lower().startswith("zh") else Language.EN
