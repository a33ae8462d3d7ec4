"""Every command explains itself, ends with an example, and stands in the README."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from maskps_cli import data, main

README = Path(__file__).resolve().parents[2] / "README.md"


def commands_of(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield name, command
        if isinstance(command, click.Group):
            for below, of_group in commands_of(command):
                yield f"{name} {below}", of_group


_SUMMARY = 58  # characters that click shows in 80 columns beside the longest name, import-weights

COMMANDS = [
    (program, name, command)
    for program, group in (("maskps-data", data.main), ("maskps", main.main))
    for name, command in commands_of(group)
]


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS)
def test_a_command_has_a_summary_an_example_and_a_place_in_the_readme(
    program: str, name: str, command: click.Command
) -> None:
    assert command.help is not None
    assert command.get_short_help_str(_SUMMARY) == command.help.splitlines()[0]  # whole, in its group's list
    assert f"{program} {name}" in command.help.split("Example:")[1]
    group, _, below = name.partition(" ")
    readme = README.read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if line.startswith(f"| `{program} {group}")][:1]
    assert below in line


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS)
def test_every_option_is_explained(program: str, name: str, command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{program} {name} {parameter.opts}"


def test_help_does_not_import_torch() -> None:
    code = "import sys; from maskps_cli import main, data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
