"""From a network to an ONNX file, which is compared with the network before it is written."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from maskps.boxes import xywh_to_xyxy
from maskps.errors import ConfigError, MaskpsError
from maskps.io.files import check_output_file
from maskps.model.export_graph import ExportGraph
from maskps.model.onnx_file import MARK, OnnxInfo, onnx_content, write_onnx
from maskps.model.onnx_predictor import INPUTS, OUTPUTS, open_session, run_graph
from maskps.model.prediction import ImageDetections
from maskps.model.predictor import Predictor
from maskps.synthetic import draw_appearance, open_camera, plan_camera, render_scene

LARGEST_DIFFERENCES = {"boxes": 0.05, "scores": 1e-3, "embeddings": 1e-4, "given_embeddings": 1e-4}
"""That a comparison allows, by the attributes of `SceneComparison`."""

_SCENES = ((1.0, 0), (0.8, 1), (0.65, 3))
"""Of the scenes of the comparison: their longest side as a share of the network's, and their given boxes."""

_TRIES = 10
"""How many scenes of a size are drawn, until one is steady."""

_NOISE, _NOISE_FACTOR = 1e-5, 10
"""In a steady scene, PyTorch's results change by at most 10 times `LARGEST_DIFFERENCES` if pixels, in 0..1,
change by up to 1e-5. That changes a network's results about 10 times as much as rounding."""

_Found = tuple[ImageDetections, NDArray[np.float32]]
"""Detections, and the embeddings of given boxes."""


@dataclass(frozen=True)
class SceneComparison:
    """What PyTorch and onnxruntime found in one generated scene, in pixels of that scene.

    Attributes:
        height, width: of the scene, in pixels.
        given: how many boxes were given.
        detections, onnx_detections: how many persons PyTorch and onnxruntime detected.
        boxes, scores, embeddings: largest differences between detections, in pixels and in numbers; each
            detection of PyTorch is compared with the nearest one of onnxruntime. 0 if one of them has none.
        given_embeddings: largest difference between the embeddings of given boxes.
    """

    height: int
    width: int
    given: int
    detections: int
    onnx_detections: int
    boxes: float
    scores: float
    embeddings: float
    given_embeddings: float

    def differing(self, factor: float = 1.0) -> list[str]:
        """Returns what differs: "persons", and names of differences over `factor` times the allowed ones."""
        limits = LARGEST_DIFFERENCES.items()
        numbers = [name for name, limit in limits if not getattr(self, name) <= factor * limit]  # also NaN
        return ["persons"] * (self.detections != self.onnx_detections) + numbers


def export_network(predictor: Predictor, path: Path, *, force: bool = False) -> list[SceneComparison]:
    """Writes the network of a predictor to an ONNX file, and returns the comparison of both.

    The file is written only if onnxruntime finds in generated scenes what PyTorch finds.

    Args:
        predictor: on the CPU, with the feature "embedding".
        force: replace an existing file of this function.

    Raises:
        ConfigError: a package is not installed, or another feature.
        OutputExistsError, OutputError: the file exists, or cannot be written.
        MaskpsError: the results differ, or PyTorch's own depend on rounding.
    """
    check_output_file(path, mark=MARK, force=force)
    _check_packages()
    if predictor.feature != "embedding":
        raise ConfigError("feature", expected="embedding", found=predictor.feature, hint="export f_id")
    content = onnx_of(predictor)
    comparisons = compare(content, path, predictor)
    check_equal(comparisons, path)
    write_onnx(path, content)
    return comparisons


def onnx_of(predictor: Predictor) -> bytes:
    """Returns the content of the ONNX file of a predictor's network. Takes a minute or more.

    The legacy exporter of torch (dynamo=False) also accepts the network, but its graph finds other persons.
    """
    sizes = ({1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}, {0: torch.export.Dim.DYNAMIC})
    example = (torch.rand(3, 100, 120), torch.tensor([[3.0, 4, 50, 80], [0, 0, 90, 90], [20, 5, 30, 33]]))
    with _silent():
        program = torch.onnx.export(
            ExportGraph(predictor.model),
            example,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=sizes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        assert program is not None
        _without_traces(program)
    box_filter = predictor.model.roi_heads.box_filter
    info = OnnxInfo(
        weights=predictor.weights,
        dim=predictor.dim,
        shorter_side=predictor.shorter_side,
        longest_side=predictor.longest_side,
        resize=predictor.resize,
        weigh_by_score=predictor.weigh_by_score,
        score_threshold=box_filter.score_threshold,
        nms_threshold=box_filter.nms_threshold,
        detections_per_image=box_filter.per_image,
        recipe=predictor.recipe,
        terms=predictor.terms,
    )
    return onnx_content(program.model_proto.SerializeToString(), info)


def compare(content: bytes, path: Path, predictor: Predictor) -> list[SceneComparison]:
    """Returns what the content of the file `path` and a predictor's network find in three steady scenes.

    Raises:
        MaskpsError: there is no steady scene.
    """
    session = open_session(content, path)
    comparisons = []
    for row, (share, given) in enumerate(_SCENES):
        seeds = range(row, row + _TRIES * len(_SCENES), len(_SCENES))
        pixels, boxes, expected = steady_scene(predictor, seeds, round(share * predictor.longest_side), given)
        comparisons.append(_compared(pixels, expected, run_graph(session, pixels, boxes)))
    return comparisons


def check_equal(comparisons: list[SceneComparison], path: Path) -> None:
    """Raises a MaskpsError if onnxruntime's results differ from PyTorch's in a scene."""
    for scene in comparisons:
        found = [
            f"{scene.onnx_detections} persons instead of {scene.detections}"
            if name == "persons"
            else f"{name} {getattr(scene, name):.2g} apart, at most {LARGEST_DIFFERENCES[name]:g} may be"
            for name in scene.differing()
        ]
        if found:
            raise MaskpsError(
                path,
                expected="a graph that finds what PyTorch finds; nothing was written",
                found=f"in a scene of {scene.width} x {scene.height} pixels {'; '.join(found)}",
                hint="use the torch and onnxscript releases that docs/export.md names",
            )


def steady_scene(
    predictor: Predictor, seeds: Sequence[int], longest: int, given: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], _Found]:
    """Returns the first generated scene in which PyTorch's results do not depend on rounding.

    Where a score or an overlap lies at a threshold, rounding alone makes or loses a person. So every pixel
    moves by random noise, and by its opposite; `_NOISE` has the rule. onnxruntime takes no part in it.

    Args:
        predictor: the network.
        seeds: of scenes, in this order.
        longest, given: as `generated_scene`.

    Returns:
        The picture (3, h, w) in 0..1, the given boxes (given, 4), and what PyTorch finds.

    Raises:
        MaskpsError: none of the scenes is steady.
    """
    for seed in seeds:
        pixels, boxes = generated_scene(seed, longest, given)
        expected = _found_by_pytorch(predictor, pixels, boxes)
        noise = np.random.default_rng(seed).uniform(-_NOISE, _NOISE, pixels.shape).astype(np.float32)
        moved = (_found_by_pytorch(predictor, pixels + one, boxes) for one in (noise, -noise))
        if not any(_compared(pixels, expected, one).differing(_NOISE_FACTOR) for one in moved):
            return pixels, boxes, expected
    raise MaskpsError(
        "the comparison with PyTorch",
        expected=f"one of {len(seeds)} generated scenes in which pixels {_NOISE:g} brighter or darker do not "
        "change what PyTorch finds; nothing was written",
        found="in each of them persons come, go or move, so PyTorch and onnxruntime cannot be compared",
        hint="train the network longer, or with a higher box_score_threshold",
    )


def generated_scene(seed: int, longest: int, given: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns a picture of four people (3, h, w) in 0..1, and the boxes (given, 4) of the first of them."""
    rng = np.random.default_rng(seed)
    camera = open_camera(plan_camera((seed,), longest=longest, heights=(0.2, 0.45)))
    scene = render_scene(camera, [draw_appearance(rng) for _ in range(4)], rng=rng)
    pixels = scene.image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(pixels), xywh_to_xyxy(scene.boxes)[:given]


def _found_by_pytorch(
    predictor: Predictor, pixels: NDArray[np.float32], given: NDArray[np.float32]
) -> _Found:
    model = predictor.model
    with predictor.evaluating():
        (found,), (pooled,) = model.detect_and_pool([torch.from_numpy(pixels)], [torch.from_numpy(given)])
        embedded = model.roi_heads.embed(pooled)
    detections = ImageDetections(found.boxes.numpy(), found.scores.numpy(), found.embeddings.numpy())
    return detections, embedded.numpy()


def _compared(pixels: NDArray[np.float32], expected: _Found, actual: _Found) -> SceneComparison:
    (theirs, their_given), (ours, our_given) = expected, actual
    boxes = scores = embeddings = 0.0
    if len(theirs.scores) and len(ours.scores):
        nearest = np.abs(theirs.boxes[:, None] - ours.boxes).max(axis=2).argmin(axis=1)
        boxes, scores, embeddings = (
            _largest(one - other[nearest]) for one, other in zip(theirs, ours, strict=True)
        )
    return SceneComparison(
        height=pixels.shape[1],
        width=pixels.shape[2],
        given=len(their_given),
        detections=len(theirs.scores),
        onnx_detections=len(ours.scores),
        boxes=boxes,
        scores=scores,
        embeddings=embeddings,
        given_embeddings=_largest(their_given - our_given),
    )


def _largest(differences: NDArray[np.float32]) -> float:
    return float(np.abs(differences).max(initial=0.0))


def _check_packages() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                name,
                expected=f"the package {name}, which the export needs",
                found="it is not installed",
                hint="pip install 'maskps[export]'",
            )


def _without_traces(program: torch.onnx.ONNXProgram) -> None:
    """Removes what the exporter notes at every node: lines of source files, with their folders."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(program.model)


@contextmanager
def _silent() -> Iterator[None]:
    """Hides the exporter's warnings and remarks: they are about torch's own code."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
