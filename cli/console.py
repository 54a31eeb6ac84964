"""Where a command's answer goes: text for people, or JSON for programs, on standard output.

Text that other people wrote (reasons, actors, server messages) is shown without its control characters, so that nobody
can write on somebody else's terminal by way of a ramp.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_VISIBLE = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if chr(number) not in "\n\t"}


class OutputFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    """Of the few commands whose answer is something to apply or review."""


@dataclass
class Console:
    """One invocation's output.  ``debug`` asks for tracebacks; ``say`` puts a sentence into the user's language."""

    format: OutputFormat = OutputFormat.TEXT
    debug: bool = False
    say: Callable[[str], str] = str

    @property
    def is_json(self) -> bool:
        return self.format is OutputFormat.JSON

    def answer(self, text: str, data: object, *, said: bool = False) -> None:
        """Print ``text``, or ``data`` as one line of JSON.  ``said``: the text is in the user's language already."""
        if self.is_json:
            click.echo(json.dumps(data, ensure_ascii=False))
        else:
            click.echo(visible(text) if said else self.say(visible(text)))

    def aside(self, text: str) -> None:
        """A remark for the person at the keyboard, on standard error; a program that reads JSON has no use for it."""
        if not self.is_json:
            click.echo(self.say(visible(text)), err=True)

    def complain(self, text: str, data: object, *, said: bool = False) -> None:
        """An error: text goes to standard error, JSON to standard output, where a program reads."""
        if self.is_json:
            click.echo(json.dumps(data, ensure_ascii=False))
        else:
            click.echo(visible(text) if said else self.say(visible(text)), err=True)


def visible(text: str) -> str:
    """``text`` with every control character spelt out."""
    return text.translate(_VISIBLE)


def one_line(text: str) -> str:
    """``text`` with every run of white space as one blank."""
    return " ".join(text.split())


_PAIRS = {("-o", "json"), ("--output", "json")}


def format_asked_for(arguments: Sequence[str]) -> OutputFormat:
    """The format of the answer to ``arguments``, even if they are too wrong to be parsed."""
    joined = {"-ojson", "--output=json"} & set(arguments)
    asked = joined or _PAIRS & set(itertools.pairwise(arguments))
    return OutputFormat.JSON if asked else OutputFormat.TEXT


def _remember_format(context: click.Context, _: click.Parameter, value: str) -> None:
    console = context.find_object(Console)
    if console is not None:
        console.format = OutputFormat(value)


def output_option(function: Function) -> Function:
    """``-o text|json``; the command finds it in its Console.  Eager, so that later errors know the format."""
    return _output_option(OutputFormat.TEXT, OutputFormat.JSON)(function)


def output_or_yaml_option(function: Function) -> Function:
    """``-o text|json|yaml``; errors are text with the last."""
    return _output_option(*OutputFormat)(function)


def _output_option(*formats: OutputFormat) -> Callable[[Function], Function]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice([known.value for known in formats]),
        default=OutputFormat.TEXT.value,
        show_default=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_format,
        help="How to print the answer, errors included.",
    )
