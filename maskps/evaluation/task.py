"""Detections scored under the protocols that a user asks for: what `maskps score` and `maskps eval` share.

Needs no torch and opens no image. A protocol file is enough; its data set need not be there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from maskps.boxes import xywh_to_xyxy
from maskps.columns import ragged_ranges, rows_of_names
from maskps.datasets import open_dataset
from maskps.datasets.naming import data_name, has_synthetic_record
from maskps.datasets.protocols import open_protocol, protocol_names, protocol_of_size
from maskps.errors import ConfigError
from maskps.evaluation.detection import DetectionResult, evaluate_detection
from maskps.evaluation.detections_file import Detections, read_detections
from maskps.evaluation.matching import paired_iou
from maskps.evaluation.methods import METHODS
from maskps.evaluation.result_file import (
    MARK,
    ProtocolResult,
    ResultData,
    ResultFile,
    ResultSource,
    write_results,
)
from maskps.evaluation.rules import Rules
from maskps.evaluation.scoring import BELOW_THRESHOLD
from maskps.evaluation.search import SCORE_THRESHOLD, SearchResult, evaluate_searches
from maskps.io.files import check_output_file, read_bytes
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.protocols.sets import Cameras, ProtocolName, camera_protocol, full_set
from maskps.structures import PersonSearchDataset
from maskps_manifest import cuhk_sysu

GallerySize = int | Literal["all"]
FULL_SET = "all"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoringOptions:
    """What is scored, how, and where the results go.

    Attributes:
        gallery_sizes: of the TestG protocols; "all" is the full set: every test scene but the query's own.
            Without sizes and subsets: the usual protocol, see `protocol_of_size`.
        subsets: "Occlusion", "Resolution", or other protocols of the data set by their names.
        cameras: PRW only: gallery scenes of these cameras, each a protocol.
        rules: one of `maskps.evaluation.RULES`.
        score_threshold: detections with a lower score do not count, in the search and for the detector.
        methods: names of `maskps.evaluation.METHODS`, each a line of results.
        out: result file to write, or None.
        force: replace a result file at `out`.
    """

    gallery_sizes: tuple[GallerySize, ...] = ()
    subsets: tuple[str, ...] = ()
    cameras: tuple[Cameras, ...] = ("all",)
    rules: Rules = "oim"
    score_threshold: float = SCORE_THRESHOLD
    methods: tuple[str, ...] = ("cosine",)
    out: Path | None = None
    force: bool = False

    def check_output(self) -> None:
        """Raises OutputExistsError or OutputError if the results cannot be written to `out`."""
        if self.out is not None:
            check_output_file(self.out, mark=MARK, force=self.force)

    def recorded(self, detections_file: Path) -> str:
        """Returns the path of a detections file as the results at `out` name it.

        It is relative to the folder of `out`, so that both files can move together; as given without `out`.
        """
        if self.out is None:
            return str(detections_file)
        return os.path.relpath(detections_file.resolve(), self.out.resolve().parent)


@dataclass(frozen=True)
class SearchTask:
    """The data and the protocols under which detections are scored.

    Attributes:
        data: a description of the data, for the results.
        dataset: None if there is only a protocol file.
        protocols: by name, in the order asked for.
    """

    data: ResultData
    dataset: PersonSearchDataset | None
    protocols: Mapping[ProtocolName, SearchProtocol]


def score_file(
    path: Path,
    detections_file: Path,
    options: ScoringOptions,
    *,
    normalize: bool = False,
    feature: str = "embedding",
) -> ResultFile:
    """Returns the results of the detections in a file, after writing them to `options.out`.

    Args:
        path: folder of a data set, or a protocol file such as TestG100.mat.
        detections_file: see `read_detections`.
        normalize: divide every embedding by its length first.
        feature: what the embeddings are, for the results.

    Raises:
        MaskpsError: as `open_task`, `read_detections` and `score`; `options.out` exists or cannot be written.
    """
    options.check_output()
    task = open_task(path, options)
    detections = read_detections(detections_file)
    if normalize:
        detections = detections.normalized()
    results = ResultFile(
        data=task.data,
        source=ResultSource(detections=options.recorded(detections_file)),
        results=score(task, detections, options, feature=feature),
        detection=score_detector(task, detections, options),
    )
    if options.out is not None:
        write_results(options.out, results)
    return results


def open_task(path: Path, options: ScoringOptions) -> SearchTask:
    """Returns the protocols asked for, of a data set or of a protocol file alone.

    Args:
        path: folder of a data set, or a protocol file such as TestG100.mat.

    Raises:
        ConfigError: the data set, or the file, has no such protocol.
        InputFileError, AnnotationError: as `open_dataset`, `open_protocol` and `read_protocol`.
    """
    return task_of_dataset(open_dataset(path), options) if path.is_dir() else _task_of_file(path, options)


def task_of_dataset(dataset: PersonSearchDataset, options: ScoringOptions) -> SearchTask:
    """Returns the protocols asked for of an open data set; errors as `open_task`."""
    wanted = [
        protocol_of_size(dataset, size) if isinstance(size, int) else size for size in options.gallery_sizes
    ]
    names = [*wanted, *options.subsets] or [protocol_of_size(dataset)]
    return SearchTask(
        data=ResultData(
            kind=dataset.kind,
            name=data_name(dataset),
            synthetic=has_synthetic_record(dataset.root),
            fingerprint=dataset.test.fingerprint(),
        ),
        dataset=dataset,
        protocols={
            name: named_protocol(dataset, name)
            for name in (ProtocolName(one, cameras) for one in names for cameras in options.cameras)
        },
    )


def named_protocol(dataset: PersonSearchDataset, name: ProtocolName) -> SearchProtocol:
    """Returns the protocol of this name.

    Raises:
        ConfigError: the data set has no such protocol.
        AnnotationError: its cameras are not known.
    """
    is_full = name.protocol == FULL_SET
    whole = _full_set_of(dataset) if is_full else open_protocol(dataset, name.protocol)
    return camera_protocol(whole, dataset, name.cameras)


def _full_set_of(dataset: PersonSearchDataset) -> SearchProtocol:
    """Returns the protocol whose galleries are all test scenes but the query's own."""
    names = protocol_names(dataset)
    sizes = [name for name in names if name.startswith("TestG")]
    if FULL_SET in names or not sizes:
        return open_protocol(dataset, FULL_SET)
    # All sizes of CUHK-SYSU have the same queries and true boxes; TestG100 is small and always there.
    protocol = open_protocol(dataset, "TestG100" if "TestG100" in sizes else sizes[-1])
    others = np.setdiff1d(dataset.test.names, protocol.image_names)
    every = np.concatenate([protocol.image_names, others])
    return full_set(dataclasses.replace(protocol, image_names=every))


def _task_of_file(path: Path, options: ScoringOptions) -> SearchTask:
    protocol = read_protocol(path)
    needs_root = "--subset" if options.subsets else "--camera" if options.cameras != ("all",) else ""
    if needs_root:
        raise ConfigError(
            f"{needs_root} with {path}",
            expected="the folder of a data set",
            found="one protocol file",
            hint="give the data set's folder, or the file of that very protocol",
        )
    sizes = options.gallery_sizes or (protocol.gallery_size,)
    wrong = [size for size in sizes if size not in (FULL_SET, protocol.gallery_size)]
    if wrong:
        raise ConfigError(
            f"--gallery-size {wrong[0]} with {path}",
            expected=f"{protocol.gallery_size}, the size of the file's galleries, or all",
            found=f"{wrong[0]}",
            hint="give the data set's folder, or the file with galleries of that size",
        )
    return SearchTask(
        data=ResultData(
            kind="protocol",
            name="CUHK-SYSU" if _is_cuhk_sysu(protocol) else f"protocol file '{path.name}'",
            synthetic=any(has_synthetic_record(folder) for folder in path.resolve().parents[:4]),
            fingerprint=hashlib.sha256(read_bytes(path)).hexdigest(),
        ),
        dataset=None,
        protocols={
            ProtocolName(FULL_SET if size == FULL_SET else path.stem): full_set(protocol)
            if size == FULL_SET
            else protocol
            for size in sizes
        },
    )


def _is_cuhk_sysu(protocol: SearchProtocol) -> bool:
    """Whether all is as published: the number of queries of a TestG file or a subset, and every name."""
    counts = (cuhk_sysu.QUERIES, cuhk_sysu.OCCLUSION_QUERIES, cuhk_sysu.RESOLUTION_QUERIES)
    return protocol.num_queries in counts and cuhk_sysu.published_names().issuperset(
        protocol.image_names.tolist()
    )


def score(
    task: SearchTask, detections: Detections, options: ScoringOptions, *, feature: str = "embedding"
) -> tuple[ProtocolResult, ...]:
    """Returns a line of results for each protocol and method, protocol by protocol.

    Logs a warning about images that no protocol needs, about boxes that do not look like x0, y0, x1, y1 in
    pixels of the image, and about a score threshold that many persons do not reach.

    Args:
        feature: what the embeddings are, for the results.

    Raises:
        AnnotationError: the detections were made for other images or other queries.
    """
    results = {}
    for name in options.methods:
        method = METHODS[name].for_format.get(task.data.kind, METHODS[name])
        results[name] = evaluate_searches(
            task.protocols,
            detections,
            score_threshold=options.score_threshold,
            rules=options.rules,
            method=method,
        )
    _check_names(task, detections)
    _check_boxes(task, detections)
    _check_scores(results[options.methods[0]], detections)
    fingerprints = {name: protocol.fingerprint() for name, protocol in task.protocols.items()}
    return tuple(
        ProtocolResult(
            **vars(results[method][name]),
            protocol=name,
            fingerprint=fingerprints[name],
            feature=feature,
            method=method,
        )
        for name in task.protocols
        for method in options.methods
    )


def score_detector(
    task: SearchTask, detections: Detections, options: ScoringOptions
) -> dict[str, DetectionResult]:
    """Returns recall and AP of the detector by "all" and "labeled" persons, in the scenes looked at.

    Empty without a data set: a protocol file does not list all persons in its scenes.
    """
    if task.dataset is None:
        return {}
    test = task.dataset.test
    scenes = test.select(np.flatnonzero(rows_of_names(detections.image_names, test.names) >= 0))
    if not scenes.is_labeled.any():
        return {}
    return {
        name: evaluate_detection(
            scenes,
            detections,
            score_threshold=options.score_threshold,
            labeled_only=name == "labeled",
        )
        for name in ("all", "labeled")
    }


def _check_names(task: SearchTask, detections: Detections) -> None:
    """Logs a warning about images that no protocol needs."""
    known = [protocol.image_names for protocol in task.protocols.values()]
    if task.dataset is not None:
        known.append(task.dataset.test.names)
    unknown = np.setdiff1d(detections.image_names, np.concatenate(known))
    if len(unknown):
        _logger.warning(
            "%d of the %d images of the detections are not in the protocol ('%s' first); they do not count.",
            len(unknown), detections.num_images, unknown[0],
        )  # fmt: skip


def _check_scores(results: Mapping[ProtocolName, SearchResult], detections: Detections) -> None:
    """Logs a warning if a tenth of the queries find their person only below the score threshold."""
    for name, result in results.items():
        below = result.failures[BELOW_THRESHOLD]
        if below >= max(1, result.queries / 10):
            _logger.warning(
                "%s: %d of %d queries find their person only in detections with a score below %g; the "
                "highest score of all is %.3g. If the detector works at a lower threshold, give "
                "--score-threshold.",
                name, below, result.queries, result.score_threshold, detections.scores.max(initial=0),
            )  # fmt: skip
            return


def _check_boxes(task: SearchTask, detections: Detections) -> None:
    """Logs a warning if the boxes do not look like x0, y0, x1, y1 in pixels, judged by the true boxes.

    Boxes as x, y, width, height are refused when they are read, if a corner is reversed; those of persons
    larger than their distance from the upper left corner are not. Boxes of a smaller copy of the images also
    lie near some true boxes when read that way, but near few and loosely. So they must fit a quarter of the
    true boxes, and closely.
    """
    protocol = max(task.protocols.values(), key=lambda one: len(one.truth_boxes))
    images = rows_of_names(detections.image_names, protocol.image_names)[protocol.truth_scenes]
    counts = np.diff(detections.offsets)[images]
    boxes = detections.boxes[ragged_ranges(detections.offsets[images], counts)]
    truth = np.repeat(np.arange(len(images)), counts)
    true_boxes = protocol.truth_boxes[truth]
    found = len(np.unique(truth[paired_iou(boxes, true_boxes) >= 0.5]))
    fitting = len(np.unique(truth[paired_iou(xywh_to_xyxy(boxes), true_boxes) >= 0.7]))
    if fitting >= max(10, 3 * found, len(images) / 4):
        _logger.warning(
            "The boxes of the detections overlap %d of the %d true boxes (IoU 0.5), but fit %d closely "
            "(IoU 0.7) if read as x, y, width, height. If that is what they are, add the first two numbers "
            "to the last two.",
            found, len(images), fitting,
        )  # fmt: skip
    elif found < len(images) / 20 and len(boxes) > len(images) >= 20:
        _logger.warning(
            "The boxes of the detections overlap only %d of the %d true boxes (IoU 0.5): the detector finds "
            "hardly anybody, or they are not in pixels of the original images.",
            found, len(images),
        )  # fmt: skip
