"""The command line: one verb per file, each loaded when it is asked for."""

from __future__ import annotations

import importlib
import logging
import signal
import sys

import click

VERBS = {
    "claims": "List claims of the literature, and judge them by results.",
    "compare": "Show what changed between two results folders.",
    "describe": "Show a component's parameters, domain and source.",
    "doctor": "Say what this installation has and what it lacks.",
    "export": "Write every recorded value of a results folder.",
    "leaderboard": "Show how closely each theory describes wide networks.",
    "list": "List tasks, architectures, regimes, theories, claims and suites.",
    "plugins": "List, check or start plugins.",
    "prepare": "Fetch the data sets that a suite needs.",
    "report": "Write the report of a results folder.",
    "results": "Check a results folder, or remove what is of no use in it.",
    "run": "Run what is missing of a suite, score it, write the report.",
    "schema": "Print the JSON schema of suite files.",
    "worker-check": "Say what each worker of a Dask cluster has.",
}


class Verbs(click.Group):
    """Loads a verb's module only to run that verb, so that help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"harness.cli.{cmd_name.replace('-', '_')}_")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, naming the nearest if there is none."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from harness.errors import nearest

            hint = nearest(args[0], list(VERBS))
            known = ", ".join(sorted(VERBS))
            raise click.UsageError(f"unknown command {args[0]!r}{hint}; commands are {known}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="limitbench", prog_name="limitbench")
def cli() -> None:
    """How closely, and how fast in width, networks follow infinite-width theories.

    Start with: limitbench run quickstart
    """


class _Once(logging.Filter):
    """Lets a warning through once: what cannot be read is met by every reader of a command."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the message is new."""
        message = record.getMessage()
        new = message not in self._said
        self._said.add(message)
        return new


def main() -> None:
    """Run the command line; every user-facing error is one line on stderr with its exit code."""
    from harness.errors import LimitbenchError

    logging.getLogger("harness.store").addFilter(_Once())
    try:
        code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        _fail(error.format_message() + where, 2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except LimitbenchError as error:
        _fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is heard; we are about to be gone
        _fail("interrupted; finished cells are kept, run again to go on", 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing more to say
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    print(f"limitbench: {message}", file=sys.stderr)  # noqa: T201 - the one place that says it
    sys.exit(code)
