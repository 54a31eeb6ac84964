"""``tailramp schema``: JSON Schema of the two files, for editors and for checks without tailramp."""

import json

import click

from cli.console import Console, output_option
from cli.exit_codes import ExitCode


@click.command("schema")
@click.argument("file", type=click.Choice(["canary", "platform"]), default="canary")
@output_option
@click.pass_obj
def schema_command(console: Console, file: str) -> ExitCode:
    """Print the JSON Schema of one of the two files.

    FILE is canary, the researcher's, or platform. Editors complete and check a file whose first line names the schema:

    \b
        tailramp schema platform > deploy/platform.schema.json
        # yaml-language-server: $schema=platform.schema.json

    It sees one field at a time; what only several fields or both files show, `tailramp validate` finds.
    """
    from tailramp.spec import json_schema

    schema = json_schema(file)
    console.answer(json.dumps(schema, indent=2, ensure_ascii=False), schema, said=True)
    return ExitCode.DONE
