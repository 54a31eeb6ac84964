"""Help pages in the user's language, with lines that are as wide as they look.

Click breaks lines at blanks and counts characters.  Chinese has no blanks and its characters are two columns wide, so
its pages are laid out here.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import click

Say = Callable[[str], str]

_EXTRAS: Final = re.compile(r"\s*\[([^\]]*)\]$")
_CLOSING: Final = "，。；：、！？）】》”"


def width_of(text: str) -> int:
    """The columns that ``text`` takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most ``width`` columns; Chinese breaks anywhere but before a closing mark, all else at blanks."""
    line = ""
    for piece in re.findall(r"\s+|[\u2e80-\uffef]|[^\s\u2e80-\uffef]+", text):
        if line and width_of(line + piece.rstrip()) > width and piece not in _CLOSING:
            yield line.rstrip()
            line = piece.lstrip()
        else:
            line += piece
    if line.strip():
        yield line.rstrip()


class HelpFormatter(click.HelpFormatter):
    """Click's formatter with every sentence said by ``say``."""

    def __init__(self, say: Say, width: int | None, max_width: int | None) -> None:
        super().__init__(width=width, max_width=max_width)
        self._say = say

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, prefix=self._say("Usage:") if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        self.write(f"{' ' * self.current_indent}{self._say(heading)}：\n")

    def write_text(self, text: str) -> None:
        for number, paragraph in enumerate(re.split(r"\n\s*\n", text)):
            if number:
                self.write_paragraph()
            indent = " " * self.current_indent
            if paragraph.startswith("\b"):
                self.write("".join(f"{indent}{line}\n" for line in paragraph.splitlines()[1:]))
                continue
            said = self._say(" ".join(paragraph.split()))
            self.write("".join(f"{indent}{line}\n" for line in wrapped(said, self.width - self.current_indent)))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = list(rows)
        first = min(max((width_of(term) for term, _ in rows), default=0), col_max) + col_spacing
        for term, text in rows:
            indent = " " * self.current_indent
            lines = list(wrapped(self._meaning(text), self.width - self.current_indent - first)) or [""]
            if width_of(term) > first - col_spacing:
                self.write(f"{indent}{term}\n")
            else:
                self.write(f"{indent}{term}{' ' * (first - width_of(term))}{lines.pop(0)}".rstrip() + "\n")
            self.write("".join(f"{indent}{' ' * first}{line}\n" for line in lines))

    def _meaning(self, text: str) -> str:
        """An option's help with what click adds in brackets: the default, and whether it must be given."""
        match = _EXTRAS.search(text)
        if match is None:
            return self._say(text)
        extras = "；".join(self._say(extra) for extra in match[1].split("; "))
        return f"{self._say(text[: match.start()])}  [{extras}]".strip()


class Context(click.Context):
    """A context whose help pages speak the user's language."""

    def make_formatter(self) -> click.HelpFormatter:
        from cli.console import Console

        console = self.find_object(Console)
        if console is None or console.say is str:
            return super().make_formatter()
        return HelpFormatter(console.say, self.terminal_width, self.max_content_width)
