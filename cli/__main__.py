"""The entry point of the command ``tailramp``."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from cli.command_table import LazyGroup, language_option
from cli.console import Console, format_asked_for
from cli.exit_codes import ExitCode
from cli.failures import failure_of
from cli.language import Language, language_asked_for
from tailramp import __version__


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Exit codes: 0 done, 1 internal error, 2 wrong usage, 3 rolled back, 4 rollback not yet verified, "
    "5 refused or a finding, 6 a needed service cannot be reached, 7 still running when the wait ended, "
    "8 waiting for a person.",
)
@click.version_option(__version__, prog_name="tailramp")
@click.option("--debug", is_flag=True, help="Show tracebacks of internal errors.")
@click.pass_obj
def root(console: Console, debug: bool) -> None:
    """Move an LLM service's traffic to a new model version, a slice of users at a time, and back when it turns bad."""
    console.debug = debug


root.params.append(language_option())


def _speaker(language: Language) -> Callable[[str], str]:
    if language is Language.EN:
        return str
    from cli.language.zh import translator

    return translator()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.  Nothing is raised, whatever happens."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(format_asked_for(arguments), say=_speaker(language_asked_for(arguments)))
    try:
        code = root.main(args=arguments, prog_name="tailramp", standalone_mode=False, obj=console)
        return int(code or ExitCode.DONE)
    except click.Abort:
        console.complain("interrupted", {"error": "interrupted", "code": int(ExitCode.INTERNAL_ERROR)})
        return ExitCode.INTERNAL_ERROR
    except SystemExit as error:  # click's answer to a broken pipe
        return error.code if isinstance(error.code, int) else ExitCode.INTERNAL_ERROR
    except Exception as error:  # the last line of defence: no traceback reaches a user
        with contextlib.suppress(OSError):
            return failure_of(error, debug=console.debug).show(console)
        return ExitCode.INTERNAL_ERROR


def entry_point() -> NoReturn:
    """Run ``main`` and end the process with exactly its code.

    A process that used Temporal's client can crash while the interpreter shuts down, after its work is done; the exit
    codes would not be a contract.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets it spelt out instead of an error.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = main()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except AttributeError:  # closed from the start
            pass
        except (OSError, ValueError):  # the reader is gone
            code = code or ExitCode.INTERNAL_ERROR
    os._exit(code)


if __name__ == "__main__":
    entry_point()
