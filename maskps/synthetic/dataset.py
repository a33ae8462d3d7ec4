"""A synthetic data set on disk, in the layout of CUHK-SYSU, with the true outlines of its people."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shapely import MultiPolygon

from maskps.boxes import xywh_to_xyxy
from maskps.datasets.cuhk_sysu.layout import IMAGE_DIR, SYNTHETIC_RECORD
from maskps.datasets.cuhk_sysu.writer import write_cuhk_sysu
from maskps.errors import ConfigError, MaskpsError
from maskps.io.files import write_json
from maskps.io.folders import folder_written_atomically
from maskps.masks.labelme_file import BOX_KEY, HOLE_FLAG, LabelMeFile, LabelMeShape, write_labelme
from maskps.structures import SceneTable
from maskps.synthetic.appearance import draw_appearance
from maskps.synthetic.camera import Camera, CameraPlan, open_camera
from maskps.synthetic.plan import (
    BACKGROUNDS,
    SCALES,
    TEST,
    TRAIN,
    ScenePlan,
    SplitPlan,
    SynthScale,
    plan_splits,
)
from maskps.synthetic.protocols import plan_protocols
from maskps.synthetic.scene import RenderedScene, place_people, render_scene

TRUTH_DIRS = {TRAIN: Path("truth/labelme"), TEST: Path("truth/labelme_test")}
"""Where the true outlines of each split lie."""
_HARD_BELOW = 0.6  # a person with a smaller visible share counts as hard to recognise
_CHUNK = 10  # scenes per job of a worker


@dataclass(frozen=True)
class SyntheticSummary:
    """The numbers of a data set that was written, as in `synth.json`."""

    scale: str
    seed: int
    backgrounds: str
    images: bool
    train_images: int
    train_images_unlabeled_only: int
    train_ids: int
    train_labeled: int
    train_unlabeled: int
    test_images: int
    test_labeled: int
    test_unlabeled: int
    queries: dict[str, int]

    def to_dict(self) -> dict[str, object]:
        """Returns the numbers by name, as in `synth.json`."""
        return asdict(self)

    def summary(self) -> str:
        """Returns one human-readable line."""
        persons = f"{self.train_labeled:,} labeled persons ({self.train_ids:,} identities)"
        return (
            f"{self.train_images:,} training images with {persons} and {self.train_unlabeled:,} unlabeled; "
            f"{self.test_images:,} test images, {max(self.queries.values()):,} queries; "
            f"{self.backgrounds} backgrounds"
        )


def write_synthetic(
    out: Path,
    *,
    scale: str | SynthScale,
    seed: int = 0,
    backgrounds: str = "natural",
    jobs: int = 1,
    images: bool = True,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SyntheticSummary:
    """Writes a synthetic data set. The same seed gives the same bytes, whatever `jobs`.

    Writes `Image/SSM/*.jpg`, `annotation/` as released, the exact visible outlines of everybody
    (`truth/labelme/*.json` for the training images, `truth/labelme_test/*.json` for the test images), and
    the record `synth.json`. The folder appears atomically.

    Args:
        scale: "tiny", "small" or "cuhk-sysu", a key of `SCALES`; or your own counts.
        backgrounds: "natural", or "misleading" as in Fig. 1: in training the background says who somebody
            is, in test it says who it is not (`plan_splits`, `plan_protocols`).
        jobs: worker processes. They are spawned, so a script that asks for more than one needs the usual
            `if __name__ == "__main__"`.
        images: False writes the annotation only, without images and outlines. People stand where the same
            model puts them, so boxes have plausible sizes.
        progress: called with (scenes done, scenes in all).

    Raises:
        ConfigError: unknown scale or backgrounds, a negative seed, fewer than one job.
        OutputExistsError: as `folder_written_atomically`.
    """
    _check_options(scale, seed, backgrounds, jobs)
    name, scale = (scale, SCALES[scale]) if isinstance(scale, str) else ("custom", scale)
    with folder_written_atomically(out, record=SYNTHETIC_RECORD, force=force) as folder:
        splits = plan_splits(scale, seed=seed, backgrounds=backgrounds)
        total = sum(len(split.scenes) for split in splits)
        done = 0
        tables: list[SceneTable] = []
        shares: list[NDArray[np.float64]] = []
        for split in splits:
            found: dict[int, _Truth] = {}
            results = _drawn(folder, split, jobs) if images else _sketched(split)
            for rows, truths in results:
                found.update(zip(rows, truths, strict=True))
                done += len(rows)
                if progress is not None:
                    progress(done, total)
            truths = [found[row] for row in range(len(split.scenes))]
            tables.append(_table(split, truths))
            shares.append(np.concatenate([truth.visible for truth in truths]))
        train, test = tables
        protocols = plan_protocols(scale, test, splits[1].ids, shares[1], seed=seed, backgrounds=backgrounds)
        write_cuhk_sysu(
            folder,
            train=train,
            test=test,
            train_ids=splits[0].ids,
            test_ids=splits[1].ids,
            protocols=protocols,
        )
        summary = SyntheticSummary(
            scale=name,
            seed=seed,
            backgrounds=backgrounds,
            images=images,
            train_images=len(train),
            train_images_unlabeled_only=int((train.labeled_per_scene == 0).sum()),
            train_ids=len(splits[0].ids),
            train_labeled=int(train.is_labeled.sum()),
            train_unlabeled=int((~train.is_labeled).sum()),
            test_images=len(test),
            test_labeled=int(test.is_labeled.sum()),
            test_unlabeled=int((~test.is_labeled).sum()),
            queries={name: protocol.num_queries for name, protocol in protocols.items()},
        )
        content = {"format": "maskps-synthetic", "version": 1, **summary.to_dict()}
        write_json(folder / SYNTHETIC_RECORD, content)
    return summary


def _check_options(scale: str | SynthScale, seed: int, backgrounds: str, jobs: int) -> None:
    for option, choice, choices in (("scale", scale, SCALES), ("backgrounds", backgrounds, BACKGROUNDS)):
        if isinstance(choice, str) and choice not in choices:
            raise ConfigError(option, expected=f"one of {', '.join(choices)}", found=f"'{choice}'")
    for option, value, least in (("seed", seed, 0), ("jobs", jobs, 1)):
        if value < least:
            raise ConfigError(option, expected=f"a whole number, at least {least}", found=str(value))


@dataclass(frozen=True)
class _Truth:
    """The annotation of a drawn scene: boxes (n, 4) x, y, w, h and visible shares (n,)."""

    boxes: NDArray[np.int64]
    visible: NDArray[np.float64]


def draw_planned_scene(camera: Camera, split: SplitPlan, scene: ScenePlan) -> RenderedScene:
    """Returns the picture of a planned scene. Identities look as in all scenes; others are drawn anew."""
    rng = np.random.default_rng(scene.seed)
    people = [
        draw_appearance(rng if pid < 0 else np.random.default_rng(split.identity_seed(int(pid))))
        for pid in scene.pids
    ]
    return render_scene(camera, people, rng=rng, small=_small(scene, rng))


def _small(scene: ScenePlan, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Returns (n,) bool: who keeps to the background, half of the people without an identity."""
    return (scene.pids < 0) & (rng.random(len(scene.pids)) < 0.5)


_Result = tuple[list[int], list[_Truth]]


def _sketched(split: SplitPlan) -> Iterator[_Result]:
    """Returns boxes of people who are not drawn: placed like drawn ones, with the usual proportions."""
    for row, scene in enumerate(split.scenes):
        rng = np.random.default_rng(scene.seed)
        camera = split.cameras[scene.camera]
        width, height = camera.size
        count = len(scene.pids)
        x, y, tall = place_people(camera, count, rng=rng, small=_small(scene, rng)).T
        tall = tall * rng.normal(1.0, 0.05, count).clip(0.85, 1.15)
        wide = tall * rng.uniform(0.26, 0.46, count)
        low = np.floor(np.maximum([x - wide / 2, y - tall], 0.0))
        high = np.ceil(np.minimum([x + wide / 2, y + 0.02 * tall], [[width], [height]]))
        visible = np.clip(1.05 - rng.gamma(1.0, 0.12, count), 0.35, 1.0)
        yield [row], [_Truth(np.concatenate([low, high - low]).T.astype(np.int64), visible)]


def _drawn(folder: Path, split: SplitPlan, jobs: int) -> Iterator[_Result]:
    """Draws and saves every scene, camera by camera, so that each worker draws few backgrounds."""
    (folder / IMAGE_DIR).mkdir(parents=True, exist_ok=True)
    (folder / TRUTH_DIRS[split.split]).mkdir(parents=True, exist_ok=True)
    cameras = np.array([scene.camera for scene in split.scenes])
    chunks = []
    for camera in range(len(split.cameras)):
        rows = np.flatnonzero(cameras == camera).tolist()
        chunks += [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    tasks = [(folder, split.cameras[split.scenes[rows[0]].camera], _part(split, rows)) for rows in chunks]
    if jobs == 1:
        for rows, task in zip(chunks, tasks, strict=True):
            yield rows, _draw_chunk(*task)
        return
    with _pool(jobs) as pool:
        pending: dict[Future[list[_Truth]], list[int]] = {
            pool.submit(_draw_chunk, *task): rows for rows, task in zip(chunks, tasks, strict=True)
        }
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BrokenProcessPool as error:
            raise MaskpsError(
                "jobs",
                expected=f"{jobs} worker processes that live to the end",
                found="one was killed, perhaps for want of memory",
                hint="fewer --jobs",
            ) from error


def _part(split: SplitPlan, rows: list[int]) -> SplitPlan:
    """Returns the part of the plan that a worker needs: these scenes only."""
    return SplitPlan(split.split, split.seed, (), tuple(split.scenes[row] for row in rows), split.ids)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose workers leave Ctrl-C to the parent. If left early, it drops jobs that have not begun."""
    # spawned: a fork of a process in which torch runs threads may hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare_worker)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """Leaves signals to the parent, and ends this process when the parent has ended for any reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


_opened = lru_cache(maxsize=2)(open_camera)


def _draw_chunk(folder: Path, plan: CameraPlan, split: SplitPlan) -> list[_Truth]:
    camera = _opened(plan)
    truths = []
    for scene in split.scenes:
        drawn = draw_planned_scene(camera, split, scene)
        Image.fromarray(drawn.image).save(folder / IMAGE_DIR / scene.name, quality=camera.quality)
        _write_truth(folder, split, scene, drawn, camera.plan.size)
        truths.append(_Truth(drawn.boxes, drawn.visible))
    return truths


def _write_truth(
    folder: Path, split: SplitPlan, scene: ScenePlan, drawn: RenderedScene, size: tuple[int, int]
) -> None:
    """Writes the exact outlines of a scene as a LabelMe file, as if an annotator had drawn them."""
    shapes: list[LabelMeShape] = []
    for row, (pid, outline) in enumerate(zip(scene.pids.tolist(), drawn.outlines, strict=True)):
        label = "unlabeled" if pid < 0 else str(split.ids[pid - 1])
        extra = {BOX_KEY: drawn.boxes[row].tolist()}
        shapes += [
            LabelMeShape(label, ring, group_id=row, flags={HOLE_FLAG: True} if hole else {}, extra=extra)
            for ring, hole in _rings(outline)
        ]
    path = folder / TRUTH_DIRS[split.split] / Path(scene.name).with_suffix(".json")
    image_path = f"../../{(IMAGE_DIR / scene.name).as_posix()}"
    write_labelme(path, LabelMeFile(image_path, size[0], size[1], tuple(shapes)))


def _rings(outline: MultiPolygon) -> Iterator[tuple[NDArray[np.float64], bool]]:
    for part in outline.geoms:
        yield np.asarray(part.exterior.coords)[:-1], False
        for hole in part.interiors:
            yield np.asarray(hole.coords)[:-1], True


def _table(split: SplitPlan, truths: list[_Truth]) -> SceneTable:
    counts = [len(scene.pids) for scene in split.scenes]
    return SceneTable(
        names=np.array([scene.name for scene in split.scenes], dtype=np.str_),
        offsets=np.cumsum([0, *counts]).astype(np.int64),
        boxes=xywh_to_xyxy(np.concatenate([truth.boxes for truth in truths])),
        pids=np.concatenate([scene.pids for scene in split.scenes]),
        is_hard=np.concatenate([truth.visible for truth in truths]) < _HARD_BELOW,
        camera=np.array([scene.camera for scene in split.scenes], dtype=np.int64),
        size=np.array([split.cameras[scene.camera].size for scene in split.scenes], dtype=np.int64),
    )
