"""A value of an option that cannot be read is wrong usage (exit code 2), a faulty file is not (1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from maskps_cli.data import main as data_main
from maskps_cli.main import main

TRAIN = ("train", "scenes", "--subset", "subset", "--run", "run")
ABLATE = ("ablate", "scenes", "--subset", "subset", "--run", "run")
EVAL = ("eval", "scenes", "--run", "run")
BUILD = ("build-subset", "scenes", "--out", "out")
PACK = ("annotate", "pack", "subset", "--out", "packs")


@pytest.mark.parametrize(
    ("command", "option", "value", "expected"),
    [
        (TRAIN, "--proportion", "abc", "one percentage"),
        (TRAIN, "--proportion", "3%,6%", "one percentage"),
        (TRAIN, "--recipe", "tinny", "did you mean 'tiny'?"),
        (TRAIN, "--set", "epochs", "key=value"),
        (TRAIN, "--set", "epochs=two", "a whole number"),
        (TRAIN, "--set", "epochs=0", ">= 1"),
        (TRAIN, "--set", "epoch=2", "did you mean 'epochs'?"),
        (TRAIN, "--device", "abacus", "a device of this machine"),
        (ABLATE, "--proportions", "abc", "percentages"),
        (ABLATE, "--set", "epochs=two", "a whole number"),
        (ABLATE, "--seeds", "0,4294967296", "<= 2,147,483,647"),
        (ABLATE, "--seeds", 5000 * "1", "whole numbers"),
        (TRAIN, "--set", "weight_decay=1e308", "<= 1,000"),
        (TRAIN, "--set", "rpn_channels=100000000000000000000", "<= 16,384"),
        (EVAL, "--device", "abacus", "a device of this machine"),
        (EVAL, "--checkpoint", "lst", "last, best nor the number of a step"),
        (BUILD, "--proportion", "abc", "percentages"),
        (PACK, "--annotators", "ann,a/b", "letters, digits"),
        (PACK, "--annotators", "ann,Ann", "each name once"),
    ],
)
def test_a_value_that_cannot_be_read_is_wrong_usage_and_tells_what_is_expected(
    command: tuple[str, ...], option: str, value: str, expected: str
) -> None:
    program = main if command[0] in main.commands else data_main
    result = CliRunner().invoke(program, [*command, option, value])
    assert result.exit_code == 2, result.output
    assert f"Invalid value for '{option}': " in result.stderr
    assert expected in result.stderr
    assert result.stderr.startswith("Usage: main")


@pytest.mark.parametrize(
    "arguments",
    [
        [*ABLATE, "--seeds", "0,1,0"],
        [*BUILD, "--per-portion", "6"],
        [*PACK, "--annotators", ","],
        [*PACK, "--annotators", "ann", "--double", "5%"],
    ],
)
def test_values_that_contradict_each_other_are_wrong_usage(arguments: list[str]) -> None:
    program = main if arguments[0] in main.commands else data_main
    assert CliRunner().invoke(program, arguments).exit_code == 2


def test_a_faulty_recipe_file_is_no_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("epoch = 2\n")
    result = CliRunner().invoke(main, [*TRAIN, "--recipe", str(tmp_path / "own.toml")])
    assert result.exit_code == 1 and "did you mean 'epochs'?" in result.stderr
