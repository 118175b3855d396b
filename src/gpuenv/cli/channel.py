"""`gpuenv channel`: what a maintainer of a conda channel does; each command is loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["channel_command"]

# Each command: the module and the function that it is in, and its line in the help.
_COMMANDS = {
    "build": ("channel_build", "build_command", "Build the CPU and the GPU packages of a recipe."),
    "index": ("channel_index", "index_command", "Write the index of a channel's packages."),
    "audit": ("channel_audit", "audit_command", "Compare what packages say of themselves with what is in them."),
    "wheel": ("channel_wheel", "wheel_command", "Make a conda package of a wheel."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(f"gpuenv.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])


@click.group("channel", cls=_Commands, short_help="Build, index and audit a conda channel.")
def channel_command() -> None:
    """Make a conda channel whose packages say which drivers and GPUs they run on, as their binaries have it."""
