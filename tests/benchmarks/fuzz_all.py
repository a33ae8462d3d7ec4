"""Feeds damaged files to all readers: each input must give a result or a MaskpsError, soon.

    python tests/benchmarks/fuzz_all.py 100000
    python tests/benchmarks/fuzz_all.py 2000 --only coco --keep broken/

Readers: the data set formats, subsets, name lists, detections (fuzz_readers.py), LabelMe files in three ways
(fuzz_labelme.py), images, checkpoints, settings, packs, decisions, records of collections and galleries.
Prints how often each had which outcome. A failure is anything else than a result, findings or a MaskpsError
that explains itself; a Python warning (but of Pillow); more than a second of user time; or a gigabyte of
memory. The input of a failure is kept, a traceback of each kind is printed, and the exit code is 1. The same
seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from PIL import Image

sys.path.append(str(Path(__file__).parent))
from fuzz_labelme import READERS as LABELME_READERS
from fuzz_labelme import damaged, whole_files
from fuzz_readers import SCALE, Target, make_targets, mutate

from maskps.config import TrainConfig, read_config, write_config
from maskps.datasets import read_cuhk_sysu
from maskps.errors import MaskpsError
from maskps.findings import Finding
from maskps.gallery import Network, Persons, Source, Where
from maskps.gallery.sqlite_store import SqliteStore
from maskps.gallery.summary import detections_of, summary_of
from maskps.io.images import image_orientation, image_size, read_image
from maskps.model.tensor_files import write_tensors
from maskps.subset import build_subset, select_subset
from maskps.synthetic import write_synthetic
from maskps.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from maskps_annotation.checks import check_packs
from maskps_annotation.collected import CollectedPerson, Drawing, read_collected, write_collected
from maskps_annotation.decisions import read_decisions
from maskps_annotation.pack_record import read_pack, read_packs
from maskps_annotation.packs import write_packs

SECONDS = 1.0
MEMORY = 2**30


@dataclass
class Failure:
    """An input that came to no permitted outcome."""

    target: str
    file: str
    content: bytes
    trace: str


@dataclass
class Tally:
    """What came of all inputs."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")


class Hang(BaseException):
    """A reader took too long. Not an Exception, so that no reader can take it for one of its own."""


def all_targets(folder: Path) -> list[Target]:
    """Writes whole files of every kind that we read, and returns the readers."""
    return [
        *make_targets(folder),
        *_labelme_targets(folder / "labelme"),
        _images(folder / "images"),
        *_checkpoints(folder / "checkpoints"),
        *_annotation_targets(folder / "annotation"),
        _gallery(folder / "gallery"),
    ]


def _labelme_targets(folder: Path) -> list[Target]:
    files = [f"{number}/s1.json" for number in range(len(whole_files()))]
    for file, content in zip(files, whole_files(), strict=True):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_bytes(content)
    return [
        Target(f"labelme, {name}", folder, tuple(files), read, lambda rng, _, content: damaged(rng, content))
        for name, read in LABELME_READERS.items()
    ]


def _images(folder: Path) -> Target:
    folder.mkdir()
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "a.jpg", exif=exif, icc_profile=b"profile")
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.save(folder / "a.png")
    picture.quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(rng.integers(0, 65535, (20, 30), dtype=np.uint16)).save(folder / "deep.png")
    names = sorted(path.name for path in folder.iterdir())

    def read(path: Path) -> str:
        image_size(path)
        image_orientation(path)
        pixels = read_image(path)
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
        return "pixels"

    return Target("images", folder, tuple(names), read, mutate)


def _checkpoints(folder: Path) -> list[Target]:
    """Checkpoints with their seal, and sealed again: the damage gets past the checksum."""
    folder.mkdir()
    model = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.int64)}
    optimizer = {"state": {0: {"m": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    write_checkpoint(folder / "c.pt", Checkpoint(7, 3, model, optimizer))
    write_config(folder / "config.toml", TrainConfig())

    def sealed_again(rng: np.random.Generator, name: str, content: bytes) -> bytes:
        """Writes the checkpoint with values of other kinds."""
        tree = torch.load(folder / "c.pt", weights_only=True)
        odd = [None, -1, 10**20, "x", float("nan"), torch.ones(2) / 0, torch.zeros(0), [], {}, {"a": 1}]
        odd += [torch.ones(3).to_sparse(), torch.zeros(1).expand(10**9), torch.ones(2, dtype=torch.bool)]
        where = tree if rng.random() < 0.5 else tree[("model", "optimizer")[int(rng.integers(0, 2))]]
        key = list(where)[int(rng.integers(0, len(where)))]
        where[key] = odd[int(rng.integers(0, len(odd)))]
        write_tensors(folder / "again.pt", tree)
        return (folder / "again.pt").read_bytes()

    return [
        Target("checkpoint", folder, ("c.pt",), read_checkpoint, mutate),
        Target("checkpoint, sealed again", folder, ("c.pt",), read_checkpoint, sealed_again),
        Target("settings", folder, ("config.toml",), read_config, mutate),
    ]


def _annotation_targets(folder: Path) -> list[Target]:
    """Packs with their images and files, decisions of a review, and the record of a collection."""
    write_synthetic(folder / "scenes", scale=SCALE, seed=5)
    dataset = read_cuhk_sysu(folder / "scenes")
    build_subset(dataset, folder / "subset", select_subset(dataset.train, portion_size=2))
    write_packs(folder / "subset", dataset, folder / "packs", annotators=["ann", "bob"], double=0.5)
    decision = {"person": 0, "decision": "reject", "comment": "bag", "outline": "0123456789abcdef"}
    head = {"format": "maskps-review", "version": 1, "fingerprint": "f", "subset": "s", "reviewer": "rita"}
    entries = [{"scene": f"s{number}.jpg", **decision} for number in range(1, 4)]
    (folder / "rita.json").write_text(json.dumps(head | {"decisions": entries}))
    drawing = Drawing("ann", "s1.json", "a" * 64, "b" * 64)
    write_collected(folder / "collected.json", {0: CollectedPerson(drawing, (drawing,))}, dataset.train)
    packs = sorted(
        path.relative_to(folder).as_posix()
        for path in (folder / "packs").rglob("*.*")
        if path.suffix in (".json", ".jpg") and not path.name.startswith(".")
    )

    def check(path: Path) -> str:
        findings = check_packs(read_packs(folder / "packs"))
        for one in ("ann", "bob"):
            read_pack(folder / "packs" / one)
        for finding in findings:
            _explained(finding)
        return "findings"

    return [
        Target("packs", folder, tuple(packs), check, mutate),
        Target("decisions", folder, ("rita.json",), read_decisions, mutate),
        Target("collected.json", folder, ("collected.json",), read_collected, mutate),
    ]


def _gallery(folder: Path) -> Target:
    folder.mkdir()
    network = Network("fuzz", "embedding", 4, 256, 512)
    vectors = np.eye(4, dtype=np.float32)
    persons = Persons(np.ones((4, 4), np.float32), np.ones(4, np.float32), vectors, np.zeros(4))
    with contextlib.closing(SqliteStore(folder / "people.gallery", network)) as store:
        for number in range(6):
            source = Source(f"/{number}.jpg", "image", 1, 1, "ab" * 32, camera="door", started_at=1.0)
            store.add(source, persons)

    def read(path: Path) -> str:
        for end in ("-wal", "-shm"):  # of the file that was damaged before
            Path(f"{path}{end}").unlink(missing_ok=True)
        with contextlib.closing(SqliteStore(path)) as store:
            summary_of(store)
            detections_of(store)
            store.search(np.eye(1, store.network.dim, dtype=np.float32), 3, Where(cameras=("door",), end=9.0))
        return "hits"

    return Target("gallery", folder, ("people.gallery",), read, mutate)


def _explained(finding: Finding) -> None:
    str(finding).encode("utf-8")  # it can be printed
    assert len(str(finding)) < 3000, "a finding of a page"


def check_whole(targets: list[Target]) -> None:
    """Raises unless every reader reads its files as they are."""
    for target in targets:
        for file in target.files:
            target.read(target.folder / file)


def feed(targets: list[Target], count: int, *, seed: int) -> Tally:
    """Returns what came of `count` damaged inputs, the same number for each reader."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    for number in range(count):
        target = targets[number % len(targets)]
        file = target.files[int(rng.integers(0, len(target.files)))]
        path = target.folder / file
        whole = path.read_bytes()
        content = target.damage(rng, file, whole)
        path.write_bytes(content)
        begin = time.process_time()
        try:
            outcome, trace = _outcome(target, path)
        finally:
            path.write_bytes(whole)
        tally.slowest = max(tally.slowest, (time.process_time() - begin, target.name))
        tally.outcomes[target.name, outcome] += 1
        if trace:
            tally.failures.append(Failure(target.name, file, content, trace))
    return tally


def _outcome(target: Target, path: Path) -> tuple[str, str]:
    """Returns the outcome, and the traceback of one that is a failure."""
    try:
        with _limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", module="PIL")  # its remarks on odd pictures, which it reads
            result = target.read(path)
    except MaskpsError as error:
        try:
            str(error).encode("utf-8")  # it can be printed
            assert error.expected and len(str(error)) < 3000
        except Exception:
            return "FAILURE: an error that explains nothing", traceback.format_exc()
        return type(error).__name__, ""
    except Hang:
        return f"FAILURE: more than {SECONDS:g} s", traceback.format_exc()
    except Exception as error:
        return f"FAILURE: {type(error).__name__}", traceback.format_exc()
    return result if isinstance(result, str) else "a result", ""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises Hang in the block after this many seconds of processor time."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def limit_memory() -> None:
    """Lets this process have a gigabyte more than it has now; beyond, allocations fail."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="inputs in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="name of one reader")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-failures")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        targets = [target for target in all_targets(folder) if given.only in (None, target.name)]
        check_whole(targets)
        limit_memory()
        tally = feed(targets, given.count, seed=given.seed)
    finally:
        shutil.rmtree(folder)
    seconds, name = tally.slowest
    print(f"{given.count:,} inputs, seed {given.seed}, the slowest took {seconds:.2f} s ({name})\n")
    print("| reader | outcome | inputs |\n|---|---|---|")
    for (name, outcome), number in sorted(tally.outcomes.items()):
        print(f"| {name} | {outcome} | {number:,} |")
    kinds: Counter[str] = Counter(map(_kind_of, tally.failures))
    for number, failure in enumerate(tally.failures):
        path = given.keep / f"{number:04d}-{failure.target}-{failure.file.replace('/', '_')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(failure.content)
        if found := kinds.pop(_kind_of(failure), 0):
            print(f"\n{path}, and {found - 1} others alike\n{failure.trace}", file=sys.stderr)
    return 1 if tally.failures else 0


def _kind_of(failure: Failure) -> str:
    """Returns what failures of one cause share: the last line of our own code, and the type of the error."""
    lines = failure.trace.rstrip().splitlines()
    ours = [line for line in lines if "/maskps" in line]
    last = [line for line in lines if line and not line.startswith(" ")][-1].split(":")[0]
    return f"{failure.target} {ours[-1] if ours else ''} {last}"


if __name__ == "__main__":
    sys.exit(main())
