"""The command line: a verb in each file, and one place in which a command ends.

Nothing but the standard library is imported before signals are heeded, so that Ctrl-C ends a
command in one line however early it comes.
"""

from __future__ import annotations

import logging
import signal
import sys
from typing import NoReturn

from harness import signals
from harness.errors import LimitbenchError


class _Once(logging.Filter):
    """Lets a warning through once: every reader of a command meets the same unreadable file."""

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
    try:
        signals.heed()
        code = _run()
    except (signals.Stopped, KeyboardInterrupt) as error:
        number = error.number if isinstance(error, signals.Stopped) else signal.SIGINT
        signals.ignore()  # already heard; this process is about to exit
        name = signal.Signals(number).name
        how = "interrupted" if number == signal.SIGINT else f"stopped by {name}"
        _fail(f"{how}; finished cells are kept, run again to go on", 128 + number)
    sys.exit(code)


def _run() -> int:
    """Run a verb, and return the status of the command; errors of users end here."""
    import click

    from harness.cli.streams import guard_streams, settled
    from harness.cli.verbs import cli

    guard_streams()
    logging.getLogger("harness.store").addFilter(_Once())
    try:
        code = cli.main(standalone_mode=False)
        return settled(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        _fail(error.format_message() + where, 2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except LimitbenchError as error:
        _fail(str(error), error.exit_code)
    except click.Abort:
        raise KeyboardInterrupt from None


def _fail(message: str, code: int) -> NoReturn:
    for line in message.split("\n"):
        print(f"limitbench: {line}", file=sys.stderr)  # noqa: T201 - the one place that prints it
    sys.exit(code)
