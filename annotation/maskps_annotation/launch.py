"""LabelMe, started on a pack as a program of its own. It is never imported: it is GPL, and needs Qt.

What goes wrong most often is looked for before, and told with what to install.
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
        command: what starts it.
        version: such as "6.3.1".
        packages: those beside it that may get in its way, by name, with their versions; empty where its
            environment cannot be asked.
    """

    command: tuple[str, ...]
    version: str
    packages: Mapping[str, str] = field(default_factory=dict)


def find_labelme(program: str | None = None) -> LabelMeProgram:
    """Returns the LabelMe to start: the one given, else that on the PATH, else that beside our Python.

    Raises:
        ConfigError: there is none, it does not start, or its version is not 6 or 7.
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
    version = packages.get("labelme") or _version_told_by(path)
    if not OLDEST <= int(version.split(".")[0]) < TOO_NEW:
        raise ConfigError(
            path,
            expected="LabelMe 6 or 7",
            found=f"version {version}",
            hint=f"older ones save no flag 'done' at once, newer ones are not known; {INSTALL}",
        )
    return LabelMeProgram((path,), version, packages)


def check_surroundings(
    program: LabelMeProgram, environment: Mapping[str, str], *, platform: str = sys.platform
) -> list[Finding]:
    """Returns what will keep LabelMe from opening a window ("error"), or may ("warning")."""
    findings = []
    if platform.startswith("linux"):
        qt = environment.get("QT_QPA_PLATFORM", "").split(":")[0]
        if not any(map(environment.get, ("DISPLAY", "WAYLAND_DISPLAY"))) and qt not in _WINDOWLESS:
            findings.append(
                Finding(
                    "no-display",
                    "error",
                    "DISPLAY, WAYLAND_DISPLAY",
                    "not set: LabelMe cannot open a window here",
                    hint="run it on the machine you sit at, or connect with 'ssh -X'",
                )
            )
        for name in ("opencv-python", "opencv-contrib-python"):
            if name in program.packages:
                findings.append(
                    Finding(
                        "opencv-qt",
                        "warning",
                        f"{name} {program.packages[name]}",
                        "brings a Qt of its own, with which LabelMe may not start",
                        hint=f"replace it with {name}-headless, or keep LabelMe apart with pipx",
                    )
                )
    for name in ("QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH"):
        if environment.get(name):
            findings.append(
                Finding(
                    "qt-plugin-path",
                    "warning",
                    name,
                    f"is set to {environment[name]}: LabelMe may load the plugins of another Qt",
                    hint=f"if it does not start, run 'unset {name}'",
                )
            )
    return findings


def labelme_command(program: LabelMeProgram, pack: Path) -> tuple[str, ...]:
    """Returns the command that opens a pack under its own configuration.

    `--output` is never given: with it, LabelMe up to 7.0 mixes up files.

    Raises:
        InputFileError: the folder is no pack, or its configuration is missing.
    """
    read_pack(pack)
    config = pack / CONFIG_NAME
    if not config.is_file():
        raise InputFileError(
            config,
            expected="the pack's configuration of LabelMe",
            found="no such file",
            hint="copy it from another pack: without it LabelMe would not keep to the rules",
        )
    # Absolute: a name that begins with a hyphen is no option then.
    return (*program.command, str(pack.resolve()), "--config", str(config.resolve()))


def run_labelme(command: Sequence[str]) -> None:
    """Starts LabelMe and waits until its window is closed.

    It runs in a session of its own: Ctrl-C ends the waiting, not LabelMe, which might be saving just then.

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


def _failure(where: str, status: int, told: str) -> MaskpsError:
    ended = f"signal {-status}" if status < 0 else f"exit code {status}"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    hint = "start it by hand to see more: " + where
    if library := _MISSING_LIBRARY.search(told):
        hint = f"install the system library {library[1]}; on Debian and Ubuntu: apt install libgl1 libegl1"
    elif "platform plugin" in told:
        hint = "on Debian and Ubuntu: apt install libxcb-cursor0 libxcb-xinerama0 libxkbcommon-x11-0"
    telling = [line for line in lines if _ERROR.search(line)] or lines  # Qt may grumble after the error
    found = f"{ended}: {telling[-1][:300]}" if telling else ended
    return MaskpsError(where, expected="LabelMe to run until its window is closed", found=found, hint=hint)


def _packages_beside(path: Path) -> dict[str, str]:
    """Returns the versions of LabelMe and of what may get in its way, asked of the Python that runs it."""
    try:
        with path.open("rb") as script:
            first = script.readline(500)
    except OSError:
        return {}
    interpreter = first[2:].decode(errors="replace").strip()
    if not first.startswith(b"#!") or not Path(interpreter).is_file():
        return {}  # a program of another kind: it tells its version itself
    try:
        answer = subprocess.run(
            [interpreter, "-c", _ASK], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
        packages = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return packages if isinstance(packages, dict) else {}


def _version_told_by(path: str) -> str:
    """Returns what `labelme --version` prints; for that it loads Qt, but opens no window."""
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
