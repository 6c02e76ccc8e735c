"""The commands by name; a command's module is imported when it is used, not before."""

from dataclasses import dataclass
from importlib import import_module

import click


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is, and the line that --help has of it."""

    module: str
    help: str

    def load(self) -> click.Command:
        """Import the module and return its `command`."""
        command = import_module(self.module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.module}.command is no command")
        return command


SERVICE = "service"

COMMANDS = {
    SERVICE: LazyCommand("scaffold.service", "Generate a service (the word may be left out)."),
    "init": LazyCommand("scaffold.init", "Make a fresh workspace in a folder."),
    "env": LazyCommand("scaffold.environment", "Make .env, the secrets of the containers."),
    "deploy": LazyCommand("scaffold.deploy.command", "Describe the fleet for Kubernetes."),
    "contracts": LazyCommand("scaffold.contracts.command", "Check who imports whom."),
    "demo": LazyCommand("scaffold.demo.command", "Show four services working, over real HTTP."),
}
