"""From a network to an ONNX file, which is compared with the network before it is written."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

LARGEST_DIFFERENCE = 1e-4
"""Of an embedding's numbers, for given boxes."""

_SCENES = ((1.0, 0), (0.8, 1), (0.65, 3))
"""Of the scenes of the comparison: their longest side as a share of the network's, and their given boxes."""

_TRIES = 3
"""How many scenes of a size are tried, until one has the same number of detections: rounding may put a box on
the other side of a threshold."""


@dataclass(frozen=True)
class SceneComparison:
    """What PyTorch and onnxruntime found in one generated scene.

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

    @property
    def is_equal(self) -> bool:
        """Whether both found as many persons, and given boxes have the same embeddings up to rounding."""
        return self.detections == self.onnx_detections and self.given_embeddings <= LARGEST_DIFFERENCE


def export_network(predictor: Predictor, path: Path, *, force: bool = False) -> list[SceneComparison]:
    """Writes the network of a predictor to an ONNX file, and returns the comparison of both.

    The file is written only if onnxruntime finds in generated scenes what PyTorch finds.

    Args:
        predictor: on the CPU, with the feature "embedding".
        force: replace an existing file of this function.

    Raises:
        ConfigError: a package is not installed, or another feature.
        OutputExistsError, OutputError: the file exists, or cannot be written.
        MaskpsError: the results differ.
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
    """Returns what the content of the file `path` and a predictor's network find in generated scenes.

    Scenes have three sizes. If the results differ in one, up to two others of its size follow.
    """
    session = open_session(content, path)
    comparisons = []
    for row, (share, given) in enumerate(_SCENES):
        for seed in range(row, row + _TRIES * len(_SCENES), len(_SCENES)):
            scene = generated_scene(seed, round(share * predictor.longest_side), given)
            comparisons.append(_compared(session, predictor, *scene))
            if comparisons[-1].is_equal:
                break
    return comparisons


def check_equal(comparisons: list[SceneComparison], path: Path) -> None:
    """Raises a MaskpsError if given embeddings differ, or counts in all scenes of a size."""
    last = {scene.given: scene for scene in comparisons}
    for scene in comparisons:
        if not last[scene.given].is_equal or not scene.given_embeddings <= LARGEST_DIFFERENCE:
            raise MaskpsError(
                path,
                expected="a graph that finds what PyTorch finds; nothing was written",
                found=f"in a scene of {scene.width} x {scene.height} pixels {scene.onnx_detections} "
                f"detections instead of {scene.detections}; embeddings of {scene.given} given boxes "
                f"{scene.given_embeddings:.2g} apart, at most {LARGEST_DIFFERENCE:g} may be",
                hint="use the torch and onnxscript releases that docs/export.md names",
            )


def generated_scene(seed: int, longest: int, given: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns a picture of four people (3, h, w) in 0..1, and the boxes (given, 4) of the first of them."""
    rng = np.random.default_rng(seed)
    camera = open_camera(plan_camera((seed,), longest=longest, heights=(0.2, 0.45)))
    scene = render_scene(camera, [draw_appearance(rng) for _ in range(4)], rng=rng)
    pixels = scene.image.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(pixels), xywh_to_xyxy(scene.boxes)[:given]


def _compared(
    session: Any, predictor: Predictor, pixels: NDArray[np.float32], given: NDArray[np.float32]
) -> SceneComparison:
    model = predictor.model
    with predictor.evaluating():
        (found,), (pooled,) = model.detect_and_pool([torch.from_numpy(pixels)], [torch.from_numpy(given)])
        embedded = model.roi_heads.embed(pooled)
    expected = ImageDetections(found.boxes.numpy(), found.scores.numpy(), found.embeddings.numpy())
    actual, of_given = run_graph(session, pixels, given)
    boxes = scores = embeddings = 0.0
    if len(expected.scores) and len(actual.scores):
        nearest = np.abs(expected.boxes[:, None] - actual.boxes).max(axis=2).argmin(axis=1)
        boxes, scores, embeddings = (
            _largest(one - other[nearest]) for one, other in zip(expected, actual, strict=True)
        )
    return SceneComparison(
        height=pixels.shape[1],
        width=pixels.shape[2],
        given=len(given),
        detections=len(expected.scores),
        onnx_detections=len(actual.scores),
        boxes=boxes,
        scores=scores,
        embeddings=embeddings,
        given_embeddings=_largest(embedded.numpy() - of_given),
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
