"""The `gpuenv` command: its verbs, loaded on first use, and what becomes of errors.

Exit codes: 0 yes or done, 1 the answer is no, 2 the question is wrong, 3 could not find out, 70 our bug.
"""

from __future__ import annotations

import errno
import gc
import sys
from importlib import import_module

import click

from gpuenv import __version__
from gpuenv.errors import EXIT_BUG, GpuenvError

__all__ = ["cli", "main"]

# Each verb: where its command is, and its line in `gpuenv --help` (so that help loads none of them).
_VERBS = {
    "info": ("info", "Show this machine and which GPU packages it can run."),
    "inspect": ("inspect", "Show which GPUs a package has code for, without installing it."),
    "check": ("check", "Say whether packages run on this machine or others; download nothing."),
    "plan": ("plan", "Print what would be installed, and why; install nothing."),
    "explain": ("explain", "Say why a plan is as it is, and what would change it."),
    "create": ("create", "Make an environment that fits this machine."),
    "install": ("change", "Add packages to an environment."),
    "update": ("change", "Bring an environment to the newest that fits."),
    "remove": ("change", "Take packages out of an environment."),
    "list": ("list", "List environments, or the packages of one."),
    "run": ("run", "Run a command in an environment."),
    "shell": ("run", "Open a shell in an environment."),
    "env": ("env", "List or remove whole environments."),
    "lock": ("lock", "Write a plan for a project's machines to `gpuenv.lock`."),
    "sync": ("sync", "Make the environment that a `gpuenv.lock` describes."),
    "catalog": ("catalog", "Say how old the catalog is, renew it, or read it again."),
    "channel": ("channel", "Build, index and audit a conda channel."),
    "export": ("export", "Write an environment down for other tools."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which people meet them."""
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb; None when there is no such verb."""
        del ctx
        if cmd_name not in _VERBS:
            return None
        command = getattr(import_module(f"gpuenv.cli.{_VERBS[cmd_name][0]}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in _VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words begin with; a verb of conda's or uv's is answered with ours."""
        if args and args[0] in {"search", "activate", "uninstall"}:
            ours = {"activate": "shell", "uninstall": "remove", "search": "plan"}
            raise click.UsageError(f"there is no `{args[0]}`; did you mean `gpuenv {ours[args[0]]}`?", ctx)
        return super().resolve_command(ctx, args)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="gpuenv %(version)s")
def cli() -> None:
    """Python environments whose GPU packages are known to run on your machine, before the download and after it.

    Packages are named as conda or Python name them: pytorch, tensorflow-gpu, cudatoolkit=12.1, "cupy>=13",
    "jax[cuda12]".
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing but our own bugs shows a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    _end_in_order()
    if arguments is None:
        # A command lives for a second or two; looking for cycles meanwhile takes time and finds next to nothing.
        gc.disable()
    try:
        outcome = cli.main(args=words, prog_name="gpuenv", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except SystemExit:
        # Click and rich end so, with 1, when whoever reads our output has closed it; that is no answer `no`.
        _leave_quietly()
        return 0
    except GpuenvError as error:
        from gpuenv.cli.failure import show_failure

        show_failure(error, as_json="--json" in words, verbose=bool({"-v", "--verbose"} & set(words)))
        return error.exit_code
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        from gpuenv.cli.failure import show_usage_error

        show_usage_error(error, as_json="--json" in words)
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 130
    except BrokenPipeError:
        _leave_quietly()
        return 0
    except Exception as error:  # noqa: BLE001  (whatever else it is, it is our bug, and is told as such)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            _leave_quietly()
            click.echo(f"error: there is no room for the answer\n  {error.strerror}", err=True)
            return 3
        import traceback

        traceback.print_exc()
        click.echo(f"\nThis is a defect of gpuenv {__version__}. Please report it with the lines above.", err=True)
        return EXIT_BUG


def _end_in_order() -> None:
    """Let a request to end (SIGTERM) clean up as Ctrl-C does."""
    import signal
    import threading

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def _leave_quietly() -> None:
    # Whoever reads our output closed it; Python would complain once more when it flushes at the end.
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
