"""From an exception to an exit code and to words: the one place that decides how an error looks."""

import traceback
from dataclasses import dataclass, field
from typing import Any

import click

from cli.console import Console
from cli.exit_codes import ExitCode
from tailramp.errors import InvalidFile, Problem, Refused, TailrampError, Unreachable


class RefusedRamp(Refused):
    """Preflight said no.  ``problems`` are its sentences."""

    def __init__(self, message: str, problems: tuple[str, ...]) -> None:
        super().__init__(message)
        self.problems = problems


@dataclass(frozen=True)
class Failure:
    """``text`` is for people; ``error`` and ``problems`` are the same for programs.

    ``causes`` are the problems of files, which are put into the user's language part by part: what stands between the
    parts is the user's own.
    """

    code: ExitCode
    text: str
    error: str
    problems: list[dict[str, Any]] = field(default_factory=list)
    causes: list[Problem] = field(default_factory=list)

    def show(self, console: Console) -> ExitCode:
        data: dict[str, Any] = {"error": self.error, "code": int(self.code)}
        if self.problems:
            data["problems"] = self.problems
        for cause in self.causes if not console.is_json else ():
            told = f"{console.say(cause.reason)}{console.say('. ')}{console.say(cause.mend)}"
            console.complain(f"{cause.where}: {told}", None, said=True)
        console.complain(self.text, data)
        return self.code


def failure_of(error: BaseException, *, debug: bool = False) -> Failure:
    """What to say about ``error``, whatever it is."""
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, click.ClickException):
        message = error.format_message()
        return Failure(ExitCode.USAGE, f"error: {message}", message)
    if isinstance(error, InvalidFile):
        return _invalid(error.problems)
    if isinstance(error, RefusedRamp):
        lines = "".join(f"\n  - {problem}" for problem in error.problems)
        problems = [{"text": problem} for problem in error.problems]
        return Failure(ExitCode.REFUSED, f"refused: {error}{lines}", str(error), problems)
    if isinstance(error, Refused):
        return Failure(ExitCode.REFUSED, f"refused: {error}", str(error))
    if isinstance(error, Unreachable):
        return Failure(ExitCode.UNREACHABLE, f"error: {error}", str(error))
    if isinstance(error, TailrampError):
        return Failure(ExitCode.INTERNAL_ERROR, f"error: {error}", str(error))
    return _unexpected(error, debug)


def _usage(error: click.UsageError) -> Failure:
    message = error.format_message()
    lines = []
    if error.ctx is not None:
        lines.append(error.ctx.get_usage())
        lines.append(f"`{error.ctx.command_path} --help` explains.")
    return Failure(ExitCode.USAGE, "\n".join([*lines, f"error: {message}"]), message)


def _invalid(problems: list[Problem]) -> Failure:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    data = [_as_data(problem) for problem in problems]
    return Failure(ExitCode.REFUSED, f"{count} found.", f"invalid: {count}", data, problems)


def _as_data(problem: Problem) -> dict[str, Any]:
    return {
        "text": str(problem),
        "file": None if problem.file is None else str(problem.file),
        "line": problem.line,
        "field": problem.field,
        "value": problem.value,
        "reason": problem.reason,
        "mend": problem.mend,
    }


def _unexpected(error: BaseException, debug: bool) -> Failure:
    message = f"internal error: {type(error).__name__}: {error}".rstrip(": ")
    if debug:
        return Failure(ExitCode.INTERNAL_ERROR, "".join(traceback.format_exception(error)).rstrip(), message)
    hint = "`tailramp --debug` before the command's name shows where it happened."
    return Failure(ExitCode.INTERNAL_ERROR, f"{message}\n{hint}", message)
