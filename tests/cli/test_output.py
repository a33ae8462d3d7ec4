"""Text that leaves the program: no control characters, valid JSON, and no traceback on closed streams."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from command_line import invoke

from maskps.errors import ConfigError, InputFileError, printable
from maskps_cli import output
from maskps_cli.data import main
from maskps_cli.options import MaskpsGroup, wrong_value

HOSTILE = "a\x00b\x1b[31mred\x9b\u202eetad\u200b\ufeff\udce9\rX\u2028"
SAFE = r"a\x00b\x1b[31mred\x9b\u202eetad\u200b\ufeff\udce9\rX\u2028"
WAYS = ["error", "usage", "say", "echo", "table", "log", "system"]


def showing(way: str, text: str) -> Result:
    @click.group(cls=MaskpsGroup)
    def group() -> None:
        pass

    @group.command()
    def show() -> None:
        if way == "error":
            raise InputFileError(text, expected=text, found=text, hint=text)
        if way == "usage":
            with wrong_value("--set"):
                raise ConfigError("seed", found=text)
        if way == "system":
            raise OSError(5, text)
        if way == "say":
            output.say(text)
        elif way == "echo":
            output.echo(text)
        elif way == "table":
            output.print_table(text, [text, text], [[text, text]], note=text)
        else:
            record = logging.LogRecord("maskps", logging.WARNING, "", 0, text, None, None)
            output.echo(output.PrintableFormatter("%(message)s").format(record))

    return CliRunner().invoke(group, ["show"])


@pytest.mark.parametrize("way", WAYS)
def test_no_character_of_a_file_acts_on_the_terminal(way: str) -> None:
    result = showing(way, HOSTILE)
    text = result.stdout + result.stderr
    assert SAFE in text or way == "system"
    assert {one for one in text if unicodedata.category(one)[0] == "C" or one == "\u2028"} <= {"\n"}


@pytest.mark.parametrize("way", ["error", "usage", "say", "echo", "table"])
def test_other_scripts_are_shown_as_they_are(way: str) -> None:
    result = showing(way, "scène 東京 фото مشهد 🙂")
    assert "scène 東京 фото مشهد 🙂" in result.stdout + result.stderr


def test_a_line_break_in_a_name_does_not_make_a_line_of_the_message() -> None:
    error = InputFileError("a\n  try:      rm -r /", found="b\nc")
    assert str(error).count("\n") == 1
    assert printable("a\nb", keep="\n") == "a\nb"


@pytest.fixture
def scenes(few_scenes: Path, tmp_path: Path) -> Path:
    """A data set with a picture whose name is Latin-1."""
    root = tmp_path / "scenes"
    root.mkdir()
    (root / "annotation").symlink_to(few_scenes / "annotation")
    (root / "Image" / "SSM").mkdir(parents=True)
    (image, *others) = (few_scenes / "Image" / "SSM").iterdir()
    for path in (image, *others):
        shutil.copyfile(path, root / "Image" / "SSM" / path.name)
    Path(os.fsdecode(os.fsencode(root / "Image" / "SSM") + b"/caf\xe9\x1b.jpg")).write_bytes(
        image.read_bytes()
    )
    return root


COMMAND = [sys.executable, "-c", "from maskps_cli.data import main; main()"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_is_utf_8_whatever_the_locale_and_the_names(scenes: Path, encoding: str) -> None:
    command = [*COMMAND, "verify", str(scenes), "--images", "--json"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    content = json.loads(done.stdout.decode("utf-8"))
    assert any("caf\udce9\x1b.jpg" in finding["found"] for finding in content["findings"])
    assert b"\x1b" not in done.stdout


def test_json_keeps_other_scripts_and_escapes_what_acts(capfd: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": HOSTILE, "b": "東\U000e0001"})
    text = capfd.readouterr().out
    assert json.loads(text) == {"a": HOSTILE, "b": "東\U000e0001"}
    assert "東" in text and all(one.isprintable() for one in text.replace("\n", ""))


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("options", ["", "--images"])
def test_closed_streams_are_no_error(scenes: Path, closed: str, options: str, tmp_path: Path) -> None:

    line = f'"$0" -c "{COMMAND[2]}" verify "$1" {options} {closed}; echo rc $? > "$2"'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, str(scenes), str(tmp_path / "rc")],
        capture_output=True,
        check=False,
    )
    assert (tmp_path / "rc").read_text() == "rc 0\n"
    assert b"Traceback" not in done.stderr + done.stdout


def test_a_full_disk_behind_stdout_is_one_message(scenes: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "verify", str(scenes)], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_a_name_in_an_argument_is_escaped() -> None:
    result = invoke(main, "verify", "a", "b\x1b[31m")
    assert result.exit_code == 2
    assert r"b\x1b[31m" in result.stderr and "\x1b" not in result.stderr


def test_commands_print_by_one_module() -> None:
    folder = Path(output.__file__).parent
    printing = [path.name for path in folder.rglob("*.py") if "click.echo(" in path.read_text("utf-8")]
    assert printing == ["output.py"]
