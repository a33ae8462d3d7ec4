"""Detections scored under the protocols that a user names: what `maskps score` and `maskps eval` share.

Torch-free, and no image is opened. A protocol file may stand alone, without its data set.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maskps.boxes import xywh_to_xyxy
from maskps.columns import ragged_ranges, rows_of_names
from maskps.datasets import open_dataset
from maskps.datasets.naming import data_name, has_synthetic_record
from maskps.datasets.protocols import open_protocol, protocol_names, protocol_of_size
from maskps.errors import ConfigError
from maskps.evaluation.detection import evaluate_detection
from maskps.evaluation.detections_file import Detections
from maskps.evaluation.matching import paired_iou
from maskps.evaluation.methods.context import evaluate_with_context
from maskps.evaluation.methods.reranking import evaluate_reranked
from maskps.evaluation.result_file import ProtocolResult, ResultData
from maskps.evaluation.rules import Rules
from maskps.evaluation.search import SearchResult, evaluate_searches
from maskps.evaluation.similarity import Distance
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.protocols.sets import Cameras, camera_protocol, full_set
from maskps.structures import PersonSearchDataset
from maskps_manifest import cuhk_sysu

GallerySize = int | Literal["all"]
SUBSETS = {"occlusion": "Occlusion", "resolution": "Resolution"}
FULL_SET = "all"
CBGM, CBGM_OF_PRW = (10, 3), (30, 4)
"""k1 and k2 of context matching, as SeqNet sets them for CUHK-SYSU and for PRW."""

DISTANCES: Mapping[str, Distance] = {"cosine": "cosine", "euclidean": "euclidean"}
"""By method, of those that rank by nothing else."""

# "" ends every name, so it is the last.
_CAMERA_ENDINGS: Mapping[Cameras, str] = {"same": ", same camera", "cross": ", cross camera", "all": ""}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchTask:
    """The data, and the protocols under which detections are to be scored.

    Attributes:
        data: what the data are, for the record.
        dataset: None where only a protocol file is at hand.
        protocols: by name, in the order asked for.
    """

    data: ResultData
    dataset: PersonSearchDataset | None
    protocols: Mapping[str, SearchProtocol]


def open_task(
    path: Path,
    *,
    gallery_sizes: Sequence[GallerySize] = (),
    subsets: Sequence[str] = (),
    cameras: Sequence[Cameras] = ("all",),
) -> SearchTask:
    """Returns the protocols asked for of a data set, or of a protocol file alone.

    Args:
        path: folder of a data set, or a file such as TestG100.mat.
        gallery_sizes: of the TestG protocols; "all" is the full set: every test scene but the query's own.
            Without sizes and subsets: the field's usual protocol, see `protocol_of_size`.
        subsets: "occlusion", "resolution", whose queries are their own.
        cameras: PRW only: gallery scenes of these cameras, each a protocol.

    Raises:
        ConfigError: the data set, or the file, has no such protocol.
        InputFileError, AnnotationError: as `open_dataset`, `open_protocol` and `read_protocol`.
    """
    if path.is_dir():
        return task_of_dataset(
            open_dataset(path), gallery_sizes=gallery_sizes, subsets=subsets, cameras=cameras
        )
    return _task_of_file(path, gallery_sizes, subsets, cameras)


def task_of_dataset(
    dataset: PersonSearchDataset,
    *,
    gallery_sizes: Sequence[GallerySize] = (),
    subsets: Sequence[str] = (),
    cameras: Sequence[Cameras] = ("all",),
) -> SearchTask:
    """Returns the protocols asked for of an open data set; arguments and errors as `open_task`."""
    names = [FULL_SET if isinstance(size, str) else protocol_of_size(dataset, size) for size in gallery_sizes]
    names += [SUBSETS[subset] for subset in subsets]
    protocols = {name: _whole_protocol(dataset, name) for name in names or [protocol_of_size(dataset)]}
    return SearchTask(
        data=ResultData(
            kind=dataset.kind,
            name=data_name(dataset),
            synthetic=has_synthetic_record(dataset.root),
            fingerprint=dataset.fingerprint,
        ),
        dataset=dataset,
        protocols={
            f"{name}{_CAMERA_ENDINGS[one]}": camera_protocol(protocol, dataset, one)
            for name, protocol in protocols.items()
            for one in cameras
        },
    )


def protocol_of_line(dataset: PersonSearchDataset, name: str) -> SearchProtocol:
    """Returns the protocol that a line of results calls `name`, as `task_of_dataset` names them.

    Raises:
        ConfigError: the data set has no such protocol.
    """
    camera = next(one for one, ending in _CAMERA_ENDINGS.items() if name.endswith(ending))
    whole = name.removesuffix(_CAMERA_ENDINGS[camera])
    return camera_protocol(_whole_protocol(dataset, whole), dataset, camera)


def _whole_protocol(dataset: PersonSearchDataset, name: str) -> SearchProtocol:
    return _full_set_of(dataset) if name == FULL_SET else open_protocol(dataset, name)


def _full_set_of(dataset: PersonSearchDataset) -> SearchProtocol:
    """Returns the protocol in which every test scene but the query's own is searched."""
    names = protocol_names(dataset)
    if FULL_SET in names:
        return open_protocol(dataset, FULL_SET)
    # The queries and true boxes are the same in all sizes of CUHK-SYSU; TestG100 is always there, and small.
    sizes = [name for name in names if name.startswith("TestG")]
    usual = protocol_of_size(dataset)
    protocol = open_protocol(dataset, usual if usual in sizes or not sizes else sizes[-1])
    others = np.setdiff1d(dataset.test.names, protocol.image_names)
    every = np.concatenate([protocol.image_names, others])
    return full_set(dataclasses.replace(protocol, image_names=every))


def _task_of_file(
    path: Path, sizes: Sequence[GallerySize], subsets: Sequence[str], cameras: Sequence[Cameras]
) -> SearchTask:
    protocol = read_protocol(path)
    needs_root = "--subset" if subsets else "--camera" if tuple(cameras) != ("all",) else ""
    if needs_root:
        raise ConfigError(
            f"{needs_root} with {path}",
            expected="the folder of a data set",
            found="one protocol file",
            hint="give the data set's folder, or the file of that very protocol",
        )
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
            fingerprint=hashlib.sha256(path.read_bytes()).hexdigest(),
        ),
        dataset=None,
        protocols={
            FULL_SET if size == FULL_SET else path.stem: full_set(protocol) if size == FULL_SET else protocol
            for size in sizes or (protocol.gallery_size,)
        },
    )


def _is_cuhk_sysu(protocol: SearchProtocol) -> bool:
    """Whether all is as published: the number of queries of a TestG file or a subset, and every name."""
    counts = (cuhk_sysu.QUERIES, cuhk_sysu.OCCLUSION_QUERIES, cuhk_sysu.RESOLUTION_QUERIES)
    return protocol.num_queries in counts and cuhk_sysu.published_names().issuperset(
        protocol.image_names.tolist()
    )


def score(
    task: SearchTask,
    detections: Detections,
    *,
    rules: Rules = "oim",
    methods: Sequence[str] = ("cosine",),
    feature: str = "embedding",
) -> tuple[ProtocolResult, ...]:
    """Returns a line of results for each protocol and method, protocol by protocol.

    Args:
        methods: of `maskps.evaluation.result_file.METHODS`.
        feature: what the vectors are, for the record.

    Raises:
        AnnotationError: the detections were made for other images or other queries.
    """
    results = {method: _searched(task, detections, rules, method) for method in methods}
    _check_names(task, detections)
    _check_boxes(task, detections)
    return tuple(
        ProtocolResult.from_dict(
            {"protocol": name, "feature": feature, "method": method}
            | results[method][name].to_dict(per_query=True)
        )
        for name in task.protocols
        for method in methods
    )


def _searched(
    task: SearchTask, detections: Detections, rules: Rules, method: str
) -> Mapping[str, SearchResult]:
    """Returns the result of each protocol by name."""
    if method in DISTANCES:
        return evaluate_searches(task.protocols, detections, rules=rules, distance=DISTANCES[method])
    if method == "rerank":
        return {
            name: evaluate_reranked(protocol, detections, rules=rules)
            for name, protocol in task.protocols.items()
        }
    k1, k2 = CBGM_OF_PRW if task.data.kind == "prw" else CBGM
    return {
        name: evaluate_with_context(protocol, detections, k1=k1, k2=k2, rules=rules)
        for name, protocol in task.protocols.items()
    }


def score_detector(task: SearchTask, detections: Detections) -> dict[str, dict[str, Any]]:
    """Returns recall and AP of the detector by "all" and "labeled" persons, in the test scenes looked at.

    Empty without a data set (a protocol file does not tell who else is in the scenes).
    """
    if task.dataset is None:
        return {}
    test = task.dataset.test
    scenes = test.select(np.flatnonzero(rows_of_names(detections.image_names, test.names) >= 0))
    if not scenes.is_labeled.any():
        return {}
    return {
        name: evaluate_detection(scenes, detections, labeled_only=name == "labeled").to_dict()
        for name in ("all", "labeled")
    }


def _check_names(task: SearchTask, detections: Detections) -> None:
    """Tells of images that are not needed."""
    known = [protocol.image_names for protocol in task.protocols.values()]
    if task.dataset is not None:
        known.append(task.dataset.test.names)
    unknown = np.setdiff1d(detections.image_names, np.concatenate(known))
    if len(unknown):
        _logger.warning(
            "%d of the %d images of the detections are not in the protocol ('%s' first); they do not count.",
            len(unknown), detections.num_images, unknown[0],
        )  # fmt: skip


def _check_boxes(task: SearchTask, detections: Detections) -> None:
    """Warns of boxes that are not x0, y0, x1, y1 in pixels of the image, by the look of the true boxes.

    A reversed corner tells boxes as x, y, width, height when they are read; persons larger than their
    distance from the upper left corner have none. Boxes of a smaller copy of the images lie near true ones
    in that reading too, but near few and loosely: so it must fit a quarter of the true boxes, and closely.
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
            "(IoU 0.7) if read as x, y, width, height; if they are that, add the first two numbers to the "
            "last two.",
            found, len(images), fitting,
        )  # fmt: skip
    elif found < len(images) / 20 and len(boxes) > len(images) >= 20:
        _logger.warning(
            "The boxes of the detections overlap only %d of the %d true boxes (IoU 0.5): the detector finds "
            "hardly anybody, or they are not in pixels of the original images.",
            found, len(images),
        )  # fmt: skip
