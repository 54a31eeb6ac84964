"""Which module holds which command.

The table is all that ``tailramp --help`` reads: a command's module, and the libraries that it needs, are imported when
the command is run.  A new command is one line here and one function there.
"""

import difflib
import importlib
from dataclasses import dataclass
from typing import Final

import click

from cli.language import Language
from cli.language.help_pages import Context


@dataclass(frozen=True)
class Entry:
    """``module`` has the command as ``<name>_command``; ``summary`` is the first sentence of its help, ``example`` a
    call of it."""

    module: str
    summary: str
    example: str = ""


COMMANDS: Final = {
    "demo": Entry(
        "cli.demo_command",
        "Ramp a toy LLM service on real servers, without a cluster.",
        "tailramp demo --scenario slow --seed 3",
    ),
    "init": Entry("cli.init_command", "Write the two files to start from.", "tailramp init --route team/chat"),
    "validate": Entry(
        "cli.validate_command",
        "Check the two files and show what a ramp would do.",
        "tailramp validate deploy/canary.yaml",
    ),
    "schema": Entry(
        "cli.schema_command",
        "Print the JSON Schema of one of the two files.",
        "tailramp schema platform > platform.schema.json",
    ),
    "gateway": Entry(
        "cli.gateway_command",
        "Make what Envoy or nginx starts with, from the platform file.",
        "tailramp gateway --bootstrap envoy.json --model blue=chat-v1 --model green=chat-v2",
    ),
    "doctor": Entry("cli.doctor.command", "Check the surroundings of a route.", "tailramp doctor"),
    "plan": Entry("cli.plan.command", "Show what a ramp would do, tell and write.", "tailramp plan --users 200000"),
    "start": Entry("cli.start_command", "Start a ramp.", "tailramp start --wait 2h"),
    "apply": Entry(
        "cli.apply_command", "Make the world match the files.", "tailramp apply deploy/canary.yaml --wait 2h"
    ),
    "status": Entry(
        "cli.look_commands", "Show where a ramp is, why, and what comes next.", "tailramp status default/chat -o json"
    ),
    "watch": Entry("cli.look_commands", "Follow a ramp until it ends.", "tailramp watch default/chat --timeout 30m"),
    "explain": Entry(
        "cli.explain_command",
        "Say in sentences where a ramp is, why it waits, and what would take it back.",
        "tailramp explain default/chat",
    ),
    "list": Entry("cli.list_command", "List the ramps of a namespace.", "tailramp list --phase HOLDING --sort share"),
    "history": Entry(
        "cli.history_command", "Show every decision of a route's ramps.", "tailramp history default/chat --ramps 5"
    ),
    "pause": Entry(
        "cli.act_commands", "Stop advancing; the checks go on.", 'tailramp pause --reason "looking at a complaint"'
    ),
    "resume": Entry("cli.act_commands", "Let a paused ramp go on.", "tailramp resume default/chat"),
    "promote": Entry("cli.act_commands", "Skip the rest of the present step's hold.", "tailramp promote --full"),
    "ack": Entry(
        "cli.act_commands",
        "Acknowledge an alert or a failed check that holds a ramp.",
        'tailramp ack default/chat --reason "disk alert of the database, not ours"',
    ),
    "abort": Entry(
        "cli.act_commands",
        "Put everyone back on the baseline and end the ramp.",
        'tailramp abort --reason "wrong model"',
    ),
    "kill": Entry(
        "cli.kill_commands",
        "Take the candidates out at once, without Temporal or any worker.",
        'tailramp kill default/chat --reason "harmful answers"',
    ),
    "lift": Entry(
        "cli.kill_commands",
        "Remove the mark of a kill or a freeze, so that ramps may start again.",
        'tailramp lift default/chat --reason "mended in v3"',
    ),
    "freeze": Entry(
        "cli.freeze_command",
        "Let nothing start or grow on a route until `tailramp lift`.",
        'tailramp freeze default/chat --reason "sale until Sunday"',
    ),
    "uninstall": Entry(
        "cli.uninstall_command", "Leave a route as it was found.", "tailramp uninstall default/chat --yes"
    ),
    "bucket": Entry("cli.bucket_command", "Compute the bucket of user ids.", "tailramp bucket 13800001234"),
    "skew": Entry(
        "cli.skew_command",
        "Show how evenly real user ids fall into buckets.",
        "tailramp skew ids.txt --buckets 00-09",
    ),
    "calibrate": Entry(
        "cli.calibrate_command",
        "Measure how much a service's answers differ although nothing is wrong.",
        "tailramp calibrate --since 48h --dry-run",
    ),
    "record": Entry(
        "cli.record_command",
        "Save what Prometheus knows of a route's slots, for `tailramp replay`.",
        "tailramp record deploy/canary.yaml --since 24h --out chat.jsonl.gz",
    ),
    "replay": Entry(
        "cli.replay_command",
        "Run a policy over counts that were kept, and show what it would have decided.",
        "tailramp replay counts.csv deploy/canary.yaml --assert promoted",
    ),
    "worker": Entry("cli.worker_command", "Run the worker processes.", "tailramp worker --role control"),
    "follow": Entry(
        "cli.follow_command",
        "Keep the gateway beside this process as the route record says.",
        "tailramp follow --platform tailramp.yaml --default blue",
    ),
    "sentinel": Entry(
        "cli.sentinel_command",
        "Take candidates out when nobody looks at them any more.",
        "tailramp sentinel '/etc/envoy/routes/*.json'",
    ),
}


def language_option() -> click.Option:
    """``--lang``, which stands wherever the user puts it; ``main`` has read it before anything is parsed."""
    return click.Option(
        ["--lang"],
        type=click.Choice([language.value for language in Language]),
        expose_value=False,
        help="Language of what people read; else LC_ALL, LC_MESSAGES or LANG says it. JSON stays English.",
    )


class LazyGroup(click.Group):
    """The root command: it lists COMMANDS and imports the one that is run."""

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            close = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            mend = f"Did you mean {close[0]}?" if close else "`tailramp --help` lists them."
            raise click.UsageError(f"There is no command {cmd_name!r}. {mend}", ctx)
        module = importlib.import_module(COMMANDS[cmd_name].module)
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)  # noqa: S101
        command.context_class = Context
        if not any(param.name == "lang" for param in command.params):
            command.params.append(language_option())
        if COMMANDS[cmd_name].example:
            command.epilog = f"Example: {COMMANDS[cmd_name].example}"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])
