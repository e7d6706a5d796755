"""The verbs of the command line: one in each file, loaded on demand."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBS = {
    "check": "Check a submission, and run cells drawn at random again.",
    "claims": "List claims of the literature, and judge them by results.",
    "compare": "Show the changes between two results folders.",
    "describe": "Show a component's parameters, domain and source, or a bundled suite's TOML.",
    "doctor": "Report the installation, and anything that it lacks.",
    "export": "Write every recorded value of a results folder.",
    "leaderboard": "Show how closely each theory describes wide networks.",
    "list": "List components of every kind, and suites.",
    "pack": "Write the cells of results folders into one file.",
    "plugins": "List, check or start plugins.",
    "prepare": "Fetch the data sets that a suite needs.",
    "report": "Write the report of a results folder.",
    "results": "Check a results folder, or remove useless cells from it.",
    "run": "Run the missing cells of a suite, score it, write the report.",
    "schema": "Print the JSON schema of suite files.",
    "score": "Rank a theory against networks that are at hand; none is trained.",
    "site": "Write a site of the leaderboard, from folders and submissions.",
    "worker-check": "Compare workers of a Dask cluster with this machine.",
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
        """Find the verb; an error names the nearest one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from harness.errors import nearest

            hint = nearest(args[0], list(VERBS))
            known = ", ".join(sorted(VERBS))
            raise click.UsageError(f"unknown command {args[0]!r}{hint}; commands are {known}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return verbs with their help, without importing them, or options."""
        if incomplete.startswith("-"):
            return super(click.Group, self).shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem

        found = [verb for verb in sorted(VERBS) if verb.startswith(incomplete)]
        return [CompletionItem(verb, help=VERBS[verb]) for verb in found]

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
