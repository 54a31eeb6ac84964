"""Sentences by template: what the product says, recognised and said again in another language.

A template is the English sentence with its changing parts in braces.  ``{#count}`` is a number and ``{name}`` a name or
an amount; both are taken over as they are, as is ``{any:words}``, which may be whole sentences of somebody else.  Three
English words in a row are no name: what has them is another sentence, and half of it would stay English.
``{said:why}`` is itself a sentence of the product, or several with ``; `` between them, and is translated in turn.
Where several templates fit, the one with the most fixed text is tried first; one whose ``said`` parts cannot be
translated gives way to the next, and of two with the same text the one that takes anything comes last.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final

_PART: Final = re.compile(r"\{(said:|any:|#)?(\w+)\}")
_FORMS: Final = {
    "#": r"[-+]?\d[\d.,]*",
    "any:": r".*?",
    "said:": r".+?",
    None: r"(?:(?!; |: | → |, ).)+?",  # what ends a part of a sentence is not in a name
}
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
ENGLISH: Final = re.compile(r"[A-Za-z]{2,}(?:,? [A-Za-z]{2,}){2,}")


class Template:
    """One English sentence and its counterpart.  ``meaning`` has the same names in braces, and nothing before them."""

    def __init__(self, sentence: str, meaning: str) -> None:
        self._sentence = sentence
        self._meaning = meaning
        fixed = [piece for piece in _PART.split(sentence)[::3] if piece]
        self.weight = sum(map(len, fixed))
        self._longest = max(fixed, key=len, default="")
        self.takes_anything = "{any:" in sentence and "{said:" in sentence
        self._said = [match[2] for match in _PART.finditer(sentence) if match[1] == "said:"]
        self._names = [match[2] for match in _PART.finditer(sentence) if match[1] is None]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = _PART.split(self._sentence)
        pattern = re.escape(pieces[0])
        for index in range(1, len(pieces), 3):
            pattern += f"(?P<{pieces[index + 1]}>{_FORMS[pieces[index]]}){re.escape(pieces[index + 2])}"
        return re.compile(pattern, re.DOTALL)

    def apply(self, text: str, translator: "Translator") -> str | None:
        """The meaning of ``text``, or None if it is another sentence."""
        if self._longest not in text or (match := self._pattern.fullmatch(text)) is None:
            return None
        parts = match.groupdict()
        if any(ENGLISH.search(parts[name]) for name in self._names):
            return None
        for name in self._said:
            said = translator.find(parts[name])
            if said is None:
                return None
            parts[name] = said
        return _PART.sub(lambda part: parts[part[2]], self._meaning)


class Translator:
    """Says English sentences in another language.  What it does not know stays English and is kept in ``missing``."""

    def __init__(self, catalog: Mapping[str, str]) -> None:
        self._exact = {sentence: meaning for sentence, meaning in catalog.items() if "{" not in sentence}
        templates = (Template(sentence, meaning) for sentence, meaning in catalog.items() if "{" in sentence)
        self._templates = sorted(templates, key=lambda template: (-template.weight, template.takes_anything))
        self._known: dict[str, str | None] = {}
        self.missing: set[str] = set()

    def __call__(self, text: str) -> str:
        """``text`` translated, line by line."""
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        if line in self._exact:  # what stands between two sentences has its blank with it
            return self._exact[line]
        body = line.strip()
        found = self.find(body)
        if found is None:
            self.missing.add(body)
            return line
        return line.replace(body, found, 1) if body else line

    def find(self, text: str) -> str | None:
        """The translation of one sentence or of several with ``; `` between them; None if any is unknown.

        What has no words (numbers, marks, Chinese) needs none.
        """
        if text not in self._known:
            self._known[text] = self._one(text) or self._several(text)
        return self._known[text]

    def _one(self, text: str) -> str | None:
        if text in self._exact:
            return self._exact[text]
        if not _WORD.search(text):
            return text
        said = (template.apply(text, self) for template in self._templates)
        return next((meaning for meaning in said if meaning is not None), None)

    def _several(self, text: str) -> str | None:
        """Split at the first ``; `` after which both sides are known; the longest first sentence wins."""
        for index in sorted((m.start() for m in re.finditer("; ", text)), reverse=True):
            first = self._one(text[:index])
            rest = None if first is None else self.find(text[index + 2 :])
            if first is not None and rest is not None:
                return f"{first}；{rest}"
        return None


def merged(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """One catalog of several.  ValueError for a sentence that two of them have: one of the two would never be said."""
    catalog: dict[str, str] = {}
    for part in parts:
        if twice := catalog.keys() & part.keys():
            raise ValueError(f"translated twice: {', '.join(sorted(twice))}")
        catalog.update(part)
    return catalog
