"""``tailramp init``: the two files to start from."""

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from cli import examples, files
from cli.console import Console, output_option
from cli.exit_codes import ExitCode
from tailramp.errors import Refused, WrongValue

_MODEL: Final = "llama-2-70b-chat-v1.3"
_ROUTE: Final = "default/chat"
_HEADER: Final = "X-User-Id"


class FormType(click.ParamType[str]):
    """A text of one of the forms of ``tailramp.forms``, by its name there."""

    def __init__(self, form: str) -> None:
        self.name = "text"
        self._form = form

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from pydantic import TypeAdapter, ValidationError

        from tailramp import forms

        try:
            return str(TypeAdapter(getattr(forms, self._form)).validate_python(value))
        except ValidationError as error:
            wrong = error.errors()[0].get("ctx", {}).get("error")
            self.fail(f"{value!r}: {wrong if isinstance(wrong, WrongValue) else error}", param, ctx)


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=files.CANARY.parent)
@click.option("--route", type=files.RouteType(), help="Name of the route, or <namespace>/<name>.")
@click.option("--model", type=FormType("ModelName"), help="The model version to try.")
@click.option("--header", type=FormType("HeaderName"), help="The trusted header that holds the user id.")
@click.option("--salt", type=files.TextType(), metavar="TEXT", help="Mixed into every user id; else one is drawn.")
@output_option
@click.pass_obj
def init_command(
    console: Console, folder: Path, route: str | None, model: str | None, header: str | None, salt: str | None
) -> ExitCode:
    """Write the two files to start from.

    FOLDER is where they go: canary.yaml, the researcher's, and tailramp.yaml, the platform team's. What is not given
    is asked for at a terminal, and nowhere else. A file that is there already is left as it is.
    """
    canary, platform = folder / files.CANARY.name, folder / files.PLATFORM_NAME
    if canary.exists() and platform.exists():
        raise Refused(f"{canary} and {platform} are there already. `tailramp validate {canary}` checks them")
    ask = _asker(console)
    texts: dict[Path, Callable[[], str]] = {
        canary: lambda: examples.canary_file(
            model=model or ask("Model version to try", _MODEL, FormType("ModelName")), say=console.say
        ),
        platform: lambda: examples.platform_file(
            route=route or ask("Route, as <namespace>/<name>", _ROUTE, files.RouteType()),
            header=header or ask("Header with the user id", _HEADER, FormType("HeaderName")),
            salt=salt or secrets.token_hex(12),
            say=console.say,
        ),
    }
    written = [path for path, text in texts.items() if not path.exists() and _write(path, text())]
    lines = [f"{path} is written" if path in written else f"{path} is left as it is" for path in texts]
    lines += ["", f"Next: put your addresses into {platform}, then `tailramp validate {canary}`."]
    console.answer("\n".join(lines), {"written": [str(path) for path in written]})
    return ExitCode.DONE


def _asker(console: Console) -> Callable[[str, str, click.ParamType[str]], str]:
    """Asks a person at a terminal; takes the default everywhere else."""

    def ask(question: str, default: str, kind: click.ParamType[str]) -> str:
        if console.is_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return default
        return str(click.prompt(console.say(question), default=default, type=kind))

    return ask


def _write(path: Path, text: str) -> bool:
    """Create ``path``.  Raises Refused; a file that somebody else has just created is left as it is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(f"{path} is there already and is left as it is. Name another folder") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}. Name another folder") from None
    return True
