"""Features of many images, kept on disk as they come: to go on after a kill, and to share the work.

The finished images lie in files of some dozens each, in a folder whose name says what made them: weights,
settings, images, protocols. Another network, or an image that was replaced, looks into another folder. The
files are detections files; they may be deleted at any time.
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
from typing import TYPE_CHECKING, Any

import numpy as np

import maskps
from maskps.columns import offsets_of
from maskps.errors import ConfigError, MaskpsError
from maskps.evaluation.detections_file import Detections, read_detections, write_detections
from maskps.evaluation.extraction import ImageFeatures, ImagePlan, Progress, image_features
from maskps.model.network import MaskGuidedPersonSearch
from maskps.model.predictor import ImageDetections, Predictor
from maskps.protocols.protocol import SearchProtocol
from maskps.structures import PersonSearchDataset

if TYPE_CHECKING:
    from maskps.model.processes import Processes

IMAGES_PER_PART = 32
"""What a kill costs at most, per process."""

_logger = logging.getLogger(__name__)


class ResumableExtraction:
    """`extract_detections` in parts: a second call with the same folder does what is left.

    Args:
        predictor, dataset, protocols, gt_boxes: as for `extract_detections`.
        folder: to keep the finished parts in; those of other networks and settings lie beside them. None
            keeps nothing.
        settings: of the network, as far as its weights do not say: what its detections depend on.
        context: see `ImagePlan.of`.
        processes: each takes its share of the images. They must see the same folder.

    Raises:
        InputFileError, AnnotationError: as `extract_detections`, before the first image is read.
        ConfigError: several processes without a folder, through which they exchange their parts.
    """

    def __init__(
        self,
        predictor: Predictor,
        dataset: PersonSearchDataset,
        protocols: Sequence[SearchProtocol],
        folder: Path | None,
        *,
        settings: Mapping[str, Any],
        gt_boxes: bool = False,
        context: bool = False,
        processes: Processes,
    ) -> None:
        self._predictor, self._dataset, self._gt_boxes = predictor, dataset, gt_boxes
        self._processes = processes
        if folder is None and processes.size > 1:
            raise ConfigError(
                "several processes",
                expected="a folder that may be written to, where they exchange their parts",
                found="none",
                hint="give --save-detections FILE in such a folder, or start one process",
            )
        self._plan = ImagePlan.of(dataset, protocols, context=context)
        self._row_of = {name: row for row, name in enumerate(self._plan.names)}
        self.folder: Path | None = None
        if folder is not None:
            key = _key(predictor, dataset, self._plan, {**settings, "gt_boxes": gt_boxes})
            self.folder = folder / key[:24]

    def run(self, progress: Progress | None = None) -> Detections | None:
        """Returns the detections of all images, in the first process; None in the others.

        Args:
            progress: called in the first process after every image of its own, with (images done, images in
                all); what the others have done meanwhile is estimated.

        Raises:
            InputFileError: an image is broken.
            OutputError: the parts cannot be written.
        """
        processes = self._processes
        done = processes.together(self._read_parts)
        left = [row for row in range(len(self._plan.names)) if row not in done]
        own = left[processes.rank :: processes.size]

        def report(images: int) -> None:
            if progress is not None and processes.is_first:
                total = len(self._plan.names)
                progress(min(len(done) + images * processes.size, total), total)

        done |= processes.together(lambda: self._take(own, report))
        if not processes.is_first:
            return None
        if processes.size > 1:
            done = self._read_parts()
        return self._plan.joined(done)

    def finish(self) -> None:
        """Removes the parts: what `run` returned is safe elsewhere. To be called in the first process.

        Parts of other evaluations stay, since these may be running; a warning tells of them.
        """
        if self.folder is None:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.parent.rmdir()
        except OSError:
            _tell_of_others(self.folder.parent)

    def _take(self, rows: Sequence[int], report: Callable[[int], None]) -> dict[int, ImageFeatures]:
        features: dict[int, ImageFeatures] = {}
        written = 0
        try:
            for count, row in enumerate(rows, start=1):
                features[row] = image_features(
                    self._predictor, self._dataset, self._plan, row, gt_boxes=self._gt_boxes
                )
                if count - written == IMAGES_PER_PART:
                    self._write_part(rows[written:count], features)
                    written = count
                report(count)
        except KeyboardInterrupt as error:
            self._write_part([row for row in rows[written:] if row in features], features)
            kept = "" if self.folder is None else "; the same command goes on with the images that are left"
            raise KeyboardInterrupt(f"interrupted{kept}") from error
        self._write_part(rows[written:], features)
        return features

    def _write_part(self, rows: Sequence[int], features: Mapping[int, ImageFeatures]) -> None:
        if not rows or self.folder is None:
            return
        images = [features[row] for row in rows]
        part = Detections.from_images(
            [self._plan.names[row] for row in rows],
            [one.detections.boxes for one in images],
            [one.detections.scores for one in images],
            [one.detections.embeddings for one in images],
            np.concatenate([one.queries for one in images]),
        )
        write_detections(self.folder / f"from_{rows[0]:08d}.npz", part)

    def _read_parts(self) -> dict[int, ImageFeatures]:
        """Returns the features of all finished images; a damaged part is passed over."""
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
                done[row] = ImageFeatures(
                    ImageDetections(part.boxes[span], part.scores[span], part.embeddings[span]),
                    part.query_embeddings[of_queries[index] : of_queries[index + 1]],
                )
        return done


def _tell_of_others(folder: Path) -> None:
    """Logs how many evaluations have parts in this folder, and their size."""
    with contextlib.suppress(OSError):  # they come and go
        others = sum(path.is_dir() for path in folder.iterdir())
        size = sum(path.stat().st_size for path in folder.glob("*/from_*.npz"))
        if others:
            _logger.warning(
                "%s holds images of %d other evaluation%s that did not end, %.1f MB; it may be deleted if "
                "none of them is running or to be continued",
                folder, others, "" if others == 1 else "s", size / 1e6,
            )  # fmt: skip


def weights_digest(model: MaskGuidedPersonSearch) -> str:
    """Returns the sha256 (hex) of the network's weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _key(
    predictor: Predictor, dataset: PersonSearchDataset, plan: ImagePlan, settings: Mapping[str, Any]
) -> str:
    """Returns the sha256 (hex) of everything that the features depend on."""
    images = [(name, dataset.image_path(name).stat()) for name in plan.names]
    test = dataset.test.fingerprint() if settings["gt_boxes"] else ""
    state = {
        "maskps": maskps.__version__,
        "weights": weights_digest(predictor.model),
        "predictor": [
            predictor.shorter_side,
            predictor.longest_side,
            predictor.feature,
            predictor.unit_length,
        ],
        "device": predictor.device.type,
        "settings": dict(settings),
        "test": test,
        "images": [(name, state.st_size, state.st_mtime_ns) for name, state in images],
        "is_detected": plan.is_detected.tolist(),
        "queries": [plan.query_names.tolist(), plan.query_boxes.tolist()],
    }
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=str).encode()).hexdigest()


def parts_folder(run: Path, save_detections: Path | None) -> Path | None:
    """Returns where an evaluation keeps its parts: beside the file it will write, else in the run's folder;
    None if that may not be written to.
    """
    if save_detections is not None:
        return save_detections.with_name(save_detections.name + ".parts")
    return run / "evaluation" if os.access(run, os.W_OK) else None
