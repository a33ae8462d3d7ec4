"""LabelMe is found, checked and started as a program; what is missing is said. Here small scripts play it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from maskps.errors import ConfigError, InputFileError, MaskpsError
from maskps.io.files import write_json
from maskps_annotation.launch import (
    LabelMeProgram,
    check_surroundings,
    find_labelme,
    labelme_command,
    run_labelme,
)
from maskps_annotation.pack_files import CONFIG_NAME, labelme_config
from maskps_annotation.pack_record import Pack, pack_content

ANY = LabelMeProgram(("labelme",), "6.3.1")


def script(folder: Path, body: str) -> str:
    """A program that runs this Python code."""
    path = folder / "labelme"
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "ann"
    folder.mkdir()
    write_json(folder / "pack.json", pack_content(Pack("ann", folder, ()), "f" * 64))
    (folder / CONFIG_NAME).write_text(labelme_config(2), encoding="utf-8")
    return folder


@pytest.mark.parametrize("version", ["6.0.0", "6.3.1", "7.9.1"])
def test_versions_6_and_7_are_found(tmp_path: Path, version: str) -> None:
    program = find_labelme(script(tmp_path, f"print('labelme {version}')"))
    assert program.version == version


@pytest.mark.parametrize("version", ["5.11.4", "8.0.0"])
def test_other_versions_are_refused_with_what_to_install(tmp_path: Path, version: str) -> None:
    with pytest.raises(ConfigError, match=version) as caught:
        find_labelme(script(tmp_path, f"print('labelme {version}')"))
    assert "pip install" in caught.value.hint


def test_a_missing_labelme_is_reported_with_what_to_install() -> None:
    with pytest.raises(ConfigError, match="no program") as caught:
        find_labelme("no-such-labelme")
    assert "maskps[annotate]" in caught.value.hint


def test_a_missing_system_library_is_named(tmp_path: Path) -> None:
    text = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
    with pytest.raises(MaskpsError) as caught:
        find_labelme(script(tmp_path, f"sys.exit({text!r})"))
    assert "libGL.so.1" in caught.value.hint and "apt install" in caught.value.hint


def test_a_program_that_is_no_labelme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a version"):
        find_labelme(script(tmp_path, "print('hello')"))


@pytest.mark.parametrize(
    ("environment", "codes"),
    [
        ({}, ["no-display"]),
        ({"DISPLAY": ""}, ["no-display"]),
        ({"DISPLAY": ":0"}, []),
        ({"WAYLAND_DISPLAY": "wayland-0"}, []),
        ({"QT_QPA_PLATFORM": "offscreen"}, []),
        ({"QT_QPA_PLATFORM": "vnc:size=800x600"}, []),
        ({"QT_QPA_PLATFORM": "xcb"}, ["no-display"]),
        ({"DISPLAY": ":0", "QT_PLUGIN_PATH": "/x"}, ["qt-plugin-path"]),
    ],
)
def test_the_display_is_looked_for_first(environment: dict[str, str], codes: list[str]) -> None:
    findings = check_surroundings(ANY, environment, platform="linux")
    assert [finding.code for finding in findings] == codes
    assert all(finding.hint for finding in findings)


def test_a_mac_needs_no_display() -> None:
    assert check_surroundings(ANY, {}, platform="darwin") == []


def test_opencv_with_a_qt_of_its_own_is_a_warning() -> None:
    program = LabelMeProgram(("labelme",), "6.3.1", {"opencv-python": "4.10"})
    (finding,) = check_surroundings(program, {"DISPLAY": ":0"}, platform="linux")
    assert (finding.code, finding.level) == ("opencv-qt", "warning")
    assert "opencv-python-headless" in finding.hint


def test_the_pack_is_opened_under_its_own_configuration_and_without_output(pack: Path) -> None:
    assert labelme_command(ANY, pack) == (
        "labelme",
        str(pack.resolve()),
        "--config",
        str((pack / CONFIG_NAME).resolve()),
    )


def test_a_folder_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"pack\.json") as caught:
        labelme_command(ANY, tmp_path)
    assert caught.value.hint


def test_a_pack_without_configuration_is_refused(pack: Path) -> None:
    (pack / CONFIG_NAME).unlink()
    with pytest.raises(InputFileError, match="configuration"):
        labelme_command(ANY, pack)


def test_labelme_is_waited_for(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = script(tmp_path, f"open({str(seen)!r}, 'w').write(' '.join(sys.argv[1:]))")
    run_labelme([program, "a", "b"])
    assert seen.read_text() == "a b"


def test_a_labelme_that_fails_is_reported_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(MaskpsError, match=r"exit code 3.*the last line"):
        run_labelme([script(tmp_path, "print('first\\nthe last line', file=sys.stderr); sys.exit(3)")])


def test_what_qt_grumbles_after_the_error_does_not_hide_it(tmp_path: Path) -> None:
    listed = "TypeError: too many arguments\nThis plugin does not support raise()"
    with pytest.raises(MaskpsError, match="exit code 1: TypeError: too many arguments"):
        run_labelme([script(tmp_path, f"sys.exit({listed!r})")])


def test_a_labelme_killed_by_qt_is_reported_with_what_to_install(tmp_path: Path) -> None:
    body = (
        "import signal; print('qt.qpa.plugin: could not load the Qt platform plugin', file=sys.stderr, "
        "flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(MaskpsError, match="signal 9") as caught:
        run_labelme([script(tmp_path, body)])
    assert "apt install" in caught.value.hint


def test_ctrl_c_does_not_reach_labelme(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    run_labelme([script(tmp_path, f"open({str(seen)!r}, 'w').write(str(os.getsid(0) == os.getpid()))")])
    assert seen.read_text() == "True"


def test_labelme_is_never_imported() -> None:
    package = Path(sys.modules["maskps_annotation"].__file__ or "").parent
    for file in package.rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not line.strip().startswith(("import labelme", "from labelme")), file
