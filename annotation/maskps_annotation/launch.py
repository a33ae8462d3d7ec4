"""LabelMe, started on a pack as a program of its own. It is never imported: it is GPL, and needs Qt.

Common problems are found before the start, with a hint what to install.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskps.errors import ConfigError, InputFileError, MaskpsError
from maskps.findings import Finding
from maskps_annotation.pack_files import CONFIG_NAME
from maskps_annotation.pack_record import read_pack

OLDEST, TOO_NEW = 6, 8
INSTALL = (
    "install it with 'pip install \"maskps[annotate]\"', or on its own with 'pipx install \"labelme<8\"'"
)

_WINDOWLESS = ("offscreen", "minimal", "vnc", "linuxfb", "eglfs")  # Qt platforms that need no display
_ASK_SECONDS = 120  # LabelMe's first start on a cold disk
_LAST_LINES = 12
_PACKAGES = ("labelme", "opencv-python", "opencv-contrib-python", "PyQt5", "PySide6")
_ASK = f"""
import json
from importlib.metadata import PackageNotFoundError, version
found = {{}}
for name in {_PACKAGES}:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""
_ERROR = re.compile(r"[Ee]rror\b|could not|[Ff]ailed")
_MISSING_LIBRARY = re.compile(r"(lib[\w+.-]+\.so[.\d]*): cannot open shared object")


@dataclass(frozen=True)
class LabelMeProgram:
    """An installed LabelMe.

    Attributes:
        command: starts it.
        version: such as "6.3.1".
        packages: name -> version of packages in its environment that may conflict with it; empty if its
            environment is unknown.
    """

    command: tuple[str, ...]
    version: str
    packages: Mapping[str, str] = field(default_factory=dict)


def find_labelme(program: str | None = None) -> LabelMeProgram:
    """Returns the LabelMe to start: the one given, else the one on the PATH, else the one beside our Python.

    Raises:
        ConfigError: LabelMe is not found, does not start, or is not version 6 or 7.
    """
    beside = shutil.which("labelme", path=str(Path(sys.executable).parent))
    path = shutil.which(program) if program else shutil.which("labelme") or beside
    if path is None:
        raise ConfigError(
            "labelme",
            expected="LabelMe 6 or 7",
            found=f"no program {program!r}" if program else "no program 'labelme'",
            hint=INSTALL,
        )
    packages = _packages_beside(Path(path))
    version = packages.get("labelme") or _printed_version(path)
    if not OLDEST <= int(version.split(".")[0]) < TOO_NEW:
        raise ConfigError(
            path,
            expected="LabelMe 6 or 7",
            found=f"version {version}",
            hint=f"older versions do not save the flag 'done' at once, newer ones are untested; {INSTALL}",
        )
    return LabelMeProgram((path,), version, packages)


def check_surroundings(
    program: LabelMeProgram, environment: Mapping[str, str], *, platform: str = sys.platform
) -> list[Finding]:
    """Returns what will ("error") or may ("warning") keep LabelMe from opening a window."""
    findings = []
    if platform.startswith("linux"):
        qt = environment.get("QT_QPA_PLATFORM", "").split(":")[0]
        if not any(map(environment.get, ("DISPLAY", "WAYLAND_DISPLAY"))) and qt not in _WINDOWLESS:
            found = "not set: LabelMe cannot open a window here"
            hint = "run it on the machine you sit at, or connect with 'ssh -X'"
            findings.append(Finding("no-display", "error", "DISPLAY, WAYLAND_DISPLAY", found, hint=hint))
        for name in ("opencv-python", "opencv-contrib-python"):
            if name in program.packages:
                where = f"{name} {program.packages[name]}"
                found = "brings its own Qt, with which LabelMe may not start"
                hint = f"replace it with {name}-headless, or keep LabelMe apart with pipx"
                findings.append(Finding("opencv-qt", "warning", where, found, hint=hint))
    for name in ("QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH"):
        if environment.get(name):
            found = f"is set to {environment[name]}: LabelMe may load the plugins of another Qt"
            hint = f"if it does not start, run 'unset {name}'"
            findings.append(Finding("qt-plugin-path", "warning", name, found, hint=hint))
    return findings


def labelme_command(program: LabelMeProgram, pack: Path) -> tuple[str, ...]:
    """Returns the command that opens a pack with the pack's configuration.

    `--output` is never given: with it, LabelMe up to 7.0 mixes up files.

    Raises:
        InputFileError: the folder is not a pack, or its configuration is missing.
    """
    read_pack(pack)
    config = pack / CONFIG_NAME
    if not config.is_file():
        raise InputFileError(
            config,
            expected="the pack's configuration of LabelMe",
            found="no such file",
            hint="copy it from another pack: without it LabelMe accepts any label and may copy shapes",
        )
    # Absolute: a name that begins with a hyphen would be read as an option.
    return (*program.command, str(pack.resolve()), "--config", str(config.resolve()))


def run_labelme(command: Sequence[str]) -> None:
    """Starts LabelMe and waits until its window is closed.

    It runs in a session of its own: Ctrl-C ends the waiting, not LabelMe, which might be saving.

    Raises:
        MaskpsError: it could not be started, or ended with an error.
    """
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise MaskpsError(
            command[0], expected="LabelMe to start", found=error.strerror or str(error), hint=INSTALL
        ) from error
    assert process.stderr is not None
    with process.stderr:
        last.extend(process.stderr)
    if status := process.wait():
        raise _failure(command[0], status, "".join(last))


def _failure(where: str, status: int, printed: str) -> MaskpsError:
    ended = f"signal {-status}" if status < 0 else f"exit code {status}"
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    hint = "start it by hand to see more: " + where
    if library := _MISSING_LIBRARY.search(printed):
        hint = f"install the system library {library[1]}; on Debian and Ubuntu: apt install libgl1 libegl1"
    elif "platform plugin" in printed:
        hint = "on Debian and Ubuntu: apt install libxcb-cursor0 libxcb-xinerama0 libxkbcommon-x11-0"
    errors = [line for line in lines if _ERROR.search(line)] or lines  # Qt may print warnings after it
    found = f"{ended}: {errors[-1][:300]}" if errors else ended
    return MaskpsError(where, expected="LabelMe to run until its window is closed", found=found, hint=hint)


def _packages_beside(path: Path) -> dict[str, str]:
    """Returns the versions of LabelMe and of packages that may conflict, from the Python that runs it."""
    try:
        with path.open("rb") as script:
            first = script.readline(500)
    except OSError:
        return {}
    interpreter = first[2:].decode(errors="replace").strip()
    if not first.startswith(b"#!") or not Path(interpreter).is_file():
        return {}  # not a Python script: `--version` has to do
    try:
        answer = subprocess.run(
            [interpreter, "-c", _ASK], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
        packages = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return packages if isinstance(packages, dict) else {}


def _printed_version(path: str) -> str:
    """Returns the version that `labelme --version` prints; it loads Qt for that, but opens no window."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=_ASK_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(
            path, expected="LabelMe 6 or 7", found=f"it does not start: {error}", hint=INSTALL
        ) from error
    if answer.returncode:
        raise _failure(path, answer.returncode, answer.stderr)
    version = re.search(r"\d+(\.\d+)+", answer.stdout)
    if version is None:
        raise ConfigError(
            path,
            expected="a version such as 'labelme 6.3.1'",
            found=repr(answer.stdout[:60]),
            hint=INSTALL,
        )
    return version[0]
