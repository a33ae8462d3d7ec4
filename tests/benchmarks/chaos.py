"""Kills commands at random moments, and compares what a rerun makes with what was never killed.

    python tests/benchmarks/chaos.py WORK [--kills 50] [--only train,eval] [--seed 0]

Each kill hits a command that starts from nothing, at a moment drawn from the time of a whole one. The same
command again must end in the same bytes; files that differ between two whole runs, such as times, do not
count. In the same way each command meets a full disk (a limit of the file size), a folder that it may not
write to (as another user: needs root), and a second process that does the same at the same moment. A message
must name the cause, without a traceback.

Needs one core. Results are kept in WORK/results.json: stopped at any time, it continues.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import hashlib
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import maskps
import maskps_annotation
import maskps_cli
from maskps.synthetic import SplitScale, SynthScale, write_synthetic
from maskps_cli.data import main as data_main
from maskps_cli.main import main as network_main

SCALE = SynthScale(
    160,
    (0.2, 0.42),
    SplitScale(12, 2, 4, 13, 20, 4, (3, 4)),
    SplitScale(9, 0, 3, 10, 10, 3, (3, 4)),
    galleries=(4, 6),
    occluded=1,
    low_resolution=1,
    subset_gallery=4,
)
SETTINGS = {
    "shorter_side": 64,
    "longest_side": 96,
    "anchor_sizes": "[16,32]",
    "rois_per_image": 8,
    "rpn_pre_nms_top_n_train": 50,
    "rpn_post_nms_top_n_train": 20,
    "rpn_post_nms_top_n_test": 10,
    "checkpoint_every": 1,
    "epochs": 2,
    "num_workers": 0,
}
RECIPE = "--recipe tiny " + " ".join(f"--set {key}={value}" for key, value in SETTINGS.items())
NOBODY = 65534
KINDS = ("kill", "full", "read-only", "two")


@dataclass(frozen=True)
class Job:
    """A command, run in an empty folder.

    Attributes:
        work: does it; gets the options to add.
        out: what it makes there.
        again: the option for a rerun if `out` exists.
        copied: input folders that it changes: copies of them lie in the folder.
    """

    work: Callable[[Sequence[str]], object]
    out: str = "out"
    again: str = "--force"
    copied: tuple[str, ...] = ()


def command(group: Callable[..., object], line: str) -> Callable[[Sequence[str]], object]:
    return lambda options: group([*line.split(), *options], prog_name="maskps")


def jobs(inputs: Path) -> dict[str, Job]:
    scenes, plain, packs = inputs / "scenes", inputs / "plain", inputs / "packs"
    of_subset = f"{scenes} --subset {inputs / 'subset'} {RECIPE} --quiet"
    lines = {
        "build-subset": f"{scenes} --portion-size 2 --labelme {scenes}/truth/labelme --quiet --out out",
        "convert": f"{scenes} --to coco --images copy --allow-loss --quiet --out out",
        "import-masks": f"{scenes} --subset {plain} --from {inputs}/masks.json --quiet --out out",
        "pack": f"{plain} --annotators ann,bob --quiet --out out",
        "collect": f"{packs} --into plain --images {scenes} --quiet",
        "train": f"{of_subset} --run out",
        "eval": f"{scenes} --run run --gallery-size 4 --quiet --out result.json "
        "--save-detections detections.npz",
        "ablate": f"{of_subset} --proportions 0,full --seeds 0 --gallery-size 4 --run out",
        "report": f"{inputs}/result.json --quiet --out report.html --files files",
    }
    options: dict[str, dict[str, Any]] = {
        "collect": {"out": "plain", "again": "", "copied": ("plain",)},
        "train": {"out": "out/run.json", "again": "--resume"},
        "eval": {"out": "detections.npz", "copied": ("run",)},
        "ablate": {"again": ""},
        "report": {"out": "report.html"},
    }

    def synth(force: Sequence[str]) -> object:
        return write_synthetic(Path("out"), scale=SCALE, seed=3, force=bool(force))

    found = {"synth": Job(synth)}
    for name, line in lines.items():
        group = network_main if name in network_main.commands else data_main
        first = "annotate " if name in ("pack", "collect") else ""
        found[name] = Job(command(group, f"{first}{name} {line}"), **options.get(name, {}))
    return found


def make_inputs(inputs: Path) -> None:
    """Makes what the commands read; `inputs`/whole appears when all of it is there."""
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir(parents=True)
    every, place, scenes = jobs(inputs), inputs / "place", inputs / "scenes"

    def do(work: Callable[[Sequence[str]], object]) -> None:
        finish(start(lambda: work([]), place), place)

    write_synthetic(scenes, scale=SCALE, seed=3)
    do(command(data_main, f"build-subset {scenes} --portion-size 2 --out {inputs}/plain"))
    do(every["build-subset"].work)
    (place / "out").rename(inputs / "subset")
    masks = f"convert --masks {inputs}/subset/masks.json --to coco-rle --out {inputs}/masks.json"
    do(command(data_main, masks))
    do(every["pack"].work)
    (place / "out").rename(inputs / "packs")
    for file in (inputs / "packs").glob("*/*.json"):
        content, truth = json.loads(file.read_text()), scenes / "truth" / "labelme" / file.name
        if truth.exists():
            content["shapes"] += json.loads(truth.read_text())["shapes"]
            file.write_text(json.dumps(content | {"flags": {"done": True}}))
    do(every["train"].work)
    (place / "out").rename(inputs / "run")
    shutil.copytree(inputs / "run", place / "run")
    do(every["eval"].work)
    (place / "result.json").rename(inputs / "result.json")
    shutil.rmtree(place)
    (inputs / "whole").touch()


def start(work: Callable[[], object], folder: Path, *, before: Callable[[], object] = lambda: None) -> int:
    """Starts a command in `folder`, in a process group of its own, without the time of imports."""
    folder.mkdir(exist_ok=True)
    log = os.open(folder.with_name(f"{folder.name}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    process = os.fork()
    if process:
        os.close(log)
        return process
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.dup2(log, 1)
        os.dup2(log, 2)
        before()
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        if "maskps" not in type(error).__module__:  # an error with a message is no traceback
            print("Traceback", file=sys.stderr)
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def finish(process: int, folder: Path, *, expected: int | None = 0) -> int:
    """Waits for a command; returns its exit code, below 0 for a signal."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    log = folder.with_name(f"{folder.name}.log")
    if expected is not None and code != expected:
        raise AssertionError(f"exit code {code}: {log.read_text()[-2000:]}")
    if "Traceback" in log.read_text():
        raise AssertionError(f"a traceback: {log.read_text()[-2000:]}")
    return code


def contents(folder: Path) -> dict[str, str]:
    """Returns the digest of every file by its path; for folders "folder"."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


@dataclass(frozen=True)
class Whole:
    """What a command makes that nothing disturbs.

    Attributes:
        files: the digest of each.
        varying: those that differ between two runs.
        largest: bytes of the largest new file.
    """

    files: dict[str, str]
    varying: set[str]
    largest: int
    seconds: float


class Chaos:
    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.rng = work, np.random.default_rng([seed, int(time.time())])
        self.inputs, self.place = work / "inputs", work / "place"
        if not (self.inputs / "whole").exists():
            make_inputs(self.inputs)
        self.results_file = work / "results.json"
        text = self.results_file.read_text() if self.results_file.exists() else "{}"
        self.results: dict[str, list[dict[str, object]]] = json.loads(text)

    def fresh(self, job: Job) -> Path:
        for path in (self.place, self.place.with_name("place.log")):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        self.place.mkdir()
        for name in job.copied:
            shutil.copytree(self.inputs / name, self.place / name)
        return self.place

    def whole(self, job: Job) -> Whole:
        found, seconds = [], 0.0
        for _ in range(2):
            place = self.fresh(job)
            before, began = contents(place), time.perf_counter()
            finish(start(lambda: job.work([]), place), place)
            seconds = time.perf_counter() - began
            found.append(contents(place))
        one, other = found
        assert one.keys() == other.keys(), one.keys() ^ other.keys()
        new = [name for name, digest in other.items() if digest not in ("folder", before.get(name))]
        largest = max((place / name).stat().st_size for name in new)
        return Whole(one, {name for name in one if one[name] != other[name]}, largest, seconds)

    def rerun(self, job: Job, whole: Whole) -> dict[str, object]:
        """Does the command again; returns what was left over from before. Other bytes are an error."""
        options = [job.again] if job.again and (self.place / job.out).exists() else []
        finish(start(lambda: job.work(options), self.place), self.place)
        found = contents(self.place)
        wrong = {
            name: found.get(name, "missing")
            for name, digest in whole.files.items()
            if found.get(name) != digest and not (name in whole.varying and name in found)
        }
        assert not wrong, f"other bytes: {wrong}"
        return {"left over": sorted(found.keys() - whole.files.keys())}

    def kill(self, job: Job, whole: Whole) -> dict[str, object]:
        process = start(lambda: job.work([]), self.fresh(job))
        time.sleep(self.rng.uniform(0, 1.05 * whole.seconds))
        os.killpg(process, signal.SIGKILL) if has_own_group(process) else os.kill(process, signal.SIGKILL)
        code = finish(process, self.place, expected=None)
        return {"hit": code == -signal.SIGKILL, **self.rerun(job, whole)}

    def full(self, job: Job, whole: Whole) -> dict[str, object]:
        place = self.fresh(job)
        limit = int(self.rng.integers(0, whole.largest))

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        code = finish(start(lambda: job.work([]), place, before=limited), place, expected=None)
        assert code in (0, 1), code
        return {"hit": code == 1, **self.rerun(job, whole)}

    def read_only(self, job: Job, whole: Whole) -> dict[str, object]:
        place = self.fresh(job)
        before = contents(place)

        def become_nobody() -> None:
            os.setgid(NOBODY)
            os.setuid(NOBODY)

        code = finish(start(lambda: job.work([]), place, before=become_nobody), place, expected=1)
        assert contents(place) == before, "something was written"
        return {"hit": code == 1, **self.rerun(job, whole)}

    def two(self, job: Job, whole: Whole) -> dict[str, object]:
        place = self.fresh(job)
        processes = []
        for _ in range(2):
            processes.append(start(lambda: job.work([]), place))
            time.sleep(self.rng.uniform(0, 0.2 * whole.seconds))
        codes = [finish(process, place, expected=None) for process in processes]
        assert set(codes) <= {0, 1} and 0 in codes, (codes, place.with_name("place.log").read_text()[-2000:])
        return {"hit": 1 in codes, **self.rerun(job, whole)}

    def run(self, name: str, job: Job, kills: int) -> None:
        counts = {"kill": kills, "full": max(1, kills // 5), "read-only": 1, "two": max(1, kills // 5)}
        left = {kind: counts[kind] - len(self.results.get(f"{name} {kind}", [])) for kind in KINDS}
        if not any(number > 0 for number in left.values()):
            return
        whole = self.whole(job)
        self.results.setdefault(f"{name} varying", [])[:] = [{"files": sorted(whole.varying)}]
        works = {"kill": self.kill, "full": self.full, "read-only": self.read_only, "two": self.two}
        for kind in KINDS:
            for _ in range(left[kind]):
                try:
                    one = works[kind](job, whole)
                except AssertionError as error:
                    one = {"fault": str(error)[-1500:]}
                    print(f"{name} {kind}: {one['fault']}", flush=True)
                self.results.setdefault(f"{name} {kind}", []).append(one)
                self.results_file.write_text(json.dumps(self.results, indent=1))

    def table(self, names: Sequence[str]) -> str:
        """Returns "right of all (reached before the end)" for each command and kind."""
        lines = ["| command | kill -9 | full disk | read-only | two at once |", "|---|---|---|---|---|"]
        for name in names:
            cells = []
            for kind in KINDS:
                all_of = self.results.get(f"{name} {kind}", [])
                right = sum("fault" not in one for one in all_of)
                hit = sum(bool(one.get("hit")) for one in all_of)
                cells.append(f"{right} of {len(all_of)} ({hit} hit)" if all_of else "-")
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
        return "\n".join(lines)


def has_own_group(process: int) -> bool:
    try:
        return os.getpgid(process) == process
    except ProcessLookupError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", default="", help="commands, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Python's own modules: the other user, who may not write, may not be able to read them either.
    Image.init()
    codecs.lookup("utf-8-sig")
    for package in (maskps, maskps_annotation, maskps_cli):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.environ["MASKPS_CACHE"] = str(work / "cache")
    chaos = Chaos(work, options.seed)
    every = jobs(chaos.inputs)
    names = [name for name in options.only.split(",") if name] or list(every)
    for name in names:
        chaos.run(name, every[name], options.kills)
        print(chaos.table([name]).splitlines()[-1], flush=True)
    print(chaos.table(list(every)))


if __name__ == "__main__":
    main()
