"""Commands as a user types them."""

from __future__ import annotations

import click
from click.testing import CliRunner, Result


def invoke(command: click.Command, *arguments: object, **environment: str | None) -> Result:
    """What a command did with these arguments; a variable of the environment that is None is not set."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], env=environment)
