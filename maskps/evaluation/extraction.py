"""From test images to `Detections`: the one step of the evaluation that runs the network. Needs torch.

Finished images may be kept on disk, to resume after a kill and to share the work among processes. They lie in
files of some dozens each, in a folder named by a digest of what made them: weights, settings, images,
protocols. Another network, or an image that was replaced, has another folder. The files are detections files
and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import maskps
from maskps.columns import offsets_of
from maskps.errors import ConfigError, MaskpsError
from maskps.evaluation.detections_file import Detections, read_detections, write_detections
from maskps.evaluation.image_plan import ImageFeatures, ImagePlan
from maskps.io.images import read_image
from maskps.model.prediction import ImagePredictor
from maskps.model.processes import Processes
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset

Progress = Callable[[int, int], None]

IMAGES_PER_PART = 32
"""The most images that each process loses when it is killed."""

_logger = logging.getLogger(__name__)


def extract_detections(
    predictor: ImagePredictor,
    dataset: PersonSearchDataset,
    protocols: SearchProtocol | Sequence[SearchProtocol],
    *,
    gt_boxes: bool = False,
    progress: Progress | None = None,
) -> Detections:
    """Returns what `Extraction` returns, in this process alone and without a folder."""
    some = [protocols] if isinstance(protocols, SearchProtocol) else protocols
    extraction = Extraction(predictor, dataset, some, gt_boxes=gt_boxes)
    extraction.run(progress)
    return extraction.detections()


class Extraction:
    """The network's detections in the gallery images of some protocols, and the features of their queries.

    Each image is read, and goes through the network, once, however many galleries and protocols list it.
    Query features are pooled from the query's own box, as in the released evaluation, never from a
    detection. Call `run` in each process, then `detections` in the first one.

    Args:
        predictor: the network.
        dataset: its images, and with `gt_boxes` its test persons.
        protocols: the queries of the first keep its order; then those follow that the others add.
        folder: where finished images are kept; those of other networks and settings lie beside them. None
            keeps them in memory.
        settings: of the network: everything besides its weights that its detections depend on.
        gt_boxes: take the annotated persons of the gallery images as detections with score 1, to measure the
            features without the detector (the released evaluator's "use_gt").
        query_images: detect persons in the queries' images too, not only in gallery images.
        processes: each does its share of the images. All must see the same folder.

    Raises:
        InputFileError: an image is missing; nothing was read yet.
        AnnotationError: a protocol has no query.
        ConfigError: several processes without a folder, through which they exchange their images.
    """

    def __init__(
        self,
        predictor: ImagePredictor,
        dataset: PersonSearchDataset,
        protocols: Sequence[SearchProtocol],
        *,
        folder: Path | None = None,
        settings: Mapping[str, Any] | None = None,
        gt_boxes: bool = False,
        query_images: bool = False,
        processes: Processes | None = None,
    ) -> None:
        self._predictor, self._dataset, self._gt_boxes = predictor, dataset, gt_boxes
        self._processes = Processes() if processes is None else processes
        if folder is None and self._processes.size > 1:
            raise ConfigError(
                "several processes",
                expected="a writable folder through which they exchange their images",
                found="none",
                hint="give --save-detections FILE in such a folder, or start one process",
            )
        self._plan = ImagePlan.of(dataset, protocols, query_images=query_images)
        self._row_of = {name: row for row, name in enumerate(self._plan.names)}
        self._done: dict[int, ImageFeatures] = {}
        self.folder: Path | None = None
        if folder is not None:
            key = _key(predictor, dataset, self._plan, {**(settings or {}), "gt_boxes": gt_boxes})
            self.folder = folder / key[:24]

    def run(self, progress: Progress | None = None) -> None:
        """Does this process's share of the images that are left.

        Args:
            progress: called in the first process after each of its images, with (images done, images in
                all). The share of the others is estimated.

        Raises:
            InputFileError: an image is broken.
            AnnotationError: with `gt_boxes`, an image that is not among the data set's test scenes.
            OutputError: the folder cannot be written to.
        """
        processes = self._processes
        self._done = processes.together(self._read_parts)
        before, total = len(self._done), len(self._plan.names)
        left = [row for row in range(total) if row not in self._done]

        def report(images: int) -> None:
            if progress is not None and processes.is_first:
                progress(min(before + images * processes.size, total), total)

        processes.together(lambda: self._extract(left[processes.rank :: processes.size], report))

    def detections(self) -> Detections:
        """Returns the detections of all images, after `run` has ended in all processes."""
        return self._plan.joined(self._read_parts() if self._processes.size > 1 else self._done)

    def finish(self) -> None:
        """Removes the folder of this extraction, once its detections are safe elsewhere.

        Folders of other evaluations stay, since these may be running. A warning names them.
        """
        if self.folder is None:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.parent.rmdir()
        except OSError:
            _warn_of_others(self.folder.parent)

    def _extract(self, rows: Sequence[int], report: Callable[[int], None]) -> None:
        written = 0
        try:
            for count, row in enumerate(rows, start=1):
                self._done[row] = image_features(
                    self._predictor, self._dataset, self._plan, row, gt_boxes=self._gt_boxes
                )
                if count - written == IMAGES_PER_PART:
                    self._write_part(rows[written:count])
                    written = count
                report(count)
        except KeyboardInterrupt as error:
            self._write_part([row for row in rows[written:] if row in self._done])
            kept = "" if self.folder is None else "; the same command continues with the images that are left"
            raise KeyboardInterrupt(f"interrupted{kept}") from error
        self._write_part(rows[written:])

    def _write_part(self, rows: Sequence[int]) -> None:
        if not rows or self.folder is None:
            return
        images = [self._done[row] for row in rows]
        part = Detections.from_images(
            [self._plan.names[row] for row in rows],
            [one.boxes for one in images],
            [one.scores for one in images],
            [one.embeddings for one in images],
            np.concatenate([one.queries for one in images]),
        )
        write_detections(self.folder / f"from_{rows[0]:08d}.npz", part)

    def _read_parts(self) -> dict[int, ImageFeatures]:
        """Returns the features of all finished images in the folder; skips damaged files."""
        done: dict[int, ImageFeatures] = {}
        paths = () if self.folder is None else sorted(self.folder.glob("from_*.npz"))
        for path in paths:
            try:
                part = read_detections(path)
                rows = [self._row_of[name] for name in part.image_names.tolist()]
                counts = [len(self._plan.queries_of[row]) for row in rows]
                if sum(counts) != len(part.query_embeddings):
                    raise KeyError(path)
            except (MaskpsError, KeyError) as error:
                _logger.warning("%s is damaged and not used; its images are done again (%s)", path, error)
                continue
            of_queries = offsets_of(counts)
            for index, row in enumerate(rows):
                span = slice(part.offsets[index], part.offsets[index + 1])
                queries = part.query_embeddings[of_queries[index] : of_queries[index + 1]]
                done[row] = ImageFeatures(part.boxes[span], part.scores[span], part.embeddings[span], queries)
        return done


def image_features(
    predictor: ImagePredictor,
    dataset: PersonSearchDataset,
    plan: ImagePlan,
    row: int,
    *,
    gt_boxes: bool = False,
) -> ImageFeatures:
    """Returns the detections in one image of the plan and the features of its queries.

    Raises:
        InputFileError: the image is missing or broken.
        AnnotationError: with `gt_boxes`, an image that is not among the data set's test scenes.
    """
    image = read_image(dataset.image_path(plan.names[row]))
    queries = plan.query_boxes[plan.queries_of[row]]
    if not plan.is_detected[row]:
        return _embedded(predictor, image, queries[:0], queries)
    if gt_boxes:
        scene = dataset.test[int(dataset.test.rows_of([plan.names[row]])[0])]
        return _embedded(predictor, image, scene.boxes, queries)
    if len(queries):
        detections, features = predictor.detect_and_embed(image, queries)
        return ImageFeatures(*detections, queries=features)
    detections = predictor.detect(image)
    return ImageFeatures(*detections, queries=detections.embeddings[:0])


def _embedded(
    predictor: ImagePredictor,
    image: NDArray[np.uint8],
    persons: NDArray[np.float32],
    queries: NDArray[np.float32],
) -> ImageFeatures:
    """Returns these persons as detections with score 1, and the features of these queries."""
    embedded = predictor.embed(image, np.concatenate([persons, queries]))
    scores = np.ones(len(persons), dtype=np.float32)
    return ImageFeatures(persons, scores, embedded[: len(persons)], embedded[len(persons) :])


def _warn_of_others(folder: Path) -> None:
    """Logs how many evaluations have images in this folder, and their size."""
    with contextlib.suppress(OSError):  # other processes may delete them meanwhile
        others = sum(path.is_dir() for path in folder.iterdir())
        size = sum(path.stat().st_size for path in folder.glob("*/from_*.npz"))
        if others:
            _logger.warning(
                "%s holds images of %d other evaluation%s that did not end, %.1f MB. You may delete it if "
                "none of them is running or to be resumed.",
                folder, others, "" if others == 1 else "s", size / 1e6,
            )  # fmt: skip


def _key(
    predictor: ImagePredictor, dataset: PersonSearchDataset, plan: ImagePlan, settings: Mapping[str, Any]
) -> str:
    """Returns the sha256 (hex) of everything that the features depend on."""
    images = [(name, dataset.image_path(name).stat()) for name in plan.names]
    state = {
        "maskps": maskps.__version__,
        "weights": predictor.weights,
        "predictor": [
            predictor.shorter_side,
            predictor.longest_side,
            predictor.resize,
            predictor.feature,
            predictor.unit_length,
        ],
        "device": predictor.engine,
        "settings": dict(settings),
        "test": dataset.test.fingerprint() if settings["gt_boxes"] else "",
        "images": [(name, status.st_size, status.st_mtime_ns) for name, status in images],
        "is_detected": plan.is_detected.tolist(),
        "queries": [plan.query_names.tolist(), plan.query_boxes.tolist()],
    }
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=str).encode()).hexdigest()


def parts_folder(run: Path | None, save_detections: Path | None) -> Path | None:
    """Returns where an evaluation keeps finished images: beside the file it will write, else in the run's
    folder; None without a run, or if it must not write there.
    """
    if save_detections is not None:
        return save_detections.with_name(save_detections.name + ".parts")
    return run / "evaluation" if run is not None and os.access(run, os.W_OK) else None
