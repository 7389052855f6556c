"""The command line: one file per command, imported only when it is asked for, and one place for exit codes."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

import click

from .. import __version__
from ..errors import BenchError, EnvironmentFault

OK, REGRESSION, USAGE, SOME_FAILED, NOTHING, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
EXIT_CODES = {
    OK: "ok; skipped and cached cells included",
    REGRESSION: "regression, or a check that failed",
    USAGE: "usage: what was asked cannot be done as asked",
    SOME_FAILED: "some cells failed",
    NOTHING: "nothing was selected or ran",
    ENVIRONMENT: "environment: a full disk, a folder without permission, a hub out of reach",
    INTERRUPTED: "interrupted",
}
_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())

_COMMANDS = {
    "list": ("list_", "Methods, tasks, suites or plugins that are here."),
    "show": ("show", "A method, a task, or a record with the circuit it found."),
    "run": ("run", "Run methods on tasks; run again to do only what is missing."),
    "export": ("export", "Write the edited model of a removal record as a checkpoint."),
    "status": ("status", "What is done, failed or missing in a results folder."),
    "compare": ("compare", "Compare two results folders; exit 1 if anything is worse."),
    "gate": ("gate", "Run your branch and what it started from; exit 1 if anything is worse."),
    "leaderboard": ("leaderboard", "Build or serve the leaderboard page."),
    "check": ("check", "Run the checks of a method or task: does it keep the contract?"),
    "pull": ("pull", "Fetch the models and data of a task."),
    "new": ("new", "Write an installable package with a method or a task of your own."),
    "doctor": ("doctor", "Check this installation and say what to mend."),
}


class _Lazy(click.Group):
    """A group that imports a command when it runs, so that `bench list` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"mechboard.cli.{_COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mechboard")
def bench() -> None:
    """Benchmark mechanistic-interpretability methods: every method on every task, scored against known circuits.

    Start with `bench run --method eap --task all`, then `bench leaderboard serve`.
    """


def main() -> None:
    """Entry point of the scripts `bench` and `mechboard`."""
    try:
        code = bench.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = USAGE
    except click.ClickException as error:
        error.show()
        code = USAGE
    except BenchError as error:
        click.echo(f"error: {error}", err=True)
        code = ENVIRONMENT if isinstance(error, EnvironmentFault) else USAGE
    except BrokenPipeError:
        sys.stderr.close()
        code = OK
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        click.echo(f"error: The output cannot be written ({error.strerror}); free space, then run again.", err=True)
        # What could not be written would fail again when Python exits, with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = ENVIRONMENT
    sys.exit(code if isinstance(code, int) else OK)
